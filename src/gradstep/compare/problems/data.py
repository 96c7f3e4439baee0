"""Real data that ships with scikit-learn: split by a fixed rule, standardised by what the training part shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from gradstep.compare.problems.problem import Split

Arrays = tuple[np.ndarray, np.ndarray]
SHARES: tuple[Split, ...] = ("train", "train", "train", "validation", "test")


@dataclass(frozen=True)
class Data:
    """Inputs and targets of each split; the arrays are read-only.

    Attributes
    ----------
    splits
        ``split -> (x, y)``: x float64 of shape (examples, features) and zero mean, y as the problem needs it.
    """

    splits: Mapping[Split, Arrays]

    def __getitem__(self, split: Split) -> Arrays:
        return self.splits[split]


def split_by_index(strata: np.ndarray) -> np.ndarray:
    """The split of each example: of every five in a class, in the order of the file, three train, one each the rest.

    No seed: the split is part of the problem.
    """
    splits = np.empty(len(strata), dtype=object)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        splits[members] = np.resize(np.array(SHARES, dtype=object), len(members))
    return splits


@cache
def load(name: Literal["digits", "breast_cancer", "diabetes"]) -> Data:
    """One of scikit-learn's own data sets, read from the installed package.

    Images are shifted and scaled by one number each, which keeps the image; a table by one a column, and so is a
    real-valued target.
    """
    import sklearn.datasets  # 1.5 s, so only when a run needs it

    bunch: Any = getattr(sklearn.datasets, f"load_{name}")()
    x, y = np.asarray(bunch.data, np.float64), np.asarray(bunch.target)
    real = name == "diabetes"
    split = split_by_index(np.zeros_like(y) if real else y)
    train = split == "train"
    x = _standardised(x, train, axis=None if name == "digits" else 0)
    y = _standardised(y.astype(np.float64), train, axis=0) if real else y.astype(np.int64)
    x.flags.writeable = y.flags.writeable = False
    parts: dict[Split, Arrays] = {}
    for part in ("train", "validation", "test"):
        parts[part] = x[split == part], y[split == part]
        for array in parts[part]:
            array.flags.writeable = False
    return Data(parts)


def _standardised(x: np.ndarray, train: np.ndarray, axis: int | None) -> np.ndarray:
    return (x - x[train].mean(axis=axis)) / x[train].std(axis=axis)
