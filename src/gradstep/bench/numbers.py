"""The arithmetic of a table: medians and quartiles, ratios, rates, slopes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Summary:
    """Median and quartiles of some values, linear between neighbours."""

    median: float
    low: float
    high: float


def summary(values: Sequence[float]) -> Summary:
    """Median and quartiles."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return Summary(float(middle), float(low), float(high))


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """The median over rounds of their time over ours: a drift that both feel within a round falls out."""
    return float(np.median(np.asarray(theirs) / np.asarray(ours)))


def moved(gradients: int, parameters: int, kept: int, chain: bool) -> int:
    """Bytes that a step cannot but move: gradients are read, all else is read and written.

    A global norm in front (``chain``) reads the gradients once more. Temporaries of a contender do not count: they
    are its own affair.
    """
    return gradients * (1 + chain) + 2 * (parameters + kept)


def gigabytes_per_second(moved: int, microseconds: float) -> float:
    """10^9 bytes a second."""
    return moved / microseconds / 1000


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The exponent k of y = c x^k: least squares in logarithms, over the points in the upper decade of x."""
    upper = [(a, b) for a, b in zip(x, y, strict=True) if a * 10 >= max(x)]
    logs = np.log(np.array(upper))
    return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])
