"""The threads that help with a step: made when first needed, never at import; they sleep in compiled code."""

import atexit
import ctypes
import os
import platform
import signal
import threading
from functools import cache

import numpy as np

from gradstep.array.memory import address, at_cache_line
from gradstep.engine.cpu import job as at
from gradstep.engine.cpu import native, team
from gradstep.engine.cpu.job import MOST
from gradstep.engine.cpu.threads import FUTEX_NUMBERS


def lead(job: int, threads: int) -> int:
    """Do a job on this thread and up to ``threads - 1`` helpers; what the step answers. The GIL is released."""
    helpers = _helpers()
    wanted = threads - 1 if _is_usual(_TINY, _QUARTER) else 0
    return helpers.functions.lead(job, helpers.address, helpers.ready(wanted))


_TINY, _QUARTER = 2.0**-1022, 2.0**-54  # the smallest normal number; a quarter of the spacing above 1


def _is_usual(tiny: float, quarter: float) -> bool:
    """Return whether this thread keeps denormals and rounds to the nearest, as helpers do.

    One that does not works alone, for its bits are its own.
    """
    return tiny * 0.25 * 4.0 == tiny and 1.0 + quarter == 1.0 and 1.0 + 3.0 * quarter != 1.0


class _Functions:
    """The compiled code of :mod:`gradstep.engine.cpu.team`."""

    def __init__(self) -> None:
        kernel = native.kernel(team.emit(native.triple()))
        self.lead = kernel.function("lead", 3)
        self.serve = kernel.function("serve", 2)
        self.stop = kernel.function("stop", 2)


_functions = cache(_Functions)


class _Helpers:
    """The helpers of one process: in a fork's child no thread of its parent runs."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.functions = _functions()
        words = at_cache_line(np.zeros(at.LINE * (MOST + 1), np.int64))
        self.lines = words[: at.LINE * MOST].reshape(MOST, at.LINE)
        self.address = address(self.lines)
        library = ctypes.CDLL(None)
        self.lines[0, at.SYSCALL] = native.address_of(library.syscall)
        self.lines[0, at.OFFER] = native.address_of(library.sched_yield)
        self.lines[0, at.FUTEX] = FUTEX_NUMBERS[platform.machine()]
        self.threads: list[threading.Thread] = []
        self.lock = threading.Lock()
        self.refused = False
        atexit.register(self.stop)

    def ready(self, wanted: int) -> int:
        """Return the number of helpers, at most ``wanted``; they are made as far as the system allows."""
        if len(self.threads) < wanted and not self.refused:
            with self.lock:
                while len(self.threads) < min(wanted, MOST - 1):
                    box = self.address + at.CACHE_LINE * (len(self.threads) + 1)
                    helper = threading.Thread(target=self._serve, args=(box,), daemon=True)
                    helper.name = f"gradstep-{len(self.threads) + 1}"
                    self.threads.append(helper)  # first, for it may start and then be interrupted
                    try:
                        helper.start()
                    except RuntimeError:  # no more threads to be had: never ask again
                        self.threads.pop()
                        self.refused = True
                        break
        return min(wanted, len(self.threads))

    def _serve(self, box: int) -> None:
        """A helper's life; signals are the host's."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self.functions.serve(self.address, box)

    def stop(self) -> None:
        """Let all helpers end: at the end of the process, before their code is freed."""
        if self.process != os.getpid():
            return
        with self.lock:
            for k, helper in enumerate(self.threads):
                self.functions.stop(self.address, self.address + at.CACHE_LINE * (k + 1))
                if helper.is_alive():
                    helper.join(timeout=1.0)
            self.threads.clear()
            self.refused = True


_teams: dict[int, _Helpers] = {}


def _helpers() -> _Helpers:
    """The helpers of this process: a fork's child has another number."""
    process = os.getpid()
    return _teams.get(process) or _teams.setdefault(process, _Helpers())
