"""Progress of a fit: a bar at a terminal (with rich), plain lines elsewhere, or nothing."""

import importlib.util
import sys
from typing import Any, Self

from gradstep.errors import GradstepValueError


class Silent:
    """No report; the base of the others."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def batch(self) -> None:
        """Count a batch."""

    def epoch(self, line: str) -> None:
        """Count an epoch, with its results."""


class Lines(Silent):
    """One line an epoch."""

    def epoch(self, line: str) -> None:
        """Write the line at once, also into a pipe."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class Bar(Silent):
    """One bar over all batches, with the results of the last epoch beside it."""

    def __init__(self, batches: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns: list[Any] = [BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn()]
        self._progress = Progress(*columns, console=Console(file=sys.stdout))
        self._task = self._progress.add_task("", total=batches)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def batch(self) -> None:
        """Move the bar."""
        self._progress.advance(self._task)

    def epoch(self, line: str) -> None:
        """Change the text."""
        self._progress.update(self._task, description=line)


def reporter(progress: bool | str, batches: int) -> Silent:
    """Return the reporter of a fit: ``True`` always reports, ``False`` never, ``"auto"`` at a terminal only.

    Raises
    ------
    GradstepValueError
        For any other value.
    """
    if progress not in (True, False, "auto"):
        raise GradstepValueError(f"progress must be True, False or 'auto', not {progress!r}.")
    terminal = sys.stdout.isatty()
    if progress is False or (progress == "auto" and not terminal):
        return Silent()
    return Bar(batches) if terminal and importlib.util.find_spec("rich") else Lines()
