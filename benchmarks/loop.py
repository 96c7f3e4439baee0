"""What the loop costs: microseconds of a gs.Run over those of a bare loop of evaluation and opt.step, in turns.

python benchmarks/loop.py [seconds a row]
"""

import sys
import time

import numpy as np

import gradstep as gs

SIZES = {"10": 10, "1e4": 10**4, "1e6": 10**6}
TURN = 0.02  # s
NEVER = gs.stop.plateau(10**9)
KINDS = {
    "as it comes": {},
    "no norms, history or best": {"diagnostics": False, "history": False, "keep_best": False},
    "grad_norm=": {"grad_norm": 1e-9},
    "stop.plateau": {"stop": NEVER},
    "bounds, none reached": {"bounds": (-1e9, 1e9)},
    "bounds, all reached": {"bounds": (0, None)},
}


def objective(n):
    """Gives one and the same, so that the time is the loop's and the step's."""
    g = np.ones(n, np.float32)
    return lambda _: (1.0, g)


class Bare:
    """The loop by hand."""

    def __init__(self, n):
        self.f, self.opt = objective(n), gs.Optimizer(np.zeros(n, np.float32), "adam")

    def steps(self, n):
        f, opt = self.f, self.opt
        for _ in range(n):
            _, grads = f(opt.params)
            opt.step(grads)


class Run:
    """The same by a run."""

    def __init__(self, n, **options):
        self.run = gs.Run(objective(n), np.zeros(n, np.float32), "adam", **options)
        self.iterator = iter(self.run)

    def steps(self, n):
        if self.run.history is not None:
            self.run.history.clear()  # a turn's own
        for _ in range(n):
            next(self.iterator)


def turn(runner, n):
    """Microseconds a step."""
    begin = time.perf_counter()
    runner.steps(n)
    return (time.perf_counter() - begin) / n * 1e6


def measure(n, options, seconds):
    """Medians of the turns of both, and of their differences."""
    runners = Bare(n), Run(n, **options)
    number = max(1, int(TURN * 1e6 / min(turn(runners[1], 3) for _ in range(5))))
    rows, end = [], time.perf_counter() + seconds
    while len(rows) < 5 or time.perf_counter() < end:
        order = (0, 1) if len(rows) % 2 else (1, 0)
        took = {k: turn(runners[k], number) for k in order}
        rows.append((took[0], took[1], took[1] - took[0]))
    return np.median(np.array(rows), axis=0)


def main(seconds=2.0):
    print(f"float32 Adam, µs a step, medians; {gs.get_threads()} threads at most")
    print(f"{'elements':10}{'run':28}{'bare loop':>12}{'gs.Run':>12}{'over it':>12}")
    for name, n in SIZES.items():
        for kind, options in KINDS.items():
            bare, run, over = measure(n, options, seconds)
            print(f"{name:10}{kind:28}{bare:12.2f}{run:12.2f}{over:12.2f}")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
