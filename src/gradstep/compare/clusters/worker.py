"""The work of a cluster's worker: a run in a process apart, for code of the user's may end it; and who made it."""

import multiprocessing
import platform
import threading
from collections.abc import Mapping
from contextlib import chdir
from functools import cache
from multiprocessing.util import Finalize
from typing import Any, TypeVar

from gradstep.compare.clusters.parcel import Parcel, unpacked
from gradstep.compare.making import alone, tried
from gradstep.compare.processes import Apart
from gradstep.compare.record import Made, PlannedRun, RunRecord
from gradstep.environment import environment
from gradstep.errors import GradstepValueError

DECISIVE = ("gradstep", "NumPy")  # versions that must be those of the lead: they may give a run other numbers

T = TypeVar("T")


class UnlikeError(GradstepValueError):
    """A worker has another version of Gradstep or NumPy than the lead."""


def versions() -> dict[str, str]:
    """Return the versions on which the numbers of runs depend."""
    return {name: _here()[name] for name in DECISIVE}


def make(todo: PlannedRun, parcel: Parcel | None, asked: Mapping[str, str]) -> Made:
    """Make a run on a worker; each thread of it has a process apart, so that a run has its thread pools to itself.

    Parameters
    ----------
    todo
        The run, with paths as they are at the lead.
    parcel
        The files; None where there are none.
    asked
        The lead's :func:`versions`.

    Raises
    ------
    UnlikeError
        When those here are others.
    """
    if unlike := [f"{name} {_here()[name]}, not {x}" for name, x in asked.items() if _here()[name] != x]:
        raise UnlikeError(
            f"the worker on {platform.node()} has {' and '.join(unlike)} as here, which may give other numbers; "
            f"install the same on both."
        )
    call = _apart("" if parcel is None else parcel.sha256)
    if parcel is None:
        return Made(tried(todo, call), dict(_here()))
    folder = unpacked(parcel)
    return Made(tried(parcel.moved(todo, folder), call, _in, str(folder / parcel.here)), dict(_here()))


def same(x: T) -> T:
    """Return what is given: a parcel becomes a result, which the cluster carries to those who need it."""
    return x


def _in(folder: str, todo: PlannedRun) -> RunRecord:
    with chdir(folder):
        return alone(todo)


@cache
def _here() -> dict[str, str]:
    return environment()


def _apart(files: str) -> Any:
    """The process apart of this thread; a new one for other files, whose modules may have the names of those before."""
    own = _own.__dict__
    if not own:
        own["apart"] = Apart()
        # Dask's nannies keep their workers from having children. Those here end by themselves when the worker is gone,
        # and with it when it ends in order, which would wait for them.
        multiprocessing.current_process().daemon = False
        Finalize(None, own["apart"].end, exitpriority=100)
    if own.setdefault("files", files) != files:
        own["apart"].end()
        own["files"] = files
    return own["apart"].call


_own = threading.local()
