"""Ctrl-C and SIGTERM while several processes are at work."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM, where it is to end the work as Ctrl-C does: workers stopped, what is finished kept."""


def is_main() -> bool:
    """Return True in the main thread, which alone receives signals."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def sigterm_interrupts() -> Generator[None]:
    """Let SIGTERM raise :class:`Terminated` within the block."""
    if not is_main():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


@contextmanager
def deferred_signals() -> Generator[None]:
    """Ctrl-C and SIGTERM within are heard at the end, so that joblib is never left half started or half stopped.

    Processes that are started within inherit a blocked SIGINT: they never hear of Ctrl-C, and are stopped from here.
    """
    if not is_main() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    numbers: list[int] = []
    watched = (signal.SIGINT, signal.SIGTERM)
    before: dict[signal.Signals, Any] = {
        n: signal.signal(n, lambda number, _: numbers.append(number))  # other threads may not block it
        for n in watched
    }
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for n, handler in before.items():
            signal.signal(n, handler if handler is not None else signal.SIG_DFL)
    if numbers:
        raise Terminated if signal.SIGTERM in numbers else KeyboardInterrupt


def _terminate(_number: int, _frame: Any) -> None:
    raise Terminated
