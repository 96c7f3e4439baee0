"""The compiled engine for some rows of tables: each row is a chunk of its own, and is stepped where it lies."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradstep.array.memory import address
from gradstep.array.reduction import LANES
from gradstep.array.rows import Rows
from gradstep.engine.cpu import job as at
from gradstep.engine.cpu import row_places
from gradstep.engine.cpu.compiled import Compiled
from gradstep.engine.cpu.work import DONE
from gradstep.engine.tensor import Tensor
from gradstep.form.chain import Program, Row


class _Table(NamedTuple):
    """A tensor of which some rows move."""

    tensor: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    room: int  # rows at most
    width: int  # real numbers in a row
    first: int  # the number of its first chunk
    portions: slice
    ends: NDArray[np.int64]  # of its portions, where all of the room is used
    words: NDArray[np.int64]  # what :mod:`gradstep.engine.cpu.row_places` is told, and where it lies
    at: int
    seen: NDArray[np.int64]
    target: NDArray[np.int64]
    add: Callable[..., int]  # of its dtype


class InPlace(Compiled):
    """Runs a program on some rows of tables, and on whole arrays beside them.

    Parameters
    ----------
    program, tensors, threads
        As for :class:`Compiled`.
    rooms
        How many rows of each tensor a step may have; None: it is whole.
    """

    ahead = 8

    def __init__(
        self, program: Program, tensors: Sequence[Tensor], rooms: Sequence[int | None], threads: int | None = None
    ) -> None:
        self.rooms = {k: room for k, room in enumerate(rooms) if room is not None}
        self.by_rows = self.rooms.keys()
        self.find, self.add = row_places.functions()
        self.counts: dict[int, int] = {}  # rows of each table for which its portions are
        self.totals: dict[int, NDArray[Any]] = {}  # where gradients of equal rows are added up
        self.held: list[NDArray[Any]] = []
        super().__init__(program, tensors, threads)
        for k in self.rooms:
            self.sizes[k] = 0  # of what the ordinary way gathers

    @classmethod
    def of(cls, dense: Compiled, counts: Sequence[int | None], before: "InPlace | None" = None) -> "InPlace | None":
        """Return an engine for some rows of another's tensors; None where something is summed or rows are short.

        It has room for what the one ``before`` had room for too, and its count.
        """
        widths = [dense.sizes[k] // max(1, len(dense.tensors[k].value)) for k, n in enumerate(counts) if n is not None]
        if not dense.reads or dense.is_metered or dense.program.reduces or min(widths) < LANES:
            return None
        old = {} if before is None else before.rooms
        rooms = [None if n is None else max(8, n + n // 8, old.get(k, 0)) for k, n in enumerate(counts)]
        made = cls(dense.program, dense.tensors, rooms, dense.threads)
        made.job[at.APPLIED] = 0 if before is None else before.applied
        return made

    def has_room(self, counts: Sequence[int | None]) -> bool:
        """Return whether a step with so many rows of each tensor (None: all) can be made."""
        given = {k: n for k, n in enumerate(counts) if n is not None}
        return given.keys() == self.by_rows and all(n <= self.rooms[k] for k, n in given.items())

    def load(self, grads: Sequence[Any]) -> None:
        """Take gradients that fit: whole ones, and rows of tables for which there is room."""
        super().load([x.value[:0] if type(g) is Rows else g for x, g in zip(self.tensors, grads, strict=True)])
        self._load_rows(grads)

    def step(self, grads: tuple[Any, ...], table: list[Row], t: int, guard: bool, /) -> bool:  # noqa: ARG002
        """Make an update of rows alone at once where all is usual; else change nothing and return False."""
        if len(self.tables) < len(grads) or not all(map(self._is_usual, self.tables, grads)):
            return False
        self._check_places()
        if self._load_rows(grads):
            self._fill(table)
            self._phases(at.LOOK if guard else 0, at.APPLY)
            if self._run() == DONE:
                self.held.clear()
                return True
        self.forget()
        return False

    def apply(self, table: list[Row], t: int) -> None:
        """Write parameters and state of update ``t``."""
        super().apply(table, t)
        self.held.clear()

    def forget(self) -> None:
        """Let go of gradients that were taken."""
        super().forget()
        self.held.clear()

    def _is_usual(self, table: _Table, g: Any) -> bool:
        """Return whether a gradient is rows as the table has them, for all that is seen without their numbers."""
        if type(g) is not Rows or type(g.values) is not np.ndarray:
            return False
        n, x, value = len(g.index), g.values, self.tensors[table.tensor].value
        is_same = value.shape == table.shape and value.dtype is table.dtype and x.dtype == table.dtype
        return is_same and n <= table.room and x.shape == (n, *table.shape[1:])

    def _load_rows(self, grads: Sequence[Any]) -> bool:
        """Find the rows, and add up those that are the same; return False where one is not in its table."""
        self.held.clear()
        for table in self.tables:
            k, words = table.tensor, table.words.data
            index, g = grads[k].index, self._plain(grads[k].values, table.dtype)
            words[row_places.COUNT] = n = len(index)
            words[row_places.BITS] = (n + n // 2).bit_length()
            count = self.find(id(index), id(g), table.at)
            if count < 0:
                return False
            start = int(self.found[k])
            if count < n:
                if k not in self.totals:
                    self.totals[k] = np.empty((table.room, table.width), self.arrays[k][0].dtype)
                self.found[k] = place = address(self.totals[k])
                table.add(address(table.target), n, start, table.width, place)
            elif self.kept.touches(start, start + g.nbytes):
                g = g.copy()
                self.found[k] = address(g)
            if count != self.counts.get(k):
                portions = self.portions[table.portions]
                self.counts.pop(k, None)  # an interrupt may come before all of it is written
                ends = np.minimum(table.ends, table.first + count)
                np.maximum(ends, portions[:, at.BEGIN], out=portions[:, at.END])
                self.counts[k] = count
            self.held.append(g)
        return True

    @staticmethod
    def _plain(x: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return gradients in plain memory."""
        is_plain = type(x) is np.ndarray and x.dtype == dtype and x.flags.c_contiguous and x.flags.aligned
        return x if is_plain else np.require(x, dtype, ["C", "A"])

    def _make_tables(self, chunk: int | None) -> int:
        total = super()._make_tables(chunk)
        self.tables: list[_Table] = []
        chunks, portions = [self.chunks], [self.portions]
        for k, room in self.rooms.items():
            x, own = self.tensors[k], self.arrays[k]
            work, length, phases = self.entries[x.storage]
            width = own[0].size // len(x.value)
            first, begin, each = sum(map(len, chunks)), sum(map(len, portions)), max(1, length // width)
            rows = np.zeros((room, self.chunks.shape[1]), np.int64)
            rows[:, at.LENGTH], rows[:, at.ROW], rows[:, at.TENSOR] = width, x.row, k
            rows[:, at.START] = width * np.arange(room)
            begins = np.arange(first, first + room, each)
            some = np.empty((len(begins), self.portions.shape[1]), np.int64)
            some[:, at.BEGIN], some[:, at.LOOK :] = begins, phases
            columns = [(8 * (at.THETA + j), address(y), width * y.itemsize) for j, y in enumerate(own)]
            seen, target = np.empty(1 << (room + room // 2).bit_length(), np.int64), np.empty(room, np.int64)
            known = (0, len(x.value), address(seen), 0, address(target), 0, rows.strides[0], address(self.found[k:]))
            words = np.array([*known, len(columns), *chain.from_iterable(columns)], np.int64)
            self.tables.append(
                _Table(
                    tensor=k,
                    shape=x.value.shape,
                    dtype=x.value.dtype,
                    room=room,
                    width=width,
                    first=first,
                    portions=slice(begin, begin + len(some)),
                    ends=begins + each,
                    words=words,
                    at=address(words),
                    seen=seen,
                    target=target,
                    add=self.add[own[0].dtype.name],
                )
            )
            chunks.append(rows)
            portions.append(some)
            total += work * width * room
        self.chunks, self.portions = np.concatenate(chunks), np.concatenate(portions)
        for table in self.tables:
            table.words[row_places.CHUNKS] = address(self.chunks[table.first :])
        return total
