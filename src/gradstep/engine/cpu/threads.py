"""The number of threads that a step may use.

The caller decides with :func:`set_threads`, ``gs.Optimizer(threads=...)`` or ``GRADSTEP_NUM_THREADS``; else it is
``OMP_NUM_THREADS`` (joblib sets it in its workers), else the cores that this process may run on.
"""

import os
import platform
import sys
from typing import Any

from gradstep.engine.cpu.job import MOST
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.naming import is_whole

FUTEX_NUMBERS = {  # of the system call, by machine
    "x86_64": 202,
    "aarch64": 98,
}
_chosen: list[int | None] = [None]


def set_threads(n: int | None) -> None:
    """Let each step use at most ``n`` threads; the result has the same bits for any number of them.

    Parameters
    ----------
    n
        At least 1, the caller's own among them; None: the environment and the machine decide again. An optimizer made
        with ``threads=`` keeps its own number.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        When it is no integer, or less than 1.
    """
    _chosen[0] = checked_threads(n)


def get_threads() -> int:
    """The most threads that a step would use now, the caller's own among them."""
    return allowed(None)


def allowed(own: int | None) -> int:
    """The most threads for a step of an optimizer that was made with ``threads=own``."""
    if not is_available():
        return 1
    return min(MOST, own or _chosen[0] or _from_environment() or _cores())


def checked_threads(n: Any) -> int | None:
    """``n`` itself when it is a number of threads, or None."""
    if n is None:
        return None
    if not is_whole(n):
        raise GradstepTypeError(f"threads must be an integer, not {n!r}.")
    if n < 1:
        raise GradstepValueError(f"threads must be at least 1, not {n}.")
    return int(n)


def is_available() -> bool:
    """Return whether helpers can sleep in compiled code: on Linux. Elsewhere a step runs on its caller's thread."""
    return sys.platform == "linux" and platform.machine() in FUTEX_NUMBERS


def _from_environment() -> int | None:
    for name in ("GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS"):
        try:
            n = int(os.environ.get(name, "").partition(",")[0])  # OpenMP takes a list, one for each level
        except ValueError:
            continue
        if n > 0:
            return n
    return None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
