"""Compiled code that finds rows of a table: which of them differ, where each lies, and the sums of equal ones."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from llvmlite import ir

from gradstep.engine.cpu import native
from gradstep.engine.cpu.llvm import FLOATS, I64, Function, i64
from gradstep.engine.cpu.reader import HASH, data_of

OUTSIDE = -1  # what ``find`` answers where an index is beyond the table

# What ``find`` is told of a table, word by word: the indices that come, the table's rows; where what has come is noted,
# and how many words that has, as a power of two; where the number of each index goes; the first chunk and the bytes of
# one; where the gradients' address goes; how many columns, which follow.
(COUNT, ROWS, SEEN, BITS, TARGET, CHUNKS, STRIDE, FOUND, COLUMNS), WORDS = range(9), 9
# A column: where in a chunk an address stands, where the array begins, the bytes of one of its rows.
OFFSET, BEGIN, BYTES, COLUMN_WORDS = range(4)


class RowFunctions(NamedTuple):
    """The compiled functions of :func:`emit`."""

    find: Callable[..., int]
    add: dict[str, Callable[..., int]]


@cache
def functions() -> RowFunctions:
    """Return them, compiled once."""
    kernel = native.kernel(emit(native.triple()))
    add = {name: kernel.function(f"add_{name}", 5) for name in FLOATS}
    return RowFunctions(kernel.function("find", 3, hold_gil=True), add)


def emit(triple: str) -> str:
    """The LLVM assembly of ``find`` and, for each type of float, ``add``."""
    module = ir.Module("row_places")
    module.triple = triple
    _find(module)
    for name in FLOATS:
        _add(module, name)
    return str(module)


def _find(module: ir.Module) -> None:
    """``find(index, values, words)``, of two arrays as Python's objects: how many rows differ.

    Each different index gets a number, in the order in which they come; the chunk of that number gets the addresses of
    the row. What has come is a table of where each index stood first, counted from 1: open addressing, linear probing.
    """
    code = Function(module, "find", 3)
    builder = code.builder
    words = code.arguments[2]
    index, values = (data_of(code, array) for array in code.arguments[:2])
    known = (COUNT, ROWS, SEEN, BITS, TARGET, CHUNKS, STRIDE, FOUND)
    n, rows, seen, bits, target, chunks, stride, found = (code.word(words, i64(k)) for k in known)
    builder.store(values, code.pointer(found, I64))
    room, shift = builder.shl(i64(1), bits), builder.sub(i64(64), bits)
    with code.count(i64(0), room) as k:
        builder.store(i64(0), code.pointer(code.offset(seen, k, 8), I64))
    mask, count, slot = builder.sub(room, i64(1)), code.variable(i64(0)), code.variable(i64(0))
    with code.count(i64(0), n) as k:
        j = code.word(index, k)
        code.give_if(builder.icmp_unsigned(">=", j, rows), i64(OUTSIDE))
        builder.store(builder.lshr(builder.mul(j, i64(HASH)), shift), slot)

        def stood() -> Any:
            return code.word(seen, builder.load(slot))

        def is_another(j: Any = j) -> Any:
            first = stood()
            other = code.word(index, builder.sub(code.largest(first, i64(1)), i64(1)))
            return builder.and_(builder.icmp_signed("!=", first, i64(0)), builder.icmp_signed("!=", other, j))

        with code.loop_while(is_another):
            builder.store(builder.and_(builder.add(builder.load(slot), i64(1)), mask), slot)
        first = stood()
        with builder.if_else(builder.icmp_signed("==", first, i64(0))) as (new, old):
            with new:
                number = builder.load(count)
                builder.store(builder.add(k, i64(1)), code.pointer(code.offset(seen, builder.load(slot), 8), I64))
                builder.store(number, code.pointer(code.offset(target, k, 8), I64))
                builder.store(builder.add(number, i64(1)), count)
                chunk = builder.add(chunks, builder.mul(number, stride))
                with code.count(i64(0), code.word(words, i64(COLUMNS))) as c:
                    column = code.offset(builder.add(words, i64(8 * WORDS)), c, 8 * COLUMN_WORDS)
                    at, begin, nbytes = (code.word(column, i64(x)) for x in (OFFSET, BEGIN, BYTES))
                    builder.store(builder.add(begin, builder.mul(j, nbytes)), code.pointer(builder.add(chunk, at), I64))
            with old:
                number = code.word(target, builder.sub(first, i64(1)))
                builder.store(number, code.pointer(code.offset(target, k, 8), I64))
    code.give(builder.load(count))


def _add(module: ir.Module, name: str) -> None:
    """``add(target, n, values, width, out)``: rows of one number are added up as they come, from the first on."""
    code = Function(module, f"add_{name}", 5)
    builder = code.builder
    target, n, values, width, out = code.arguments
    real, size = FLOATS[name], 4 if name == "float32" else 8
    nbytes, count = builder.mul(width, i64(size)), code.variable(i64(0))
    with code.count(i64(0), n) as k:
        number = code.word(target, k)
        x, y = (builder.add(a, builder.mul(b, nbytes)) for a, b in ((values, k), (out, number)))
        is_first = builder.icmp_signed("==", number, builder.load(count))
        with builder.if_else(is_first) as (yes, no):
            for branch, is_sum in ((yes, False), (no, True)):
                with branch:
                    with code.count(i64(0), width) as i:
                        a, b = (code.pointer(code.offset(z, i, size), real) for z in (x, y))
                        value = builder.load(a)
                        builder.store(builder.fadd(builder.load(b), value) if is_sum else value, b)
                    if not is_sum:
                        builder.store(builder.add(builder.load(count), i64(1)), count)
    code.give(i64(0))
