"""Steps of some rows of a table, beside steps of as many rows as a parameter of their own.

    python benchmarks/sparse_rows.py [--table 10000000] [--width 64] [--rows 1000]

Medians in microseconds, and the quickest, interleaved; each step has other rows, some of them twice. All
of these steps are made once before: the system gives memory to a page when it is first written, which takes longer than
the step. A table of 1e7 x 64 float32 takes 2.4 GiB, and so does each array of state, where pages are large.
"""

import argparse
import statistics
import time

import numpy as np

import gradstep as gs

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--table", type=int, default=10_000_000)
parser.add_argument("--width", type=int, default=64)
parser.add_argument("--rows", type=int, default=1000)
parser.add_argument("--steps", type=int, default=200)
asked = parser.parse_args()
rng = np.random.default_rng(0)
values = rng.normal(size=(asked.rows, asked.width)).astype(np.float32)
for rule in ("sgd", "adagrad", "adam"):
    table = np.zeros((asked.table, asked.width), np.float32)
    small = np.zeros((asked.rows, asked.width), np.float32)
    sparse, dense = gs.Optimizer(table, rule, lr=0.01), gs.Optimizer(small, rule, lr=0.01)
    taken: dict[str, list[float]] = {"rows": [], "dense": []}
    steps = [gs.rows(rng.integers(0, asked.table, asked.rows), values) for _ in range(asked.steps)]
    for g in steps:
        sparse.step(g)
        dense.step(values)
    for g in steps:
        for name, opt, grads in (("rows", sparse, g), ("dense", dense, values)):
            begin = time.perf_counter()
            opt.step(grads)
            taken[name].append(time.perf_counter() - begin)
    for what, of in (("median", statistics.median), ("quickest", min)):
        rows, whole = (1e6 * of(taken[name]) for name in ("rows", "dense"))
        print(
            f"{rule:8} {what:8} {asked.rows} of {asked.table} rows {rows:8.1f} us, "
            f"dense {whole:8.1f} us, {rows / whole:.2f}"
        )
    del table, sparse
