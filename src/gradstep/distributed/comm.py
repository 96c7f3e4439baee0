"""Processes that hand one another numbers: the five things that are asked of them, and those who can do it.

All buffers are NumPy arrays of one axis, contiguous, of one dtype within a call: int64, float32 or float64. A buffer
that has something for each process has it in the order of the ranks, and ``counts`` says how many elements each. Every
call is collective: all processes make the same calls in the same order, and none returns before it has what is for it.
"""

import threading
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Protocol, TypeVar, runtime_checkable

from numpy.typing import NDArray

from gradstep.errors import LostError

Buffer = NDArray[Any]
Counts = Sequence[int]
T = TypeVar("T")


@runtime_checkable
class Comm(Protocol):
    """A number of processes, of which this is one."""

    @property
    def rank(self) -> int:
        """The number of this process, from 0 on."""
        ...

    @property
    def size(self) -> int:
        """The number of processes."""
        ...

    def alltoallv(self, send: Buffer, send_counts: Counts, receive: Buffer, receive_counts: Counts, /) -> None:
        """Hand each process its part of ``send``; ``receive`` gets what each has for this one."""
        ...

    def allgatherv(self, send: Buffer, receive: Buffer, counts: Counts, /) -> None:
        """Hand every process ``send``; ``receive`` gets that of each."""
        ...

    def reduce_scatter(self, send: Buffer, receive: Buffer, counts: Counts, /) -> None:
        """Add up the processes' ``send``, in whatever order; ``receive`` gets the part of the sum for this one."""
        ...


class Serial:
    """One process by itself: what the others are compared with."""

    rank, size = 0, 1

    def alltoallv(self, send: Buffer, _send_counts: Counts, receive: Buffer, _receive_counts: Counts) -> None:
        """Hand the only part to itself."""
        receive[...] = send

    def allgatherv(self, send: Buffer, receive: Buffer, _counts: Counts) -> None:
        """Hand ``send`` to itself."""
        receive[...] = send

    def reduce_scatter(self, send: Buffer, receive: Buffer, _counts: Counts) -> None:
        """Hand the only summand to itself."""
        receive[...] = send


class Threads:
    """One of several threads of this process that stand for processes; see :func:`in_threads`."""

    def __init__(self, rank: int, size: int, board: list[Any], barrier: threading.Barrier) -> None:
        self.rank, self.size = rank, size
        self._board, self._barrier = board, barrier

    def alltoallv(self, send: Buffer, send_counts: Counts, receive: Buffer, receive_counts: Counts) -> None:
        """Copy this thread's part of what each has put on the board."""
        parts = parted(receive, receive_counts)

        def take(board: Sequence[Any]) -> None:
            for part, (theirs, counts) in zip(parts, board, strict=True):
                part[...] = parted(theirs, counts)[self.rank]

        self._meet((send, send_counts), take)

    def allgatherv(self, send: Buffer, receive: Buffer, counts: Counts) -> None:
        """Copy what each has put on the board."""

        def take(board: Sequence[Any]) -> None:
            for part, theirs in zip(parted(receive, counts), board, strict=True):
                part[...] = theirs

        self._meet(send, take)

    def reduce_scatter(self, send: Buffer, receive: Buffer, counts: Counts) -> None:
        """Add up this thread's part of what each has put on the board, in the order of the ranks."""

        def take(board: Sequence[Any]) -> None:
            receive[...] = parted(board[0], counts)[self.rank]
            for theirs in board[1:]:
                receive[...] += parted(theirs, counts)[self.rank]

        self._meet(send, take)

    def _meet(self, mine: Any, take: Callable[[Sequence[Any]], None]) -> None:
        self._board[self.rank] = mine
        self._barrier.wait()
        take(self._board)
        self._barrier.wait()  # nobody writes into what another one still copies


def in_threads(size: int, f: Callable[[Comm], T]) -> list[T]:
    """Call ``f`` in so many threads, each with its :class:`Comm`; return what each gave, by rank.

    They stand for processes where something is to be tried: a thread's arrays must be its own.

    Raises
    ------
    BaseException
        The error of the lowest rank that had one; the others do not wait for it.
    """
    board, barrier = [None] * size, threading.Barrier(size)
    results: dict[int, T] = {}
    errors: dict[int, BaseException] = {}

    def call(rank: int) -> None:
        try:
            results[rank] = f(Threads(rank, size, board, barrier))
        except BaseException as error:
            errors[rank] = error
            barrier.abort()

    threads = [threading.Thread(target=call, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    late = threading.BrokenBarrierError, LostError  # of those who waited for one that had an error
    own = {rank: error for rank, error in errors.items() if not isinstance(error, late)}
    if errors:
        raise (own or errors)[min(own or errors)]
    return [results[rank] for rank in range(size)]


def parted(buffer: Buffer, counts: Counts) -> list[Buffer]:
    """Return the parts of a buffer that has so many elements for each process."""
    ends = list(accumulate(counts))
    return [buffer[end - count : end] for end, count in zip(ends, counts, strict=True)]
