"""No process decides alone: rounds in which each says whether all is well with it, and hands the others a few bytes."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from gradstep import errors
from gradstep.distributed.comm import Comm, parted
from gradstep.errors import GradstepError, LostError
from gradstep.text import sentence

WORD = 8  # bytes
SHORT = 192  # bytes that go with the first message of a round; more take a second one


class Rounds:
    """The rounds of one group of processes, which all make the same number of them.

    A process that fails says so in its next round, whichever that is for the others: all of them raise the same error
    then, and nobody waits for who does not come.

    Attributes
    ----------
    failure
        The error that all have raised, once one has; no further round is made then.
    """

    def __init__(self, comm: Comm) -> None:
        self.comm = comm
        self.failure: BaseException | None = None

    def call(self, act: Callable[..., None], *arguments: Any) -> None:
        """Make a call of the ``comm``; where that itself fails, there is nobody left to tell."""
        try:
            act(*arguments)
        except Exception as error:
            self.refuse(
                LostError(
                    f"the processes have lost one another ({sentence(error)}); start all of them again from the last "
                    f"checkpoint."
                ),
                error,
            )
        except BaseException as error:
            self.failure = error
            raise

    def exchange(self, own: bytes = b"") -> list[bytes]:
        """Return the bytes of each process.

        Raises
        ------
        GradstepError
            The error of the first process with which something is wrong.
        """
        return self._meet(own, failed=False)

    def refuse(self, error: BaseException, cause: BaseException | None = None) -> NoReturn:
        """Raise an error that every process comes to by itself."""
        self.failure = error
        raise error from cause

    @contextmanager
    def together(self) -> Generator[None]:
        """Let an error within the block be the same one on all processes."""
        self.failure = None
        try:
            yield
        except BaseException as error:
            shared = self._shared(error)
            if shared is error or not isinstance(error, Exception):
                raise
            raise shared from error

    def _shared(self, error: BaseException) -> BaseException:
        """Return the error that all processes raise, once the others know of this one."""
        if self.comm.size == 1:
            return error
        if self.failure is None:
            self._tell(error)
        return self.failure or error

    def _tell(self, error: BaseException) -> None:
        """Make the round in which the others learn of an error."""
        name = type(error).__name__
        is_own = isinstance(error, GradstepError) and getattr(errors, name, None) is type(error)
        text = str(error) if is_own else f"{name}: {error}" if str(error) else name
        try:
            self._meet(json.dumps([name if is_own else "GradstepError", text]).encode(), failed=True)
        except GradstepError as shared:
            if shared is not self.failure:
                raise

    def _meet(self, own: bytes, failed: bool) -> list[bytes]:
        size = self.comm.size
        mine = np.zeros(-(-max(len(own), SHORT) // WORD), np.int64)
        mine.view(np.uint8)[: len(own)] = np.frombuffer(own, np.uint8)
        width = 2 + SHORT // WORD
        heads = np.empty(width * size, np.int64)
        self.call(self.comm.allgatherv, np.concatenate([[failed, len(own)], mine])[:width], heads, [width] * size)
        table = heads.reshape(size, width)
        lengths = table[:, 1].tolist()
        counts = [-(-n // WORD) if n > SHORT else 0 for n in lengths]
        parts = [row[2:] for row in table]
        if any(counts):
            found = np.empty(sum(counts), np.int64)
            self.call(self.comm.allgatherv, mine[: counts[self.comm.rank]], found, counts)
            parts = [part if part.size else row for part, row in zip(parted(found, counts), parts, strict=True)]
        texts = [part.tobytes()[:n] for part, n in zip(parts, lengths, strict=True)]
        if table[:, 0].any():
            rank = int(np.argmax(table[:, 0]))
            name, text = json.loads(texts[rank])
            self.refuse(getattr(errors, name)(f"process {rank}: {text}"))
        return texts
