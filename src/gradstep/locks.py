"""Locks that a fork does not leave locked, and the refusal to wait for oneself.

A thread that holds a lock may be asked for it again: by a signal handler, a finalizer, a schedule or a callback that
runs within the step. Waiting would last for ever. Such a lock is re-entrant: reading goes on, and a change is refused.
"""

import os
import threading
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from gradstep.errors import InUseError

PATIENCE = 10.0  # seconds for which a thread waits for another one's evaluation or step, which may wait for this thread
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


@contextmanager
def turn(lock: Any, what: str, within: str) -> Generator[None]:
    """Hold the lock within the block; another thread's hold of it is waited for, but not for ever.

    Code of the user's that runs under the lock may itself wait for the thread that calls.

    Raises
    ------
    InUseError
        As :func:`refuse_reentry`; and when another thread still holds the lock after ten seconds.
    """
    refuse_reentry(lock, what, within)
    if not lock.acquire(timeout=PATIENCE):
        raise InUseError(
            f"{what} waited {PATIENCE:g} s for {within}, which another thread is making, and which may be waiting for "
            f"this call; call it from a callback, or when the loop has ended. Nothing was changed by this call."
        )
    try:
        yield
    finally:
        lock.release()


def _open_all() -> None:
    for lock in list(_locks):
        if not lock._is_owned():  # the thread that forks goes on in the child, and leaves what it is in
            lock._at_fork_reinit()  # as the standard library's own modules do


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_all)
