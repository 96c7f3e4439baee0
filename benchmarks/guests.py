"""A step of each guest beside its host's own optimizers: Adam in float32, in one process, in turns, the guard on.

python benchmarks/guests.py [seconds a size]

A guest is a function from sizes to steps by name, its own first; those whose library is not installed are left out.
"""

import gc
import sys
import time
from statistics import median

import numpy as np

import gradstep as gs

SIZES = {"6 x 1e3..1e5": [10**5, 10**3, 30_000, 3000, 10**4, 10**3], "148 x 1000": [1000] * 148}
TURN = 0.02  # s


def torch(sizes):
    """``p.grad`` is there, as after ``backward``."""
    import torch

    def stepped(make):
        rng = np.random.default_rng(0)
        params = [torch.nn.Parameter(torch.from_numpy(rng.standard_normal(n, np.float32))) for n in sizes]
        for p in params:
            p.grad = torch.from_numpy(rng.standard_normal(p.numel(), np.float32))
        return make(params).step

    adam = torch.optim.Adam
    return {
        "gradstep": stepped(lambda params: gs.interop.torch.Optimizer(params, "torch.Adam")),
        "fused": stepped(lambda params: adam(params, fused=True)),
        "foreach": stepped(lambda params: adam(params, foreach=True)),
        "default": stepped(adam),
    }


GUESTS = {"torch": torch}


def turn(step, steps):
    """Microseconds a step."""
    begin = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - begin) / steps * 1e6


def measure(steps, seconds):
    """Medians of turns by name, and of each turn over the first name's in the same round."""
    counts = {name: max(1, int(TURN * 1e6 / min(turn(step, 1) for _ in range(5)))) for name, step in steps.items()}
    rounds = []
    rng = np.random.default_rng(0)
    end = time.perf_counter() + seconds
    gc.disable()
    while len(rounds) < 5 or time.perf_counter() < end:
        took = {name: turn(steps[name], counts[name]) for name in rng.permutation(list(steps)).tolist()}
        rounds.append(took)
        gc.collect()
    gc.enable()
    first = next(iter(steps))
    return {name: (median(x[name] for x in rounds), median(x[name] / x[first] for x in rounds)) for name in steps}


def main(seconds=10.0):
    print(f"{'host':10}{'tensors x elements':22}{'optimizer':12}{'µs a step':>12}{'over ours':>12}")
    for host, make in GUESTS.items():
        for size, sizes in SIZES.items():
            try:
                steps = make(sizes)
            except ImportError as error:
                print(f"{host:10}left out: {error}")
                break
            for name, (us, ratio) in measure(steps, seconds).items():
                print(f"{host:10}{size:22}{name:12}{us:12.1f}{ratio:12.2f}")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
