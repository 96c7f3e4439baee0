"""Speed-up over a baseline, in one number over many problems."""

from typing import Any

import numpy as np

from gradstep.compare.evidence.statistics.profile import quotients
from gradstep.compare.evidence.statistics.summary import medians
from gradstep.compare.evidence.statistics.tables import Array, solver_number, table


def priced(times: Any, prices: Any) -> Array:
    """``times`` with a price for each miss, the least that it would have taken: none is free, and none infinite.

    AlgoPerf prices a miss at the budget and a second more (mlcommons/algorithmic-efficiency, pull request 778).

    Parameters
    ----------
    times
        Array [..., problem, solver, run], infinity for a miss.
    prices
        Finite, of a shape that broadcasts with [problem, solver]: the budget, and one evaluation more.
    """
    times = table("times", times, "problem, solver, seed", positive=True, resampled=True)
    return np.where(times < np.inf, times, table("prices", prices, "problem, solver", positive=True)[..., None])


def log_speedups(times: Any, baseline: int) -> Array:
    """The logarithm of the geometric mean of baseline's time over the solver's, medians over runs, over all problems.

    The mean for ratios (Fleming and Wallace 1986, Commun. ACM 29); that of twice as fast is log 2.

    Parameters
    ----------
    times
        Array [..., problem, solver, run], of :func:`priced`.
    baseline
        The number of the solver that the others are compared with.

    Returns
    -------
    ndarray
        float64 [..., solver]; NaN where both miss a problem without a price.

    Raises
    ------
    GradstepValueError
        For a table with a hole (NaN), a negative time, or a baseline that is not there.
    """
    middle = medians(table("times", times, "problem, solver, seed", positive=True, resampled=True))
    solver_number("baseline", baseline, middle.shape[-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(quotients(middle[..., baseline, None], middle)).mean(axis=-2)


def speedups(times: Any, baseline: int) -> Array:
    """:func:`log_speedups` as factors: 2 is twice as fast."""
    return np.exp(log_speedups(times, baseline))
