"""Processes that make runs: they end with the one that started them, and a crash in one is an error in words."""

import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, TypeVar

from gradstep.compare.one_thread import ENVIRONMENT
from gradstep.compare.signals import deferred_signals
from gradstep.errors import GradstepError

IDLE = 20.0  # seconds after which a process apart ends that nobody asks for anything
OFTEN = 0.5  # seconds from one look for the parent to the next

T = TypeVar("T")


class EndedError(GradstepError):
    """Code of the user's ended the process that ran it; ``how`` is the signal or the exit code, in words."""

    def __init__(self, how: str) -> None:
        super().__init__(f"its process was ended by {how}.")
        self.how = how


def end_with(parent: int) -> None:
    """End this process, from now on, when ``parent``, which started it, is gone: killed, it could not end it.

    To be called first of all. The number is told by the parent, since it may be gone by now. A forked process has the
    parent's handler of SIGTERM, which raises, and is ended by that signal in silence. Nor does loky, where psutil is
    installed, take data that a problem loads for a leak: it would end the process in the midst of its calls.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if (executor := sys.modules.get("joblib.externals.loky.process_executor")) is not None:
        vars(executor)["_MAX_MEMORY_LEAK_SIZE"] = float("inf")

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(OFTEN)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Apart:
    """A process that makes calls, one after the other: kept for a while, and started when there is none."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._executor: Any = None
        self._used = 0.0  # when it gave its last result

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function there; as :func:`apart`."""
        from joblib.externals.loky.process_executor import BrokenProcessPool

        with self._turn:
            try:
                future = self._submit(function, arguments)
            except BrokenProcessPool:  # by an end between two calls
                self.end()
                future = self._submit(function, arguments)
            try:
                result = future.result()
                self._used = time.monotonic()
                return result
            except BrokenProcessPool as error:
                self.end()
                raise EndedError(_how(str(error))) from None
            except KeyboardInterrupt:
                self.end()
                raise

    def end(self) -> None:
        """End the process, whatever it is at."""
        with deferred_signals():
            executor, self._executor = self._executor, None
            if executor is not None:
                executor.shutdown(wait=True, kill_workers=True)

    def _submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        from joblib.externals.loky import ProcessPoolExecutor

        resource_tracker.ensure_running()  # first: Python 3.11 unblocks SIGINT when it starts one
        if self._executor is not None and time.monotonic() - self._used > IDLE / 2:
            self.end()  # its process may have ended by itself; loky would start another one and not see that one's end
        with deferred_signals():
            if self._executor is None:
                self._executor = ProcessPoolExecutor(
                    1, timeout=IDLE, initializer=end_with, initargs=(os.getpid(),), env=ENVIRONMENT
                )
            return self._executor.submit(_called, str(Path.cwd()), function, arguments)


def apart(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in another process, in this one's current folder, and return what it returns.

    The process is kept for a while, for the next call.

    Parameters
    ----------
    function, arguments
        As pickle takes them: the function by its name in a module.

    Raises
    ------
    EndedError
        When the call ended its process.
    Exception
        Whatever the function raises.
    """
    return here.call(function, *arguments)


here = Apart()


def _called(folder: str, function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    with contextlib.chdir(folder):
        return function(*arguments)


def _how(text: str) -> str:
    """Return the way in which a process ended, out of loky's sentence on it."""
    found = re.search(r"exit codes of the workers are \{(\w+)\((-?\d+)\)", text)
    if found is None:
        return "a signal or an exit"
    name, code = found.groups()
    return name if name.startswith("SIG") else f"an exit with code {code}"


def _forget() -> None:
    """Forget the process apart in the child of a fork: it is its parent's."""
    global here
    here = Apart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
