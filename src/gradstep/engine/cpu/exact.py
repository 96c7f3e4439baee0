"""Compiled code that joins block sums: the bits of :func:`math.fsum`, without a Python number for each block.

A sum is kept as ``high + low``, and each addition as a rounded number and its exact error (Knuth's two-sum). Where no
error of ``low`` is left over, the sum is ``high + low`` exactly, and rounding that once is what fsum gives. Where one
is, or where something overflows, the answer is NaN, and fsum has to say.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from gradstep.array.memory import address
from gradstep.array.reduction import joined
from gradstep.engine.cpu import native
from gradstep.engine.cpu.llvm import FLOATS, I64, Function, i64

_REAL = FLOATS["float64"]


class Joined:
    """The sums of some ranges of blocks.

    Parameters
    ----------
    sums
        A row for each block, a column for each thing that is summed.
    columns
        How many of them are asked for.
    ranges
        Of each sum the first block, and the one after the last.
    """

    def __init__(self, sums: NDArray[np.float64], columns: int, ranges: list[tuple[int, int]]) -> None:
        self.sums, self.ranges = sums, np.array(ranges, np.int64).reshape(-1, 2)
        self.out = np.zeros((len(ranges), columns))
        shape = len(ranges), columns, max(1, sums.shape[1])
        self.given = address(self.ranges), *shape, address(sums), address(self.out)
        self.join = _function()

    def __call__(self) -> list[list[float]]:
        """Return the sums as they are now, of each range those of its columns."""
        if not self.join(*self.given):
            for k, j in np.argwhere(np.isnan(self.out)):
                begin, end = self.ranges[k]
                self.out[k, j] = joined(self.sums[begin:end, j].tolist())
        return self.out.tolist()


@cache
def _function() -> Callable[..., int]:
    return native.kernel(emit(native.triple())).function("join", 6)


def emit(triple: str) -> str:
    """The LLVM assembly of ``join(ranges, count, columns, width, sums, out)``: 1 where all sums are known, else 0."""
    module = ir.Module("exact")
    module.triple = triple
    code = Function(module, "join", 6)
    builder = code.builder
    ranges, count, columns, width, sums, out = code.arguments
    zero = ir.Constant(_REAL, 0.0)
    high, low = code.variable(zero), code.variable(zero)
    is_left, all_known = code.variable(i64(0)), code.variable(i64(1))
    with code.count(i64(0), count) as k, code.count(i64(0), columns) as j:
        for place, start in ((high, zero), (low, zero), (is_left, i64(0))):
            builder.store(start, place)
        begin, end = (code.word(code.offset(ranges, k, 16), i64(x)) for x in (0, 1))
        with code.count(begin, end) as block:
            x = code.word(sums, builder.add(builder.mul(block, width), j), _REAL)
            for place in (high, low):
                total, x = _two_sum(builder, builder.load(place), x)
                builder.store(total, place)
            left = builder.zext(builder.fcmp_unordered("!=", x, zero), I64)
            builder.store(builder.or_(builder.load(is_left), left), is_left)
        is_known = builder.icmp_signed("==", builder.load(is_left), i64(0))
        total = builder.fadd(builder.load(high), builder.load(low))
        total = builder.select(is_known, total, ir.Constant(_REAL, float("nan")))
        cell = builder.add(builder.mul(k, columns), j)
        builder.store(total, code.pointer(code.offset(out, cell, 8), _REAL))
        builder.store(builder.and_(builder.load(all_known), builder.zext(is_known, I64)), all_known)
    code.give(builder.load(all_known))
    return str(module)


def _two_sum(builder: ir.IRBuilder, a: Any, b: Any) -> tuple[Any, Any]:
    """Return the rounded sum of two numbers, and what the rounding lost."""
    total = builder.fadd(a, b)
    part = builder.fsub(total, a)
    return total, builder.fadd(builder.fsub(a, builder.fsub(total, part)), builder.fsub(b, part))
