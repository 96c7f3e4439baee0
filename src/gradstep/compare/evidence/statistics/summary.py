"""Summaries of a handful of runs: medians in which a miss is infinity, steps to a target, spread."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep.compare.evidence.statistics.tables import Array, table
from gradstep.compare.problems import Target
from gradstep.errors import GradstepValueError


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


def steps_to_target(steps: Sequence[float], values: Sequence[float], target: Target) -> float:
    """Return the first of the evaluated steps from which the metric holds the target, or infinity: see :func:`held`.

    Raises
    ------
    GradstepValueError
        For steps and values that are not of one length.
    """
    met = np.array([target.met(value) for value in values], bool)[:, None]
    return float(held(steps, met, target.patience)[0])


def held(steps: Sequence[float], met: Any, patience: int = 1) -> Array:
    """Return the first of ``steps`` from which a target is met in ``patience`` evaluations in a row, or infinity.

    At the end of a run there may be fewer, if it is met in all that are left.

    Parameters
    ----------
    steps
        One run's evaluations, in their order.
    met
        bool [evaluation, target].
    patience
        1: the first touch counts.

    Returns
    -------
    ndarray
        float64 [target].

    Raises
    ------
    GradstepValueError
        For steps and evaluations that are not of one length, or a patience below 1.
    """
    met = np.asarray(met, bool)
    if len(steps) != len(met):
        raise GradstepValueError(f"{len(steps)} steps but {len(met)} values; give one for each.")
    if patience < 1:
        raise GradstepValueError(f"patience: one evaluation or more, not {patience}.")
    one = np.zeros((1, met.shape[1]), int)
    missed = np.concatenate([one, np.cumsum(~met, axis=0)])
    ends = np.minimum(np.arange(len(met)) + patience, len(met))
    holds = np.concatenate([missed[ends] == missed[:-1], one == 0])  # the last row: never
    return np.append(np.asarray(steps, np.float64), np.inf)[holds.argmax(axis=0)]


def held_level(steps: Sequence[float], losses: Sequence[float], patience: int = 1, share: float = 1.0) -> float:
    """Return the lowest level that a loss holds by a share of its steps, the start left out; infinity for none.

    It is the least loss that :func:`held` finds met within that share, in ``patience`` evaluations that all lie within.

    Parameters
    ----------
    steps, losses
        One run's evaluations, in their order.
    patience
        Evaluations in a row.
    share
        Of the last step.
    """
    looks = [loss for step, loss in zip(steps, losses, strict=True) if 0 < step <= share * steps[-1]]
    within = [math.inf if math.isnan(loss) else loss for loss in looks]
    spans = zip(*(within[k:] for k in range(patience)), strict=False)
    return min((max(span) for span in spans), default=math.inf)
