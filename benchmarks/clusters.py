"""What a run costs beside its own time: many tiny runs on each backend, and whether the tables are equal.

python benchmarks/clusters.py [--runs 1000] [--backends loky,dask,ray,shards] [--equal]

A study is made on each with few runs, twice, and with all: what the last takes longer than the second is the runs', for
both have the same start. ``shards`` are three studies in turn, merged. ``--equal`` makes one study of two problems and
three optimizers on each in place of that, and tells whether its runs and its table are those of one process.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from gradstep.compare import compare, merge

FEW = 20


def studied(backend, seeds, jobs):
    asked = {"optimizers": "sgd:lr=0.1", "problems": "quadratic", "steps": 1, "seeds": seeds, "jobs": jobs}
    if backend != "shards":
        return compare(**asked, backend=backend)
    asked["searches"], asked["seeds"] = 3, -(-seeds // 3)
    with tempfile.TemporaryDirectory() as folder:
        parts = [f"{folder}/{k}" for k in (1, 2, 3)]
        for k, part in enumerate(parts, 1):
            compare(**asked, shard=f"{k}/3", out=part)
        return merge(parts, Path(folder) / "all")


EQUAL = {
    "optimizers": "sgd,momentum,adam",
    "problems": ["digits-mlp", "quadratic"],
    "seeds": 2,
    "trials": 4,
    "steps": 100,
}


def compared(backends, jobs):
    """Print whether the study of ``EQUAL`` is that of one process, by each backend."""
    alone = compare(**EQUAL, jobs=1)
    print(f"{len(alone.runs)} runs of one study, beside those of one process")
    for backend in backends:
        if backend == "shards":
            with tempfile.TemporaryDirectory() as folder:
                parts = [f"{folder}/{k}" for k in (1, 2, 3)]
                for k, part in enumerate(parts, 1):
                    compare(**EQUAL, jobs=1, shard=f"{k}/3", out=part)
                study = merge(parts, Path(folder) / "all")
        else:
            study = compare(**EQUAL, jobs=jobs, backend=backend)
        runs, tables = timeless(study) == timeless(alone), table(study) == table(alone)
        print(f"{backend:7}  runs equal: {runs}   table equal: {tables}", flush=True)


def table(study):
    """The table without what a clock has measured."""
    blank = {"step_us": 0.0, "optimizer_us": 0.0}
    return [replace(row, entries=tuple(replace(entry, **blank) for entry in row.entries)) for row in study.table()]


def timeless(study):
    return sorted((replace(run, seconds=0.0) for run in study.runs), key=lambda run: run.key)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--backends", default="loky,dask,ray,shards")
    parser.add_argument("--equal", action="store_true")
    asked = parser.parse_args()
    if asked.equal:
        compared(asked.backends.split(","), asked.jobs)
        return
    alone = timeless(studied("loky", asked.runs, 1))
    print(f"{asked.runs} runs of one step, {asked.jobs} at a time")
    for backend in asked.backends.split(","):
        seconds, study = {}, None
        for seeds in (FEW, FEW, asked.runs):  # the first also starts what is kept, such as loky's processes
            began = time.perf_counter()
            study = studied(backend, seeds, asked.jobs)
            seconds[seeds] = time.perf_counter() - began
        each = (seconds[asked.runs] - seconds[FEW]) / (asked.runs - FEW)
        there = timeless(studied_alone(study)) if backend == "shards" else alone
        is_equal = timeless(study) == there
        print(
            f"{backend:7}  {1e3 * each:6.2f} ms a run   {seconds[FEW]:5.1f} s for {FEW}   equal: {is_equal}", flush=True
        )


def studied_alone(study):
    """The same study, in one piece in this process."""
    spec = study.spec
    return compare("sgd:lr=0.1", "quadratic", steps=1, seeds=spec.seeds, searches=spec.searches, jobs=1)


if __name__ == "__main__":
    main()
