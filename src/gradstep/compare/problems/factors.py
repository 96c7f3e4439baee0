"""A table with most of its numbers missing, as the product of two thin matrices."""

from functools import cache
from typing import Any

import numpy as np

from gradstep.compare.problems.data import load
from gradstep.compare.problems.problem import NOISY, Problem, Split, Task, Values, labelled, minibatches, size_option
from gradstep.compare.problems.targets import frozen

RANK, L2 = 6, 1e-2  # columns of the factors; weight of half their squares per number that is known
BATCH, WIDTH = 2048, RANK
# Of all numbers, in an order drawn at random.
SHARES: dict[Split, tuple[float, float]] = {"train": (0.0, 0.5), "validation": (0.5, 0.75), "test": (0.75, 1.0)}


def digits(batch: float = BATCH, width: float = WIDTH) -> Problem:
    """Matrix factorisation with L2 (Koren, Bell and Volinsky 2009, IEEE Computer 42(8)), of images with missing pixels.

    Of all pixels half are known, a quarter each are told by the product to validate and to test. ``width`` is the rank.
    """
    many, rank = (
        size_option("digits-factors", "batch", batch, 50_000),
        size_option("digits-factors", "width", width, 64),
    )

    def begin(seed: int) -> Task:
        rng = np.random.default_rng(seed)
        u, v = (rng.standard_normal((n, rank)) / np.sqrt(rank) for n in (1797, 64))
        splits = entries()
        rows, columns, values = splits["train"]

        @np.errstate(over="ignore", invalid="ignore")  # a run that diverges shows in its loss
        def value_and_grad(batch: np.ndarray) -> tuple[float, Any]:
            i, j = rows[batch], columns[batch]
            a, b = u[i], v[j]
            error = (a * b).sum(axis=1) - values[batch]
            value = float(error @ error + L2 * (a * a + b * b).sum()) / (2 * len(i))
            by_u, by_v = error[:, None] * b + L2 * a, error[:, None] * a + L2 * b
            return value, {"u": _added(by_u, i, len(u)), "v": _added(by_v, j, len(v))}

        @np.errstate(over="ignore", invalid="ignore")
        def evaluate(split: Split) -> Values:
            i, j, given = splits[split]
            error = (u @ v.T)[i, j] - given
            return {"loss": float(error @ error) / (2 * len(i))}

        return Task({"u": u, "v": v}, minibatches(len(rows), many, seed), value_and_grad, evaluate)

    return Problem(
        name=labelled("digits-factors", {"batch": batch, "width": width}, {"batch": BATCH, "width": WIDTH}),
        summary=f"matrix of rank {rank} that gives half of the pixels, batches of {many} pixels",
        source="scikit-learn load_digits",
        size=f"1797 x 64, {1861 * rank} parameters",
        target=frozen("digits-factors", "validation", NOISY),
        steps=500,
        every=10,
        scale={"theta/g": 3e1, "theta": 3e-2},
        family="reconstruction",
        begin=begin,
        needs="sklearn",
    )


def _added(rows: np.ndarray, at: np.ndarray, count: int) -> np.ndarray:
    """Return the mean over the batch of rows that belong to row ``at`` of a matrix."""
    return np.stack([np.bincount(at, column, count) for column in rows.T], axis=1) / len(at)


@cache
def entries() -> dict[Split, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Row, column and value of each pixel of a split, in units of the standard deviation of those that are known."""
    data = load("digits")
    table = np.concatenate([data[split][0] for split in ("train", "validation", "test")])
    order = np.random.default_rng(0).permutation(table.size)  # part of the problem
    places: dict[Split, np.ndarray] = {}
    for split, (low, high) in SHARES.items():
        places[split] = np.sort(order[int(low * table.size) : int(high * table.size)])
    known = table.flat[places["train"]]
    table = (table - known.mean()) / known.std()
    return {split: (at // table.shape[1], at % table.shape[1], table.flat[at]) for split, at in places.items()}
