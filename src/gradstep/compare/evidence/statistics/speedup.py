"""Speed-up over a baseline, in one number over many problems."""

from typing import Any

import numpy as np

from gradstep.compare.evidence.statistics.profile import quotients
from gradstep.compare.evidence.statistics.summary import medians
from gradstep.compare.evidence.statistics.tables import Array, solver_number, table


def speedups(times: Any, baseline: int) -> Array:
    """The geometric mean of baseline's time over the solver's, medians over seeds, on the problems that both solve.

    The mean for ratios (Fleming and Wallace 1986, Commun. ACM 29); 2 is twice as fast. It says nothing of the problems
    that one of them misses: :func:`solved_by_both` counts those that it speaks of. Its interval is
    ``interval(partial(speedups, baseline=0), times)``, in which each resample has its own such problems.

    Parameters
    ----------
    times
        Array [..., problem, solver, seed], none negative, infinity for a miss.
    baseline
        The number of the solver that the others are compared with.

    Returns
    -------
    ndarray
        float64 [..., solver]; NaN where there is no problem that both solve.

    Raises
    ------
    GradstepValueError
        For a table with a hole (NaN), a negative time, or a baseline that is not there.
    """
    middle, both = _solved(times, baseline)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(both, np.log(quotients(middle[..., baseline, None], middle)), 0)
        return np.exp(logs.sum(axis=-2) / both.sum(axis=-2))


def solved_by_both(times: Any, baseline: int) -> Array:
    """Return the number of problems that baseline and solver both solve, by medians; shapes and errors as there."""
    return _solved(times, baseline)[1].sum(axis=-2).astype(np.float64)


def _solved(times: Any, baseline: int) -> tuple[Array, Any]:
    middle = medians(table("times", times, "problem, solver, seed", positive=True, resampled=True))
    solver_number("baseline", baseline, middle.shape[-1])
    return middle, (middle < np.inf) & (middle[..., baseline, None] < np.inf)
