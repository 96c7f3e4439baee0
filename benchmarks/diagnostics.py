"""What ``diagnostics=True`` costs: steps of Adam in float32 with and without, in turns, the guard on.

python benchmarks/diagnostics.py [seconds a size]
"""

import sys
import time

import numpy as np

import gradstep as gs

SIZES = {"1x100": [100], "148x1000": [1000] * 148, "1x1e5": [10**5], "1x1e6": [10**6], "1x1e7": [10**7]}
TURN = 0.02  # s


class Runner:
    """Steps of one optimizer; a turn gives microseconds a step, and a look at what was kept where ``reads``."""

    def __init__(self, sizes, reads=False, **options):
        rng = np.random.default_rng(0)
        nest = {str(k): rng.standard_normal(n, np.float32) for k, n in enumerate(sizes)}
        self.grads = {key: rng.standard_normal(x.size, np.float32) for key, x in nest.items()}
        self.opt = gs.Optimizer(nest, "adam", **options)
        self.reads = reads
        self.steps = 1
        self.steps = max(1, int(TURN * 1e6 / min(self.turn() for _ in range(3))))

    def turn(self):
        step, reads, opt, grads = self.opt.step, self.reads, self.opt, self.grads
        begin = time.perf_counter()
        for _ in range(self.steps):
            step(grads)
            if reads:
                _ = opt.diagnostics
        return (time.perf_counter() - begin) / self.steps * 1e6


def measure(sizes, seconds):
    """Medians of turns, and of the ratios of turns in one round."""
    runners = [
        Runner(sizes),
        Runner(sizes, diagnostics=True),
        Runner(sizes, diagnostics=True, reads=True),
    ]
    rows = []
    end = time.perf_counter() + seconds
    while len(rows) < 5 or time.perf_counter() < end:
        order = np.random.default_rng(len(rows)).permutation(len(runners))
        took = {k: runners[k].turn() for k in order}
        rows.append([took[k] for k in range(len(runners))])
    table = np.array(rows)
    return np.median(table, axis=0), np.median(table / table[:, :1], axis=0), len(rows)


def main(seconds=10.0):
    print(f"float32 Adam, µs a step, medians; {gs.get_threads()} threads at most")
    print(f"{'':10}{'without':>12}{'with':>12}{'and read':>12}{'with/without':>14}{'read/without':>14}{'rounds':>8}")
    for name, sizes in SIZES.items():
        (plain, kept, read), (_, ratio, reading), rounds = measure(sizes, seconds)
        print(f"{name:10}{plain:12.2f}{kept:12.2f}{read:12.2f}{ratio:14.3f}{reading:14.3f}{rounds:8}")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
