"""Bootstrap intervals over searches and seeds that all solvers share, problem by problem."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.compare.evidence.statistics.draws import Draws, Unit, paired_draws
from gradstep.compare.evidence.statistics.summary import medians
from gradstep.compare.evidence.statistics.tables import Array, solver_number, table
from gradstep.errors import GradstepValueError

Statistic = Callable[[Array], Array]

LEVEL = 0.95
_AT_ONCE = 1 << 21  # numbers that are resampled in one go: 16 MB


@dataclass(frozen=True)
class Interval:
    """Estimates and their intervals, arrays of one shape; NaN where a statistic is not defined."""

    estimate: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Estimate(Interval):
    """Numbers of a study with what is known of their certainty, arrays of one shape.

    Attributes
    ----------
    over
        What the interval resamples: searches with their seeds, or seeds with the searches as they are. None: there are
        too few of both for an interval, and ``low`` and ``high`` are the least and the greatest that single runs give;
        NaN where one run is all, or a single run gives nothing.
    """

    over: Unit | None


def interval(
    statistic: Statistic, values: Any, draws: Draws | None = None, level: float = LEVEL, smooth: bool = False
) -> Interval:
    """A statistic of a table of runs with its bootstrap interval.

    The bounds are quantiles of the statistic over resamples of the table, linear between neighbours (rliable's
    "percentile"; Efron and Tibshirani 1993, section 13.3). A few units show less than all of their spread: the
    quantiles lie as far out as Student's distribution says for so many (Hesterberg 2015, arXiv 1411.5279), without his
    factor sqrt(n / (n - 1)), which the median does not need. Resamples for which a statistic is not defined (NaN)
    are left out; infinite ones are not, so that a bound may be infinite: a miss is possible there.

    A score compares medians with the least of them, which is too low by its noise, and the more so in a resample;
    quantiles lie below it on both counts. With ``smooth`` the bounds lie evenly around the estimate less its bias
    (Efron and Tibshirani 1993, section 10.3), as far as the resamples spread; both are corrected by n / (n - 1), and
    the distance is Student's, of the units of all problems.

    Coverage has been measured: ``python benchmarks/calibration.py``.

    Parameters
    ----------
    statistic
        [..., problem, solver, run] to anything that keeps the first axes: :func:`iqm`, :func:`pooled_median`,
        :func:`~gradstep.compare.evidence.statistics.medians` (each problem by itself),
        :func:`~gradstep.compare.evidence.statistics.run_scores`, or one of one's own.
    values
        Array [problem, solver, run], infinity for a miss.
    draws
        Of :func:`paired_draws`, which makes them if there are none: 2000 with seed 0, of one search.
    level
        The probability that the bounds hold what the statistic would be of runs without end.
    smooth
        For finite statistics that all problems go into, such as scores and logarithms of ratios.

    Returns
    -------
    Interval
        Of the statistic's shape.

    Raises
    ------
    GradstepValueError
        For a table with a hole (NaN) or without a second run, draws that do not fit it, or a level out of range.
    """
    values = table("values", values, "problem, solver, seed")
    draws = fitting_draws(draws, values)
    each = max(1, _AT_ONCE // values.size)
    parts = [statistic(draws.of(values, i, i + each)) for i in range(0, len(draws), each)]
    return between(statistic(values), np.concatenate(parts), draws, level, len(values) if smooth else 0)


def differences(
    statistic: Statistic,
    values: Any,
    baseline: int,
    draws: Draws | None = None,
    level: float = LEVEL,
    smooth: bool = False,
) -> Interval:
    """The statistic of each solver less that of the baseline, resampled together.

    As both take the same draws, what their seeds have in common is not counted as doubt: a constant difference has an
    interval without width. Two misses have no difference, NaN.

    Parameters
    ----------
    statistic
        One whose last axis is the solver.
    values, draws, level, smooth
        As for :func:`interval`.
    baseline
        The number of the solver that the others are compared with.

    Returns
    -------
    Interval
        float64 [..., solver].

    Raises
    ------
    GradstepValueError
        As :func:`interval`, or for a baseline that is not there.
    """
    values = table("values", values, "problem, solver, seed")
    solver_number("baseline", baseline, values.shape[1])

    def difference(resampled: Array) -> Array:
        found = statistic(resampled)
        with np.errstate(invalid="ignore"):
            return found - found[..., baseline, None]

    return interval(difference, values, draws, level, smooth)


def iqm(values: Any) -> Array:
    """The interquartile mean of each solver over all runs of all problems (Agarwal et al. 2021, section 4.3).

    A quarter of the runs, rounded down, is left out at each end; infinite if more are misses. The values of several
    problems must be on one scale, such as the ratio to the best.

    Parameters
    ----------
    values
        Array [..., problem, solver, seed].

    Returns
    -------
    ndarray
        float64 [..., solver].

    Raises
    ------
    GradstepValueError
        For a table with a hole (NaN), or an empty one.
    """
    runs = np.sort(_pooled(values), axis=-1)
    cut = runs.shape[-1] // 4
    return runs[..., cut : runs.shape[-1] - cut].mean(axis=-1)


def pooled_median(values: Any) -> Array:
    """The median of each solver over all runs of all problems; shapes, scale and errors as :func:`iqm`."""
    return medians(_pooled(values))


def between(estimate: Array, resampled: Array, draws: Draws, level: float, together: int = 0) -> Interval:
    """Return ``estimate`` with the bounds that ``resampled`` [resample, ...] gives, as :func:`interval` tells.

    ``together``: how many problems go into a smooth statistic; 0 for quantiles.
    """
    if not 0 < level < 1:
        raise GradstepValueError(f"level: a fraction between 0 and 1, not {level}.")
    low, high = (_smooth if together else _quantiles)(estimate, resampled, draws, level, together)
    undefined = np.isnan(estimate)
    return Interval(estimate, np.where(undefined, np.nan, low), np.where(undefined, np.nan, high))


def _quantiles(_: Array, resampled: Array, draws: Draws, level: float, _together: int) -> tuple[Array, Array]:
    outside = (1 - level) / 2
    if draws.freedom:
        outside = NormalDist().cdf(-_student(draws.freedom, level))
    ordered = np.sort(resampled, axis=0)  # NaN last
    last = (~np.isnan(ordered)).sum(axis=0) - 1
    return _quantile(ordered, last, outside), _quantile(ordered, last, 1 - outside)


def _smooth(estimate: Array, resampled: Array, draws: Draws, level: float, problems: int) -> tuple[Array, Array]:
    factor = draws.units / (draws.units - 1) if draws.units else 1.0
    freedom = draws.freedom * (problems if draws.problems is None else 1)
    with np.errstate(invalid="ignore"):
        centre = estimate - factor * (resampled.mean(axis=0) - estimate)
        reach = _student(freedom, level) * np.sqrt(factor) * resampled.std(axis=0)
        return np.minimum(centre - reach, estimate), np.maximum(centre + reach, estimate)


def _student(freedom: int, level: float) -> float:
    if freedom == 0:
        return NormalDist().inv_cdf((1 + level) / 2)
    from scipy import special  # half a second

    return float(special.stdtrit(freedom, (1 + level) / 2))


def _quantile(ordered: Array, last: NDArray[np.intp], q: float) -> Array:
    """Return quantiles as NumPy's, but infinite neighbours give no NaN."""
    place = q * np.maximum(last, 0)
    below = np.floor(place).astype(np.intp)
    a, b = (
        np.take_along_axis(ordered, i[None], axis=0)[0] for i in (below, np.minimum(below + 1, np.maximum(last, 0)))
    )
    part = place - below
    with np.errstate(invalid="ignore"):
        return np.where((part == 0) | (a == b), a, a + (b - a) * part)


def fitting_draws(draws: Draws | None, values: Array) -> Draws:
    """``draws`` if they fit ``values`` [problem, solver, run], or new ones for None."""
    if draws is None:
        return paired_draws(values.shape[0], values.shape[2])
    draws.check(values)
    return draws


def _pooled(values: Any) -> Array:
    """[..., problem, solver, seed] to [..., solver, run]."""
    values = np.moveaxis(table("values", values, "problem, solver, seed", resampled=True), -3, -2)
    return values.reshape(*values.shape[:-2], -1)
