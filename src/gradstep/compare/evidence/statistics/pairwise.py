"""Is one solver better than another: how probably, on how good evidence, and which cannot be told apart."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from gradstep.compare.evidence.statistics.intervals import LEVEL, Draws, Interval, between, fitting_draws
from gradstep.compare.evidence.statistics.profile import quotients
from gradstep.compare.evidence.statistics.tables import Array, solver_number, table
from gradstep.errors import GradstepValueError

MIN_PROBLEMS = 6  # fewer give Friedman's test nothing to go by


def improvement(values: Any, draws: Draws | None = None, level: float = LEVEL) -> Interval:
    """The probability that a run of one solver is better than a run of another, mean over problems.

    All pairs of runs are compared, Mann and Whitney's U; equals, two misses among them, count half (Agarwal et al.
    2021, arXiv 2108.13264, section 4.3, where more is better: here less is). No scale is needed.

    Parameters
    ----------
    values
        Array [problem, solver, seed], less is better, infinity for a miss.
    draws, level
        As for :func:`.interval`: both solvers are resampled together, as they share seeds.

    Returns
    -------
    Interval
        float64 [solver, solver]: the row better than the column; one half on the diagonal.

    Raises
    ------
    GradstepValueError
        As :func:`.interval`.
    """
    values = table("values", values, "problem, solver, seed")
    draws = fitting_draws(draws, values)
    problems, solvers, seeds = values.shape
    drawn = np.broadcast_to(draws, (len(draws), problems, seeds))
    found, resampled = np.zeros(solvers * solvers), np.zeros((len(draws), solvers * solvers))
    for k, runs in enumerate(values.transpose(0, 2, 1)):
        ours, theirs = runs[:, None, :, None], runs[None, :, None, :]
        better = ((ours < theirs) + 0.5 * (ours == theirs)).reshape(seeds * seeds, -1)
        # A resample is how often it takes each seed, and its U a quadratic form in that.
        taken = (drawn[:, k, :, None] == np.arange(seeds)).sum(axis=1, dtype=np.float64)
        found += better.sum(axis=0)
        resampled += (taken[:, :, None] * taken[:, None, :]).reshape(len(draws), -1) @ better
    square, whole = (-1, solvers, solvers), problems * seeds * seeds
    return between(found.reshape(square)[0] / whole, resampled.reshape(square) / whole, level)


def signed_rank(times: Any, baseline: int | None = None) -> Array:
    """Wilcoxon's signed rank test of every two solvers over pairs of times, corrected by Holm.

    Two-sided, of the ratios of times, so that no problem weighs more than another for being longer: a ratio of one is
    left out (Wilcoxon's own treatment), equal ratios share their rank, and a hit beside a miss ranks above all finite
    ratios. The distribution is exact for any number of pairs, ties included. Over many problems the pairs are the
    problems, each a median over seeds (Demšar 2006, JMLR 7, section 3.1.3); on one problem they are the seeds.

    Parameters
    ----------
    times
        Array [pair, solver], none negative, infinity for a miss.
    baseline
        The number of a solver: only the pairs with it are tested, which corrects for fewer tests.

    Returns
    -------
    ndarray
        float64 [solver, solver], symmetric: p after Holm's correction, NaN where nothing is tested.

    Raises
    ------
    GradstepValueError
        For a table with a hole (NaN), a negative time, other than two axes, or a baseline that is not there.
    """
    times = table("times", times, "pair, solver", positive=True)
    solvers = times.shape[1]
    if baseline is not None:
        solver_number("baseline", baseline, solvers)
    tested = [(i, j) for i in range(solvers) for j in range(i) if baseline in (None, i, j)]
    found = np.full((solvers, solvers), np.nan)
    if tested:
        p = [_signed_rank(times[:, i], times[:, j]) for i, j in tested]
        for (i, j), adjusted in zip(tested, holm(p), strict=True):
            found[i, j] = found[j, i] = adjusted
    return found


def holm(p: Any) -> Array:
    """Probabilities corrected for their number: the k-th least of m times m + 1 - k, never falling (Holm 1979).

    Parameters
    ----------
    p
        Array [test], each from 0 to 1.

    Returns
    -------
    ndarray
        float64 [test], in the order given.

    Raises
    ------
    GradstepValueError
        For no p, NaN, or one out of range.
    """
    p = table("p", p, "test")
    if p.min() < 0 or p.max() > 1:
        raise GradstepValueError("p: probabilities are from 0 to 1.")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


@dataclass(frozen=True)
class CriticalDifference:
    """The numbers of a critical-difference diagram.

    Attributes
    ----------
    ranks
        float64 [solver]: the mean rank over problems, 1 is best.
    distance
        Two solvers differ if their ranks are further apart than this.
    p
        Of Friedman's test that all are the same; where it is not small, the distance proves nothing.
    groups
        Solvers that cannot be told apart, as numbers from the best to the worst, the longest groups only: a line each.
    """

    ranks: Array
    distance: float
    p: float
    groups: list[list[int]]


def critical_difference(values: Any, level: float = LEVEL) -> CriticalDifference:
    """Mean ranks over problems and Nemenyi's critical difference (Demšar 2006, JMLR 7, sections 3.2.2 and 3.2.4).

    Parameters
    ----------
    values
        Array [problem, solver], less is better, infinity for a miss; equals share their rank. Several seeds make one
        value by their median first. Six problems or more, two solvers or more.
    level
        1 less the chance to call any two different if all are the same.

    Raises
    ------
    GradstepValueError
        For a table with a hole (NaN), fewer problems or solvers, or a level out of range.
    """
    from scipy import stats  # 1 s

    values = table("values", values, "problem, solver")
    problems, solvers = values.shape
    if problems < MIN_PROBLEMS or solvers < 2:
        raise GradstepValueError(
            f"critical_difference: {problems} problems and {solvers} solvers are too few; "
            f"it takes {MIN_PROBLEMS} problems and 2 solvers."
        )
    if not 0 < level < 1:
        raise GradstepValueError(f"level: a fraction between 0 and 1, not {level}.")
    table_of_ranks: Array = stats.rankdata(values, axis=1)
    ranks = table_of_ranks.mean(axis=0)
    middle = (solvers + 1) / 2
    # Friedman's chi-square with its correction for ties; nothing but ties is no evidence.
    within = ((table_of_ranks - middle) ** 2).sum()
    chi2 = (solvers - 1) * problems**2 * ((ranks - middle) ** 2).sum() / within if within else 0.0
    q = stats.studentized_range.ppf(level, solvers, np.inf) / sqrt(2)
    distance = float(q * sqrt(solvers * (solvers + 1) / (6 * problems)))
    return CriticalDifference(ranks, distance, float(stats.chi2.sf(chi2, solvers - 1)), _groups(ranks, distance))


def _groups(ranks: Array, distance: float) -> list[list[int]]:
    order = np.argsort(ranks, kind="stable")
    ends = np.searchsorted(ranks[order], ranks[order] + distance, side="right")
    # A group that ends where the one before it does lies within it.
    return [
        [int(i) for i in order[start:end]]
        for start, end in enumerate(ends)
        if end - start > 1 and (start == 0 or end > ends[start - 1])
    ]


def _signed_rank(ours: Array, theirs: Array) -> float:
    """Return the exact two-sided p, with ties: SciPy's ``wilcoxon(method="exact")`` refuses them, and zeros."""
    ours, theirs = ours[ours != theirs], theirs[ours != theirs]
    ratio = quotients(np.maximum(ours, theirs), np.minimum(ours, theirs))
    _, place, count = np.unique(ratio, return_inverse=True, return_counts=True)
    # Twice the rank, which is whole for ties too: of those before it, and half of its equals.
    doubled = (2 * np.cumsum(count) - count + 1)[place]
    sums = np.ones(1)
    for rank in doubled:
        sums = (np.append(sums, np.zeros(rank)) + np.append(np.zeros(rank), sums)) / 2
    positive = doubled[ours > theirs].sum()
    return float(min(1.0, 2 * min(sums[: positive + 1].sum(), sums[positive:].sum())))
