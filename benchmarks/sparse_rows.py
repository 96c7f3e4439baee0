"""Steps of some rows of a table, beside steps of as many rows as a parameter of their own.

    python benchmarks/sparse_rows.py [--table 10000000] [--width 64] [--rows 1000]

Medians in microseconds, interleaved; each step has other rows, some of them twice. The table has memory that is written
where rows are, so a table of 1e7 x 64 float32 fits where its rows alone do.
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
    for k in range(asked.steps):
        g = gs.rows(rng.integers(0, asked.table, asked.rows), values)
        for name, opt, grads in (("rows", sparse, g), ("dense", dense, values)):
            begin = time.perf_counter()
            opt.step(grads)
            if k >= 20:
                taken[name].append(time.perf_counter() - begin)
    rows, whole = (1e6 * statistics.median(taken[name]) for name in ("rows", "dense"))
    print(f"{rule:8} {asked.rows} of {asked.table} rows {rows:8.1f} us, dense {whole:8.1f} us, {rows / whole:.2f}")
    del table, sparse
