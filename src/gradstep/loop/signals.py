"""Signals during a run."""

import signal
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any


class Signals:
    """The signal that came during a run; a second one has its usual effect."""

    def __init__(self) -> None:
        self.number: int | None = None

    @contextmanager
    def caught(self, numbers: Sequence[int]) -> Generator[None]:
        """Catch these signals; only the main thread can, elsewhere nothing is done."""
        if not numbers or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            n: now for n in numbers if (now := signal.getsignal(n)) is not None
        }  # None: a handler that was not set from Python

        def note(number: int, _frame: Any) -> None:
            if self.number is not None:
                signal.signal(number, before[number])
                signal.raise_signal(number)
            self.number = number

        try:
            for n in before:
                signal.signal(n, note)
            yield
        finally:
            for n, handler in before.items():
                signal.signal(n, handler)
