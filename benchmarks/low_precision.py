"""What fewer bits for the state cost a real network: digits-conv, paired seeds, the validation loss at the end.

python benchmarks/low_precision.py [seeds]
"""

import sys

import numpy as np

import gradstep as gs
from gradstep.compare.problems.digits import conv

WAYS = {"float32 state": {}, "bfloat16 state": {"state_dtype": "bfloat16"}, "8-bit state": {"state_dtype": "8bit"}}


def final_loss(rule, lr, seed, options):
    problem = conv()
    task = problem.begin(seed)
    opt = gs.Optimizer(task.params, rule, lr=lr, seed=seed, **options)
    for _ in range(problem.steps):
        _, grads = task.value_and_grad(next(task.batches))
        opt.step(grads)
    return task.evaluate("validation")["loss"]


def main(seeds=10):
    for rule, lr in (("adam", 1e-2), ("adamw", 1e-2), ("momentum", 1e-1)):
        losses = {
            way: np.array([final_loss(rule, lr, k, options) for k in range(seeds)]) for way, options in WAYS.items()
        }
        plain = losses["float32 state"]
        noise = plain.std(ddof=1)
        print(f"{rule}, lr {lr:g}, {seeds} seeds: final validation loss with {conv().steps} steps")
        for way, x in losses.items():
            gap = x - plain
            error = gap.std(ddof=1) / np.sqrt(seeds)
            print(
                f"  {way:15} mean {x.mean():.4f}, seed noise {x.std(ddof=1):.4f}; "
                f"minus float32, paired: {gap.mean():+.4f} +- {error:.4f} ({gap.mean() / noise:+.2f} of the seed noise)"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
