"""The compiled CPU engine for NumPy arrays: one fused pass over all tensors and the whole chain."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.chain import Program, Row
from gradstep.engine import kernels, native
from gradstep.engine.gather import Gather, address
from gradstep.engine.tensor import Tensor
from gradstep.memory import Regions
from gradstep.reduction import BLOCK
from gradstep.rule import Rule

CHUNK = 16 * BLOCK


class Compiled:
    """Runs a program on NumPy arrays; tensors of each compute dtype share a kernel."""

    kind = "compiled"

    def __init__(self, program: Program, tensors: Sequence[Tensor], chunk: int = CHUNK) -> None:
        self.tensors = tensors
        dtypes = dict.fromkeys(x.dtype for x in tensors)
        kept = Regions([np.asarray(y) for x in tensors for y in (x.value, *(y for own in x.slots for y in own))])
        self.batches = [_Batch(program, dtype, tensors, chunk, kept) for dtype in dtypes]
        self.rows = 1 + max((x.row for x in tensors), default=0)
        self.scalars = np.zeros((self.rows, max(1, kernels.scalar_count(program.rules))))
        self.scalars_at = address(self.scalars)

    def load(self, grads: Sequence[Any]) -> None:
        """See :class:`gradstep.engine.tensor.Engine`."""
        for batch in self.batches:
            batch.load(grads)

    def first_bad(self, limits: dict[str, float]) -> int | None:
        """See :class:`gradstep.engine.tensor.Engine`."""
        bad = [batch.first_bad(limits[batch.dtype]) for batch in self.batches]
        return min((k for k in bad if k is not None), default=None)

    def measure(self, part: int, table: list[Row]) -> list[list[float]]:
        """See :class:`gradstep.engine.tensor.Engine`."""
        self._fill(table)
        out: list[list[float]] = [[] for _ in self.tensors]
        for batch in self.batches:
            batch.measure(part, self.scalars_at, out)
        return out

    def apply(self, table: list[Row]) -> None:
        """See :class:`gradstep.engine.tensor.Engine`."""
        self._fill(table)
        for batch in self.batches:
            batch.apply(self.scalars_at)

    def _fill(self, table: list[Row]) -> None:
        """The scalar table; during a reduction the stages after it have none yet."""
        for k, row in enumerate(table):
            flat = [x for numbers in row for x in numbers.values()]
            self.scalars[k, : len(flat)] = flat


@lru_cache(maxsize=256)
def _kernel(rules: tuple[Rule, ...], dtype: str) -> native.Kernel:
    return native.kernel(kernels.emit(rules, dtype, native.triple()))


@lru_cache(maxsize=256)
def _bits(x: float, dtype: str) -> int:
    """The bits of ``x`` >= 0 as an integer: they order as the numbers do."""
    return int(np.array(x, dtype).view(f"i{np.dtype(dtype).itemsize}"))


@dataclass
class _Batch:
    """The tensors of one compute dtype: their table of chunks and their kernel."""

    program: Program
    dtype: str
    every: Sequence[Tensor]
    chunk: int
    kept: Regions
    copies: list[tuple[NDArray[Any], NDArray[Any]]] = field(default_factory=list[tuple[NDArray[Any], NDArray[Any]]])

    def __post_init__(self) -> None:
        real = np.dtype(self.dtype)
        self.members = [k for k, x in enumerate(self.every) if x.dtype == self.dtype]
        tensors = [self.every[k] for k in self.members]
        self.arrays = [
            [self._flat(x.value, True), *(self._flat(y, False) for own in x.slots for y in own)] for x in tensors
        ]
        self.gather = Gather([own[0].shape for own in self.arrays], real, self.kept)
        rows: list[list[int]] = []
        owner: list[int] = []
        start: list[int] = []
        blocks: list[int] = []
        at = 0
        for k, (x, own) in enumerate(zip(tensors, self.arrays, strict=True)):
            first = [address(y) for y in own]
            for begin in range(0, own[0].size, self.chunk):
                n = min(self.chunk, own[0].size - begin)
                rows.append([n, x.row, 0, *(a + begin * real.itemsize for a in first)])
                owner.append(k)
                start.append(begin * real.itemsize)
                blocks.append(at)
                at += -(-n // BLOCK)
        self.table = np.array(rows, np.int64).reshape(len(rows), kernels.width(self.program.rules))
        self.owner, self.start = np.array(owner, np.intp), np.array(start, np.int64)
        self.partials, self.sums = np.array(blocks, np.int64), np.zeros(at)
        self.table[:, kernels.GRADIENT] = self.gather.addresses[self.owner] + self.start
        self.all_real = all(np.asarray(x.value).dtype.kind != "c" for x in tensors)
        self.tops = np.zeros(len(rows), np.int64)
        self.table_at, self.tops_at = address(self.table), address(self.tops)
        kernel = _kernel(self.program.rules, self.dtype)
        self.kernel_apply = kernel.function("apply", 4)
        self.kernel_largest = kernel.function("largest", 4)
        self.kernel_measure = {
            i: kernel.function(f"measure{i}", 6)
            for i, part in enumerate(self.program.parts)
            if part.rule.measure is not None
        }

    def load(self, grads: Sequence[Any]) -> None:
        """Gradients' addresses into the table; parameters that lie elsewhere than in plain memory are copied in."""
        mine = grads if len(self.members) == len(grads) else [grads[k] for k in self.members]
        self.gather(mine if self.all_real else [self._reals(np.asarray(g)) for g in mine])
        if self.gather.large:  # the others lie where they did
            self.table[:, kernels.GRADIENT] = self.gather.addresses[self.owner] + self.start
        for outside, inside in self.copies:
            inside[...] = outside

    def first_bad(self, limit: float) -> int | None:
        """The first of all tensors whose largest |g| is above the limit."""
        self.kernel_largest(self.table_at, 0, len(self.table), self.tops_at)
        bound = _bits(limit, self.dtype)
        if self.tops.max(initial=0) <= bound:
            return None
        return self.members[int(self.owner[np.argmax(self.tops > bound)])]

    def measure(self, part: int, scalars_at: int, out: list[list[float]]) -> None:
        """Block sums of each tensor into ``out``."""
        places = scalars_at, address(self.partials), address(self.sums)
        self.kernel_measure[part](self.table_at, 0, len(self.table), *places)
        ends = self.partials + -(-self.table[:, kernels.LENGTH] // BLOCK)
        for k, begin, end in zip(self.owner.tolist(), self.partials.tolist(), ends.tolist(), strict=True):
            out[self.members[k]] += self.sums[begin:end].tolist()

    def apply(self, scalars_at: int) -> None:
        """Write parameters and state."""
        self.kernel_apply(self.table_at, 0, len(self.table), scalars_at)
        for outside, inside in self.copies:
            outside[...] = inside
        self.gather.release()

    def _flat(self, x: Any, outside: bool) -> NDArray[Any]:
        """An array's numbers as reals in plain memory: itself, or a copy that follows it."""
        x = np.asarray(x)
        if x.flags.c_contiguous and x.flags.aligned and x.dtype.isnative:
            return self._reals(x)
        assert outside  # noqa: S101 - state is made contiguous and native
        inside = np.empty(x.shape, x.dtype.newbyteorder("="))
        self.copies.append((x, inside))
        return self._reals(inside)

    def _reals(self, x: NDArray[Any]) -> NDArray[Any]:
        """Complex numbers as pairs of reals, in the same memory where that is contiguous."""
        if x.dtype.kind != "c":
            return x
        x = np.ascontiguousarray(x, x.dtype.newbyteorder("=")).reshape(x.shape)
        return x.reshape(-1).view(self.dtype)
