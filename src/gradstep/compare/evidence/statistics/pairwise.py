"""Is one solver better than another: how probably, and between which of them that is more than chance."""

from itertools import combinations
from math import erfc, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.compare.evidence.statistics.draws import Draws, Unit
from gradstep.compare.evidence.statistics.intervals import LEVEL, Interval, between, fitting_draws
from gradstep.compare.evidence.statistics.tables import Array, table
from gradstep.errors import GradstepValueError

EXACT = 100  # units; of more, the distribution of their sum is normal in all digits that matter


def improvement(values: Any, draws: Draws | None = None, level: float = LEVEL) -> Interval:
    """The probability that a run of one solver is better than a run of another, mean over problems.

    All pairs of runs are compared, Mann and Whitney's U; equals, two misses among them, count half (Agarwal et al.
    2021, arXiv 2108.13264, section 4.3, where more is better: here less is). No scale is needed.

    Parameters
    ----------
    values
        Array [problem, solver, run], less is better, infinity for a miss.
    draws, level
        As for :func:`.interval`: both solvers are resampled together, as they share seeds.

    Returns
    -------
    Interval
        float64 [solver, solver]: the row better than the column; one half on the diagonal.

    Raises
    ------
    GradstepValueError
        As :func:`.interval`, and for draws of problems: their probabilities are those of these problems.
    """
    values = table("values", values, "problem, solver, seed")
    draws = fitting_draws(draws, values)
    if draws.problems is not None:
        raise GradstepValueError("draws: give some that take each problem once.")
    problems, solvers, runs = values.shape
    found, resampled = np.full((solvers, solvers), 0.5), np.full((len(draws), solvers, solvers), 0.5)
    taken = [counts(draws.runs[:, k], runs) for k in range(draws.runs.shape[1])]
    for i, j in combinations(range(solvers), 2):
        one, many = 0.0, np.zeros(len(draws))
        for k, own in enumerate(values):
            ours, theirs = own[i, :, None], own[j]
            better = (ours < theirs) + 0.5 * (ours == theirs)
            weights = taken[k if len(taken) > 1 else 0]
            one += better.mean()
            # A resample is how often it takes each run, and its U a quadratic form in that.
            many += ((weights @ better) * weights).sum(axis=1) / runs**2
        found[i, j], found[j, i] = one / problems, 1 - one / problems
        resampled[:, i, j], resampled[:, j, i] = many / problems, 1 - many / problems
    sure = between(found, resampled, draws, level)
    return Interval(found, sure.low, sure.high)


def counts(drawn: NDArray[np.intp], runs: int) -> Array:
    """Return how often each draw [resample, run] takes each of so many runs: float64 [resample, run]."""
    places = drawn + runs * np.arange(len(drawn))[:, None]
    return np.bincount(places.ravel(), minlength=len(drawn) * runs).reshape(len(drawn), runs).astype(np.float64)


def pair_tests(values: Any, searches: int = 1, over: Unit = "seeds", fixed: Any = False) -> Array:
    """Test of every two solvers whether the probability of :func:`improvement` is one half, uncorrected.

    Exact and two-sided: were two solvers alike, each unit could as well have given either's runs to the other. That
    turns the sign of what the unit adds to Mann and Whitney's U, and all turns are equally probable. It holds with ties
    and misses, and pairs what was paired; of more than 100 units the sum is taken as normal.

    Parameters
    ----------
    values
        Array [problem, solver, run], less is better, infinity for a miss; run ``search * seeds + seed``.
    searches
        How many there are.
    over
        A unit is ``"searches"``: all seeds of a search on a problem; or ``"seeds"``: one seed of one search.
    fixed
        bool [problem]: problems without randomness, of which all runs are one unit.

    Returns
    -------
    ndarray
        float64 [solver, solver], symmetric: p; 1 on the diagonal.
    """
    values = table("values", values, "problem, solver, seed")
    problems, solvers, runs = values.shape
    own = np.arange(runs) // (runs // searches) if over == "searches" else np.arange(runs)
    units = np.arange(problems)[:, None] * runs + np.where(np.broadcast_to(fixed, problems)[:, None], 0, own)
    found = np.ones((solvers, solvers))
    for i, j in combinations(range(solvers), 2):
        added = np.concatenate([_places(x[j], x[[i, j]]) - _places(x[i], x[[i, j]]) for x in values])
        found[i, j] = found[j, i] = turned(np.bincount(units.ravel(), added).astype(np.int64))
    return found


def claims(better: Any, p: Any, level: float = LEVEL) -> NDArray[np.bool_]:
    """Which solver is better than which by more than chance: any false claim has a probability of 1 - ``level``.

    First the winner: a solver that is ahead of each other one at p up to 1 - ``level``. That all of these hold is one
    claim, which needs no correction (Berger 1982, Technometrics 24: an intersection-union test). If there is one, the
    same is asked of the others among themselves, and so on. Among those where nobody wins, all pairs are tested with
    Holm's correction.

    Parameters
    ----------
    better, p
        Arrays [solver, solver] of :func:`improvement` and :func:`pair_tests`.
    level
        Of confidence.

    Returns
    -------
    ndarray
        bool [solver, solver]: the row is better than the column.
    """
    ahead = np.asarray(better) > 0.5
    p, alpha = np.asarray(p), 1 - level
    found = np.zeros(ahead.shape, bool)
    left = list(range(len(ahead)))
    while len(left) > 1:
        winners = [i for i in left if all(ahead[i, j] and p[i, j] <= alpha for j in left if j != i)]
        if not winners:
            break
        left.remove(winners[0])
        found[winners[0], left] = True
    pairs = list(combinations(left, 2))
    for (i, j), adjusted in zip(pairs, holm([p[pair] for pair in pairs]) if pairs else [], strict=True):
        found[i, j], found[j, i] = (adjusted <= alpha and ahead[pair] for pair in ((i, j), (j, i)))
    return found


def least_p(units: int, tests: int = 1) -> float:
    """The least p that a test of signs over so many units can have, after Holm's correction for so many tests."""
    return min(1.0, tests * 2.0 ** (1 - units))


def units_needed(tests: int = 1, level: float = LEVEL) -> int:
    """Return the least number of units with which :func:`least_p` comes to 1 - ``level``."""
    return next(units for units in range(1, 1100) if least_p(units, tests) <= 1 - level)


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


def turned(numbers: NDArray[np.int64]) -> float:
    """Return the two-sided p of a sum of whole numbers, if each could as well have had the other sign."""
    sizes, total = np.abs(numbers[numbers != 0]), abs(int(numbers.sum()))
    if len(sizes) == 0:
        return 1.0
    sizes //= (unit := int(np.gcd.reduce(sizes)))
    total //= unit
    if len(sizes) > EXACT:
        return erfc(total / sqrt(2.0 * float(sizes @ sizes)))
    sums = np.ones(1)  # of the sizes that are turned up
    for size in sizes.tolist():
        sums = (np.append(sums, np.zeros(size)) + np.append(np.zeros(size), sums)) / 2
    return float(min(1.0, 2 * sums[(int(sizes.sum()) + total) // 2 :].sum()))


def _places(runs: Array, both: Array) -> NDArray[np.int64]:
    """Twice the rank of each run among those of both solvers, less one; equals share theirs."""
    ordered = np.sort(both, axis=None)
    return np.searchsorted(ordered, runs, "left") + np.searchsorted(ordered, runs, "right")
