"""Solvers compared by their ranks over problems: the signed rank test, and which cannot be told apart."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from gradstep.compare.evidence.statistics.intervals import LEVEL
from gradstep.compare.evidence.statistics.pairwise import holm, turned
from gradstep.compare.evidence.statistics.profile import quotients
from gradstep.compare.evidence.statistics.tables import Array, solver_number, table
from gradstep.errors import GradstepValueError

MIN_PROBLEMS = 6  # fewer give Friedman's test nothing to go by


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
        One of all solvers, where Friedman's test does not tell them apart.
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
    p = float(stats.chi2.sf(chi2, solvers - 1))
    return CriticalDifference(ranks, distance, p, _groups(ranks, distance if p <= 1 - level else float(solvers)))


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
    return turned(np.where(ours > theirs, doubled, -doubled))
