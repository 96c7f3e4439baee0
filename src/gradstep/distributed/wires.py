"""Gradients on their way: added up by the tree here, handed to who steps them, added up there."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradstep.array.namespaces import is_low
from gradstep.distributed.agree import Rounds
from gradstep.distributed.comm import Buffer, parted
from gradstep.distributed.cut import Piece
from gradstep.distributed.tree import Counter, expected, share

CHANNEL = ""  # the gradients; other channels have the names of what comes beside them
ALIGNED = 64  # bytes
Sum = list[Buffer]  # one buffer of each wire


class Place(NamedTuple):
    """A piece of an array of a channel in a wire; ``begin`` and ``end`` count reals."""

    channel: str
    piece: Piece
    begin: int
    end: int


class Wire:
    """The layout of buffers of one dtype: all pieces, by the rank of who steps them.

    Attributes
    ----------
    dtype
        float32 or float64: complex numbers are pairs, and numbers of 16 bits are added up in 32.
    places
        Of each process.
    counts
        Elements for each process, of which some between pieces are zero.
    """

    def __init__(self, dtype: str, each: Sequence[Sequence[tuple[str, Piece, int]]]) -> None:
        self.dtype = np.dtype(dtype)
        unit = ALIGNED // self.dtype.itemsize
        self.places: list[list[Place]] = []
        self.counts: list[int] = []
        total = 0
        for own in each:
            begin, places = total, list[Place]()
            for channel, piece, parts in own:
                length = (piece.end - piece.begin) * parts
                places.append(Place(channel, piece, total, total + length))
                total += -(-length // unit) * unit
            self.places.append(places)
            self.counts.append(total - begin)
        self.size = total

    def begin(self, rank: int) -> int:
        """Return where the elements for a process begin."""
        return sum(self.counts[:rank])


def reals(x: NDArray[Any]) -> NDArray[Any]:
    """Return the elements of an array in C order, complex ones as pairs."""
    flat = x.reshape(-1)
    if flat.dtype.kind != "c":
        return flat
    return np.ascontiguousarray(flat).view(f"{flat.dtype.byteorder}f{flat.dtype.itemsize // 2}")


class Wires:
    """The mean over micro-batches of what each process has of them, for the pieces that this one steps.

    Parameters
    ----------
    rounds
        Of the processes.
    names
        Of the parameters.
    likes
        For each channel the arrays that its own are like.
    pieces
        Of each process.
    micro_batches
        How many there are on all processes.
    is_exact
        Whether they are added by the tree; if not, in whatever order the library likes.
    """

    def __init__(
        self,
        rounds: Rounds,
        names: Sequence[str],
        likes: Mapping[str, Sequence[NDArray[Any]]],
        pieces: Sequence[Sequence[Piece]],
        micro_batches: int,
        is_exact: bool,
    ) -> None:
        self.rounds, self.names, self.likes = rounds, names, likes
        self.count, self.is_exact = micro_batches, is_exact
        self.rank, self.size = rounds.comm.rank, rounds.comm.size
        self.numbers = share(micro_batches, self.size, self.rank)
        found: dict[str, list[list[tuple[str, Piece, int]]]] = {}
        for rank, own in enumerate(pieces):
            for channel, arrays in likes.items():
                for piece in own:
                    dtype, parts = _summed(arrays[piece.array])
                    found.setdefault(dtype, [[] for _ in pieces])[rank].append((channel, piece, parts))
        self.wires = [Wire(dtype, each) for dtype, each in sorted(found.items())]
        self._free: list[Sum] = []
        self._counter: Counter[Any] = Counter(self._added)
        self._received: list[Sum] = []
        self._made: Sum | None = None
        self.held: list[tuple[tuple[int, int], Sum]] = []

    def start(self) -> None:
        """Forget the sums of the step before; their memory is used again."""
        self._free += [x for _, x in [*self._counter.held, *self.held]]
        self._counter.held, self.held = [], []

    def take(self, leaves: Mapping[str, Sequence[NDArray[Any]]], number: int) -> None:
        """Add the arrays of a micro-batch, by channel; they may be overwritten afterwards."""
        held = self._counter.held
        is_added = held and held[-1][0] == (number - 1, 1) and number % 2 == 1
        self._counter.take(leaves if is_added else self._copied(leaves), (number, 1))

    def mean(self) -> dict[str, list[NDArray[Any]]]:
        """Return the mean of all micro-batches of all processes, by channel the pieces of this one."""
        if self.size == 1:
            total = self._counter.total()
            self.held = [((0, self.count), total)]
        else:
            total = self._exact() if self.is_exact else self._fast()
        if self.count > 1:
            with np.errstate(all="ignore"):
                for x in total:
                    x /= x.dtype.type(self.count)
        return self._pieces(total)

    def _exact(self) -> Sum:
        """Hand each process the nodes of its pieces, and add up those that come."""
        sent = expected(self.count, self.size)
        self.held, self._counter.held = self._counter.held, []
        if not self._received:
            self._received = [
                [np.zeros(wire.counts[self.rank], wire.dtype) for wire in self.wires] for own in sent for _ in own
            ]
        firsts = [sum(map(len, sent[:rank])) for rank in range(self.size)]
        for j in range(max(map(len, sent))):
            senders = [rank for rank in range(self.size) if j < len(sent[rank])]
            is_mine = self.rank in senders
            for w, wire in enumerate(self.wires):
                mine = self.held[j][1][w] if is_mine else np.empty(0, wire.dtype)
                counts = [wire.counts[self.rank] if rank in senders else 0 for rank in range(self.size)]
                found = np.empty(sum(counts), wire.dtype)
                own = wire.counts if is_mine else [0] * self.size
                self.rounds.call(self.rounds.comm.alltoallv, mine, own, found, counts)
                for rank, part in zip(senders, parted(found, [n for n in counts if n]), strict=False):
                    self._received[firsts[rank] + j][w] = part
        counter: Counter[Sum] = Counter(_add)
        for node, x in zip([node for own in sent for node in own], self._received, strict=True):
            counter.take(x, node)
        return counter.total()

    def _fast(self) -> Sum:
        """Let the library add up and scatter."""
        while len(self._counter.held) > 1:
            (_, right), (node, left) = self._counter.held.pop(), self._counter.held.pop()
            self._counter.held.append((node, self._added(left, right)))
        self.held, self._counter.held = self._counter.held, []
        mine = self.held[0][1] if self.held else [np.zeros(wire.size, wire.dtype) for wire in self.wires]
        if self._made is None:
            self._made = [np.zeros(wire.counts[self.rank], wire.dtype) for wire in self.wires]
        for wire, send, receive in zip(self.wires, mine, self._made, strict=True):
            self.rounds.call(self.rounds.comm.reduce_scatter, send, receive, wire.counts)
        return self._made

    def _copied(self, leaves: Mapping[str, Sequence[NDArray[Any]]]) -> Sum:
        out = self._free.pop() if self._free else [np.zeros(wire.size, wire.dtype) for wire in self.wires]
        for place, there in self._each(out):
            there[...] = _part(leaves, place)
        return out

    def _added(self, left: Sum, right: Any) -> Sum:
        with np.errstate(all="ignore"):
            if isinstance(right, list):
                _add(left, right)
                self._free.append(right)
            else:
                for place, there in self._each(left):
                    there += _part(right, place)
        return left

    def _each(self, buffers: Sum) -> list[tuple[Place, NDArray[Any]]]:
        """Return all pieces of all processes, and where they are in some buffers."""
        return [
            (place, x[place.begin : place.end])
            for wire, x in zip(self.wires, buffers, strict=True)
            for own in wire.places
            for place in own
        ]

    def _pieces(self, total: Sum) -> dict[str, list[NDArray[Any]]]:
        """Return the pieces of this process out of its sums, each of the dtype that a step takes."""
        found: dict[tuple[str, int], NDArray[Any]] = {}
        for wire, x in zip(self.wires, total, strict=True):
            before = wire.begin(self.rank)
            for channel, piece, begin, end in wire.places[self.rank]:
                like = self.likes[channel][piece.array]
                part = x[begin - before : end - before]
                with np.errstate(all="ignore"):
                    part = part.astype(like.dtype) if is_low(like) else part.view(_native(like.dtype))
                is_all = piece.end - piece.begin == like.size
                found[channel, piece.array] = part.reshape(like.shape) if is_all else part
        return {channel: [x for (other, _), x in sorted(found.items()) if other == channel] for channel in self.likes}

    def first_bad(self) -> str:
        """Return in words the first number in this process's own sums that is not finite; empty where all are."""
        every = [(place, w) for w, wire in enumerate(self.wires) for own in wire.places for place in own]
        for place, w in sorted(every):
            for (first, size), x in self.held:
                part = x[w][place.begin : place.end]
                good = np.isfinite(part)
                if not good.all():
                    return self._told(place, int(np.argmin(good)), part, first, size)
        return ""

    def _told(self, place: Place, at: int, part: NDArray[Any], first: int, size: int) -> str:
        like = self.likes[place.channel][place.piece.array]
        index = np.unravel_index(place.piece.begin + at // (2 if like.dtype.kind == "c" else 1), like.shape)
        where = f"[{', '.join(map(str, index))}] = " if index else ""
        last = min(first + size, self.numbers.stop) - 1
        which = f"micro-batch {first}" if first == last else f"the micro-batches {first} to {last}"
        what = f"{place.channel or 'gradient'} {self.names[place.piece.array]!r}"
        return f"{what} of {which} is not finite: {where}{part[at]}; nothing was changed."


def _add(left: Sum, right: Sum) -> Sum:
    with np.errstate(all="ignore"):
        for x, y in zip(left, right, strict=True):
            x += y
    return left


def _part(leaves: Mapping[str, Sequence[NDArray[Any]]], place: Place) -> NDArray[Any]:
    x = leaves[place.channel][place.piece.array]
    if place.end - place.begin == place.piece.end - place.piece.begin:
        return x.reshape(-1)[place.piece.begin : place.piece.end]
    return reals(x)[2 * place.piece.begin : 2 * place.piece.end]


def _summed(x: NDArray[Any]) -> tuple[str, int]:
    """Return the dtype in which arrays like ``x`` are added up, and how many reals an element has."""
    if is_low(x):
        return "float32", 1
    if x.dtype.kind == "c":
        return f"float{4 * x.dtype.itemsize}", 2
    return f"float{8 * x.dtype.itemsize}", 1


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("=")
