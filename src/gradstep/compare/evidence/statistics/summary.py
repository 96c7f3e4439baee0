"""Summaries of a handful of runs: medians in which a miss is infinity, steps to a target, spread."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep.compare.evidence.statistics.tables import Array, table
from gradstep.compare.problems import Target


@dataclass(frozen=True)
class Spread:
    """The median of a few values with the least and the greatest of them: of three seeds, that is all of them."""

    median: float
    low: float
    high: float


def medians(values: Any) -> Array:
    """The median over the last axis: the middle value, or the mean of the middle two.

    Infinity (a miss) takes part like any number, as in AlgoPerf's scoring (arXiv 2502.15015): of ten seeds
    with five misses the median is a miss.

    Parameters
    ----------
    values
        Array [..., run].

    Returns
    -------
    ndarray
        float64 [...].

    Raises
    ------
    GradstepValueError
        For no values, or NaN among them.
    """
    ordered = np.sort(table("median", values, "run", resampled=True), axis=-1)
    count = ordered.shape[-1]
    low, high = ordered[..., (count - 1) // 2], ordered[..., count // 2]
    if count % 2:
        return low
    # Halves first, so that no sum overflows; -inf and inf have no mean.
    with np.errstate(invalid="ignore"):
        return np.where(low == high, low, low / 2 + high / 2)


def median(values: Sequence[float]) -> float:
    """:func:`medians` of one row of values; errors as there."""
    return float(medians(values))


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest; errors as :func:`medians`."""
    return Spread(median(values), min(values), max(values))


def steps_to_target(steps: Sequence[int], values: Sequence[float], target: Target) -> float:
    """The first of the evaluated steps at which the metric meets the target, or infinity."""
    return next((float(step) for step, value in zip(steps, values, strict=True) if target.met(value)), math.inf)
