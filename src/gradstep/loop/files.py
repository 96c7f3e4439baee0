"""Checkpoints of a run: the time of the next one, and the newest file that is whole."""

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from gradstep.checkpoint import Checkpoint, load
from gradstep.errors import CheckpointError, GradstepValueError
from gradstep.files import AnyPath, checked_keep, destination, earlier
from gradstep.naming import real, whole


def _warn(text: str, stacklevel: int) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=stacklevel)


class Checkpoints:
    """The checkpoint of a run and those before it.

    Parameters
    ----------
    path
        Where it stands; None: nowhere. Made absolute here: the objective may change the current folder.
    every, seconds
        After how many steps, and after what time, another one is due; None: never.
    keep
        How many there are.
    tell
        Called with a sentence where something is wrong and the run goes on, and with the ``stacklevel`` of a warning.
    """

    def __init__(
        self,
        path: AnyPath | None,
        every: int | None,
        seconds: float | None,
        keep: int,
        tell: Callable[[str, int], None] = _warn,
    ) -> None:
        if path is None and (every is not None or seconds is not None):
            raise GradstepValueError("save_every and save_seconds need save_to=, the path of the checkpoint.")
        given, self.path = path, None if path is None else Path(path).absolute()
        self.every = None if every is None else whole("save_every", every, least=1)
        self.seconds = None if seconds is None else real("save_seconds", seconds)
        self.keep = checked_keep(keep)
        if self.path is not None:
            destination(self.path, f"save_to: no file can be written at {str(given)!r}", self.keep)
        self.tell = tell
        self.t, self.at = 0, time.monotonic()

    def written(self, t: int) -> None:
        """Note that a checkpoint was written, or tried, at ``t``."""
        self.t, self.at = t, time.monotonic()

    def is_due(self, t: int) -> bool:
        """Return True where another one is due."""
        if self.path is None:
            return False
        by_steps = self.every is not None and t - self.t >= self.every
        return by_steps or (self.seconds is not None and time.monotonic() - self.at >= self.seconds)

    def write(self, t: int, save: Callable[[Path, int], None]) -> OSError | None:
        """Write a checkpoint, if there is a path; where the system refuses, the run goes on with a warning."""
        if self.path is None:
            return None
        self.written(t)
        try:
            save(self.path, self.keep)
        except OSError as error:
            why = f"{error.strerror or error}; the one before is as it was, and the run goes on."
            self.tell(f"the checkpoint {str(self.path)!r} could not be written: {why}", 3)
            return error
        return None

    def newest(self) -> tuple[Checkpoint, Path] | None:
        """Load the newest checkpoint that is whole; None where there is no file. A damaged one gives a warning.

        Raises
        ------
        CheckpointError
            When all that are there are damaged.
        """
        if self.path is None:
            raise GradstepValueError("resume needs save_to=, the path of the checkpoint.")
        damaged: CheckpointError | None = None
        behind = Path(os.path.realpath(self.path))  # a link is followed, as the writer does
        for path in (self.path, *(earlier(behind, k) for k in range(1, self.keep))):
            try:
                found = load(path)
            except FileNotFoundError:
                continue
            except CheckpointError as error:
                damaged = damaged or error
                continue
            if damaged is not None:
                self.tell(f"{damaged} The run goes on from {str(path)!r}.", 4)
            return found, path
        if damaged is not None:
            raise damaged
        return None
