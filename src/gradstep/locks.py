"""Locks that a fork does not leave locked, and the refusal to wait for oneself.

A thread that holds a lock may be asked for it again: by a signal handler, a finalizer, a schedule or a callback that
runs within the step. Waiting would last for ever. Such a lock is re-entrant: reading goes on, and a change is refused.
"""

import os
import threading
import weakref
from typing import Any

from gradstep.errors import InUseError

_locks: "weakref.WeakSet[Any]" = weakref.WeakSet()


def new_lock() -> Any:
    """Return a re-entrant lock that is open again in the child of a fork."""
    lock: Any = threading.RLock()
    _locks.add(lock)
    return lock


def refuse_reentry(lock: Any, what: str, within: str = "a step of the same optimizer") -> None:
    """Raise where this thread holds the lock already; ``what`` is the call, ``within`` what is made, for the error.

    Raises
    ------
    InUseError
        When a signal handler, a schedule or a callback has made the call within another one.
    """
    if lock._is_owned():  # of the standard library's own Condition
        raise InUseError(
            f"{what} was called while {within} is being made, by a schedule, a callback, a "
            f"finalizer or a signal handler; call it when the step has returned. Nothing was changed by this call."
        )


def _open_all() -> None:
    for lock in list(_locks):
        if not lock._is_owned():  # the thread that forks goes on in the child, and leaves what it is in
            lock._at_fork_reinit()  # as the standard library's own modules do


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_all)
