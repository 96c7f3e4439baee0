"""Pieces of arrays handed from whoever has them to all others."""

from collections.abc import Iterator, Sequence

import numpy as np

from gradstep.distributed.agree import WORD, Rounds
from gradstep.distributed.comm import Buffer, parted
from gradstep.distributed.cut import Piece


class Gathering:
    """The pieces of some arrays, of which each process has its own.

    Parameters
    ----------
    rounds
        Of the processes.
    likes
        The arrays, or others of their shapes and dtypes.
    cuts
        The pieces of each process.
    """

    def __init__(self, rounds: Rounds, likes: Sequence[Buffer], cuts: Sequence[Sequence[Piece]]) -> None:
        self._rounds, self._cuts = rounds, cuts
        self._dtypes = [x.dtype for x in likes]
        self._words = [[-(-(p.end - p.begin) * self._dtypes[p.array].itemsize // WORD) for p in own] for own in cuts]
        self._counts = [sum(own) for own in self._words]

    def exchanged(self, own: Sequence[Buffer]) -> Iterator[tuple[Piece, Buffer]]:
        """Yield the pieces of the other processes, of one axis, when this one's ``own`` have been handed to them."""
        comm = self._rounds.comm
        send, found = np.zeros(self._counts[comm.rank], np.int64), np.empty(sum(self._counts), np.int64)
        begin = 0
        for x, n in zip(own, self._words[comm.rank], strict=True):
            raw = np.ascontiguousarray(x).reshape(-1).view(np.uint8)
            send[begin : begin + n].view(np.uint8)[: raw.size] = raw
            begin += n
        self._rounds.call(comm.allgatherv, send, found, self._counts)
        for rank, part in enumerate(parted(found, self._counts)):
            begin = 0
            for piece, n in zip(self._cuts[rank], self._words[rank], strict=True):
                dtype, count = self._dtypes[piece.array], piece.end - piece.begin
                if rank != comm.rank and count:
                    yield piece, part[begin : begin + n].view(np.uint8)[: count * dtype.itemsize].view(dtype)
                begin += n


def view(x: Buffer, piece: Piece) -> Buffer:
    """Return a piece of an array as a view where its memory allows one, the array itself where it is all of it."""
    if piece.end - piece.begin == x.size:
        return x
    return x.reshape(-1)[piece.begin : piece.end]


def put(x: Buffer, piece: Piece, new: Buffer) -> None:
    """Write the numbers of a piece into an array; one that is not in C order is all one piece."""
    there = view(x, piece)
    there[...] = new.reshape(there.shape)
