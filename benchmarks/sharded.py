"""A sharded step of one process beside a plain one, in turn: the median ratio of their CPU times, that of the least.

With ``--model``: the messages of a step of 10^8 numbers in float32, counted for each process, and the time that they
would take at 2 microseconds a message and 10 GB/s into each process.
"""

import statistics
import sys
import time

import numpy as np

import gradstep as gs
from gradstep.distributed import Sharded
from gradstep.distributed.tree import expected

SHAPES = {"1x1e6": [(1000, 1000)], "a small net": [(784, 64), (64,), (64, 10), (10,)], "148x100": [(100,)] * 148}
RULES = {"adam": gs.adam(), "clip, adamw": gs.chain(gs.clip_by_global_norm(1.0), gs.adamw())}
REPEATS, NUMBERS = 60, 2e5


def seconds(act, times):
    """Return the CPU time of some calls."""
    start = time.process_time()
    for _ in range(times):
        act()
    return time.process_time() - start


def main():
    """Print a line for each rule and set of shapes."""
    for label, shapes in SHAPES.items():
        for name, rule in RULES.items():
            rng = np.random.default_rng(0)
            one, two, grads = ([rng.normal(size=s).astype("f4") for s in shapes] for _ in range(3))
            plain, sharded = gs.Optimizer(one, rule, threads=1), Sharded(two, rule, threads=1)
            times = max(1, int(NUMBERS // sum(x.size for x in grads)))
            base, own = [], []
            for _ in range(REPEATS):
                base.append(seconds(lambda: plain.step(grads), times))  # noqa: B023
                own.append(seconds(lambda: sharded.step([grads]), times))  # noqa: B023
            ratio = statistics.median(y / x for x, y in zip(base, own, strict=True))
            print(f"{label:12} {name:12} {ratio:.3f} {min(own) / min(base):.3f}", flush=True)


def model():
    """Print what the process that receives most receives, by the tree and by a ring."""
    numbers, latency, speed = 1e8, 2e-6, 10e9
    print("     W      K  nodes  messages  GB exact  GB fast  ms exact  ms fast")
    for size, count in (
        (2, 8),
        (3, 8),
        (3, 64),
        (7, 64),
        (8, 8),
        (8, 64),
        (64, 64),
        (60, 64),
        (1024, 1024),
        (1000, 1024),
    ):
        sent = [len(own) for own in expected(count, size)]
        most = sum(sent) - min(sent)
        exact, fast = 4 * numbers / size * most, 4 * numbers * (size - 1) / size
        times = [1e3 * (latency * n + x / speed) for n, x in ((most, exact), (size - 1, fast))]
        figures = f"{exact / 1e9:9.2f} {fast / 1e9:8.2f} {times[0]:9.1f} {times[1]:8.1f}"
        print(f"{size:6} {count:6} {max(sent):6} {most:9} {figures}")


if __name__ == "__main__":
    model() if "--model" in sys.argv else main()
