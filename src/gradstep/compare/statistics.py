"""What is said about a handful of runs: medians in which a miss is infinity, steps to a target, spread."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gradstep.compare.problems import Target
from gradstep.errors import GradstepValueError


@dataclass(frozen=True)
class Spread:
    """The median of a few values with the least and the greatest of them: of three seeds, that is all of them."""

    median: float
    low: float
    high: float


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the middle two; infinity (a miss) takes part like any number.

    Raises
    ------
    GradstepValueError
        For no values, or NaN among them.
    """
    if not values or any(math.isnan(x) for x in values):
        raise GradstepValueError(f"median: needs one number or more and no NaN, not {list(values)}.")
    ordered = sorted(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else (low + high) / 2


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest; errors as :func:`median`."""
    return Spread(median(values), min(values), max(values))


def steps_to_target(steps: Sequence[int], values: Sequence[float], target: Target) -> float:
    """The first of the evaluated steps at which the metric meets the target, or infinity."""
    return next((float(step) for step, value in zip(steps, values, strict=True) if target.met(value)), math.inf)
