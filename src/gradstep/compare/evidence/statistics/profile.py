"""Which solver first, over many problems: performance profiles, and the score that AlgoPerf takes from them."""

from typing import Any

import numpy as np

from gradstep.compare.evidence.statistics.steps import StepFunction, cumulative
from gradstep.compare.evidence.statistics.summary import medians
from gradstep.compare.evidence.statistics.tables import Array, table
from gradstep.errors import GradstepValueError

R_MAX = 4.0  # AlgoPerf's: who needs four times as long as the fastest gets nothing for it


def quotients(times: Array, others: Array) -> Array:
    """``times / others``, where nothing over nothing is 1 and a miss over a miss is NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((times == 0) & (others == 0), 1.0, times / others)


def ratios(times: Any) -> Array:
    """Each time over the best of its problem (Dolan and Moré 2002, Math. Program. 91, section 2).

    Parameters
    ----------
    times
        Array [..., problem, solver], none negative, infinity for a miss. Several seeds make one time by their median
        first (:func:`~gradstep.compare.evidence.statistics.medians`).

    Returns
    -------
    ndarray
        float64 of the same shape, 1 or more; infinity for a miss, and for all on a problem that nobody solves. Where a
        solver has it in no time at all, it has ratio 1 and whoever needs any time infinity, the limit of small times.

    Raises
    ------
    GradstepValueError
        For a table with a hole (NaN), a negative time, or no problem or solver.
    """
    times = table("times", times, "problem, solver", positive=True, resampled=True)
    return np.where(times < np.inf, quotients(times, times.min(axis=-1, keepdims=True)), np.inf)


def profiles(times: Any) -> list[StepFunction]:
    """The performance profile of each solver: at r, the fraction of problems solved within r times the best time.

    Problems that nobody solves count among all (Dolan and Moré 2002, equation 2.1; AlgoPerf, arXiv 2306.07179).

    Parameters
    ----------
    times
        Array [problem, solver], as for :func:`ratios`.

    Returns
    -------
    list of StepFunction
        One a solver, jumps at ratios of 1 or more.

    Raises
    ------
    GradstepValueError
        As :func:`ratios`.
    """
    return [cumulative(column) for column in ratios(times).T]


def scores(times: Any, r_max: float = R_MAX) -> Array:
    """AlgoPerf's score: the integral of the profile from 1 to ``r_max``, over ``r_max - 1`` (arXiv 2306.07179).

    Exact, from no grid: a problem solved at ratio r adds 1 to the profile from r on, so its part of the integral is
    ``r_max - r``, or nothing beyond ``r_max``.

    Parameters
    ----------
    times
        Array [..., problem, solver], as for :func:`ratios`.
    r_max
        Where the integral ends; above 1, finite.

    Returns
    -------
    ndarray
        float64 [..., solver], from 0 (nothing solved in time) to 1 (always the fastest).

    Raises
    ------
    GradstepValueError
        As :func:`ratios`, or for an ``r_max`` out of range.
    """
    if not 1 < r_max < np.inf:
        raise GradstepValueError(f"r_max: a profile is integrated from 1 to a finite number above 1, not to {r_max}.")
    return np.mean(np.maximum(r_max - ratios(times), 0) / (r_max - 1), axis=-2)


def run_scores(times: Any, r_max: float = R_MAX) -> Array:
    """:func:`scores` of the medians over seeds: ``times`` [..., problem, solver, seed], result [..., solver]."""
    return scores(medians(table("times", times, "problem, solver, seed", positive=True, resampled=True)), r_max)
