"""Bootstrap intervals over seeds that all solvers share, problem by problem."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.compare.evidence.statistics.summary import medians
from gradstep.compare.evidence.statistics.tables import Array, solver_number, table
from gradstep.errors import GradstepValueError

Draws = NDArray[np.intp]
Statistic = Callable[[Array], Array]

LEVEL = 0.95
RESAMPLES = 2000
_AT_ONCE = 1 << 21  # numbers that are resampled in one go: 16 MB


@dataclass(frozen=True)
class Interval:
    """Estimates and their intervals, arrays of one shape; NaN where a statistic is not defined."""

    estimate: Array
    low: Array
    high: Array


def paired_draws(problems: int, seeds: int, resamples: int = RESAMPLES, seed: int = 0) -> Draws:
    """Which seeds each resample takes: as many as there are, with replacement, drawn for each problem by itself.

    Stratified by problem (Agarwal et al. 2021, arXiv 2108.13264, section 4.1); one draw serves all solvers, because
    they ran on the same seeds.

    Parameters
    ----------
    problems, seeds
        Of the table. With ``problems=1`` one draw serves all problems of a table too: whole curves are resampled where
        its "problems" are points of one curve.
    resamples
        How many.
    seed
        Of NumPy's default generator.

    Returns
    -------
    ndarray
        intp [resample, problem, seed].

    Raises
    ------
    GradstepValueError
        For fewer than two seeds, which show no spread, or less than one problem or resample.
    """
    if seeds < 2:
        raise GradstepValueError(f"intervals: {seeds} seed shows no spread; run two or more.")
    if problems < 1 or resamples < 1:
        raise GradstepValueError(f"intervals: need a problem and a resample, not {problems} and {resamples}.")
    return np.random.default_rng(seed).integers(seeds, size=(resamples, problems, seeds), dtype=np.intp)


def interval(statistic: Statistic, values: Any, draws: Draws | None = None, level: float = LEVEL) -> Interval:
    """A statistic of a table of runs with its percentile bootstrap interval.

    The bounds are quantiles of the statistic over resamples of the table, linear between neighbours (rliable's
    "percentile"; Efron and Tibshirani 1993, section 13.3). Resamples for which it is not defined (NaN) are left out;
    infinite ones are not, so that a bound may be infinite: a miss is possible there.

    Parameters
    ----------
    statistic
        [..., problem, solver, seed] to anything that keeps the first axes: :func:`iqm`, :func:`pooled_median`,
        :func:`~gradstep.compare.evidence.statistics.medians` (each problem by itself),
        :func:`~gradstep.compare.evidence.statistics.run_scores`, or one of one's own.
    values
        Array [problem, solver, seed], infinity for a miss.
    draws
        Of :func:`paired_draws`, which makes them if there are none: 2000 with seed 0.
    level
        The part of the distribution that lies between the bounds.

    Returns
    -------
    Interval
        Of the statistic's shape.

    Raises
    ------
    GradstepValueError
        For a table with a hole (NaN) or without a second seed, draws that do not fit it, or a level out of range.
    """
    values = table("values", values, "problem, solver, seed")
    draws = fitting_draws(draws, values)
    each = max(1, _AT_ONCE // values.size)
    parts = [
        statistic(np.take_along_axis(values[None], draws[i : i + each, :, None, :], axis=-1))
        for i in range(0, len(draws), each)
    ]
    return between(statistic(values), np.concatenate(parts), level)


def differences(
    statistic: Statistic, values: Any, baseline: int, draws: Draws | None = None, level: float = LEVEL
) -> Interval:
    """The statistic of each solver less that of the baseline, resampled together.

    As both take the same draws, what their seeds have in common is not counted as doubt: a constant difference has an
    interval without width. Two misses have no difference, NaN.

    Parameters
    ----------
    statistic
        One whose last axis is the solver.
    values, draws, level
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

    return interval(difference, values, draws, level)


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


def between(estimate: Array, resampled: Array, level: float) -> Interval:
    """``estimate`` between the quantiles of ``resampled`` [resample, ...] that have ``level`` between them."""
    if not 0 < level < 1:
        raise GradstepValueError(f"level: a fraction between 0 and 1, not {level}.")
    ordered = np.sort(resampled, axis=0)  # NaN last
    last = (~np.isnan(ordered)).sum(axis=0) - 1
    low, high = (_quantile(ordered, last, q) for q in ((1 - level) / 2, (1 + level) / 2))
    undefined = np.isnan(estimate)
    return Interval(estimate, np.where(undefined, np.nan, low), np.where(undefined, np.nan, high))


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
    """``draws`` if they fit ``values`` [problem, solver, seed], or new ones for None."""
    problems, _, seeds = values.shape
    if draws is None:
        return paired_draws(problems, seeds)
    if draws.ndim != 3 or draws.shape[1] not in (1, problems) or draws.min() < 0 or draws.max() >= seeds:
        raise GradstepValueError(
            f"draws: of shape {draws.shape}, but the table has {problems} problems and {seeds} seeds; "
            f"take paired_draws({problems}, {seeds})."
        )
    return draws


def _pooled(values: Any) -> Array:
    """[..., problem, solver, seed] to [..., solver, run]."""
    values = np.moveaxis(table("values", values, "problem, solver, seed", resampled=True), -3, -2)
    return values.reshape(*values.shape[:-2], -1)
