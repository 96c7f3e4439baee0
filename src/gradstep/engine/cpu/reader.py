"""Reads the gradients of a step straight from their array structs: address, type, shape and flags, at 5 ns an array.

NumPy's own ways cost 160 ns (copying) to 2000 ns (``ctypes.data``) an array. The struct's first fields are part of
NumPy's binary interface (its headers inline them into extension modules). Still the reader is an optimisation alone: it
is on after it has agreed with the public interface on arrays of every kind (:func:`layout_is_known`), it is off with
``GRADSTEP_PLAIN=1``, and whatever is unusual it leaves to the ordinary path, which also makes the errors.
"""

import ctypes
import os
import sys
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir

from gradstep.array.memory import owner
from gradstep.engine.cpu import job as at
from gradstep.engine.cpu.llvm import I32, I64, Function, i64
from gradstep.engine.cpu.places import Places

FINE, UNUSUAL, DOUBTFUL = 0, 2, 3  # doubtful: an address not seen before, which may lie where the step writes

_HEAD = (
    object.__basicsize__
)  # a struct begins with the object's head; then data, rank, shape, strides, base, dtype, flags
_ITEMS = tuple.__basicsize__
_DATA, _RANK, _SHAPE, _DTYPE, _FLAGS = _HEAD, _HEAD + 8, _HEAD + 16, _HEAD + 40, _HEAD + 48
_TYPE = _HEAD - 8
_CONTIGUOUS, _OWNS, _ALIGNED, _WRITEABLE = 0x1, 0x4, 0x100, 0x400
_PLACE_WORDS = 4
HASH = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: Knuth's multiplicative hashing


def is_on() -> bool:
    """Return whether gradients are read by their structs."""
    return os.environ.get("GRADSTEP_PLAIN", "") in ("", "0") and layout_is_known()


@cache
def layout_is_known() -> bool:
    """Compare what stands in the structs of some arrays with what the public interface says of them."""
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    read_only = np.arange(3.0)
    read_only.flags.writeable = False
    kinds = [
        np.arange(6.0).reshape(2, 3),
        np.zeros(()),
        np.zeros((2, 0, 1), "i2"),
        np.arange(9.0)[::2],
        np.asfortranarray(np.zeros((3, 3), ">f4")),
        np.frombuffer(b"12345678" * 3, "u1")[1:17].view(np.float64),
        read_only,
    ]
    return ctypes.sizeof(ctypes.c_void_p) == 8 and all(map(_agrees, kinds))


def _agrees(x: np.ndarray) -> bool:
    place, several = id(x), (x, None)
    flags = (_CONTIGUOUS, x.flags.c_contiguous), (_OWNS, x.flags.owndata), (_ALIGNED, x.flags.aligned)
    found = _number(place + _FLAGS, ctypes.c_int32)
    shape = _number(place + _SHAPE)
    return (
        _number(place + _TYPE) == id(np.ndarray)
        and _number(place + _DATA) == x.__array_interface__["data"][0]
        and _number(place + _RANK, ctypes.c_int32) == x.ndim
        and [_number(shape + 8 * k) for k in range(x.ndim)] == list(x.shape)
        and _number(place + _DTYPE) == id(x.dtype)
        and all(bool(found & bit) == value for bit, value in (*flags, (_WRITEABLE, x.flags.writeable)))
        and _number(id(several) + _HEAD) == 2
        and _number(id(several) + _ITEMS) == place
        and _number(id(several) + _ITEMS + 8) == id(None)
    )


def _number(address: int, kind: Any = ctypes.c_int64) -> int:
    return kind.from_address(address).value


def emit_gather(module: ir.Module, moved: ir.Function) -> ir.Function:
    """``gather(leaves, job)``: a tuple's gradients to their addresses; reads Python objects, so it needs the GIL."""
    code = Function(module, "gather", 2)
    builder = code.builder
    leaves, job = code.arguments
    kind, dtypes, ranks, shapes = (code.word(job, i64(k)) for k in (at.NDARRAY, at.DTYPES, at.RANKS, at.SHAPES))
    places, found = (code.word(job, i64(k)) for k in (at.PLACES, at.FOUND))
    table, bits = code.word(job, i64(at.OWNERS)), code.word(job, i64(at.OWNER_BITS))
    doubtful = code.variable(i64(FINE))

    def field(place: Any, offset: int, type_: Any = I64) -> Any:
        return _field(code, place, offset, type_)

    def unusual_if_not_equal(a: Any, b: Any) -> None:
        code.give_if(builder.icmp_signed("!=", a, b), i64(UNUSUAL))

    def has(place: Any, bits: int) -> Any:
        wanted = ir.Constant(I32, bits)
        return builder.icmp_signed("==", builder.and_(field(place, _FLAGS, I32), wanted), wanted)

    unusual_if_not_equal(field(leaves, _HEAD), code.word(job, i64(at.LEAVES)))  # the tuple's length
    with code.count(i64(0), code.word(job, i64(at.LEAVES))) as k:
        x = code.word(builder.add(leaves, i64(_ITEMS)), k)
        unusual_if_not_equal(field(x, _TYPE), kind)
        unusual_if_not_equal(field(x, _DTYPE), code.word(dtypes, k))
        code.give_if(builder.not_(has(x, _CONTIGUOUS | _ALIGNED)), i64(UNUSUAL))
        first = code.word(ranks, k)
        rank = builder.sub(code.word(ranks, builder.add(k, i64(1))), first)
        unusual_if_not_equal(builder.sext(field(x, _RANK, I32), I64), rank)
        row = _row(code, places, k)
        parameter = code.word(row, i64(at.OBJECT))
        unusual_if_not_equal(field(parameter, _DTYPE), code.word(dtypes, k))
        unusual_if_not_equal(builder.sext(field(parameter, _RANK, I32), I64), rank)
        shape, other = field(x, _SHAPE), field(parameter, _SHAPE)
        with code.count(i64(0), rank) as j:
            wanted = code.word(shapes, builder.add(first, j))
            unusual_if_not_equal(code.word(shape, j), wanted)
            unusual_if_not_equal(code.word(other, j), wanted)
        code.give_if(builder.not_(has(parameter, _WRITEABLE | _CONTIGUOUS)), i64(UNUSUAL))
        unusual_if_not_equal(field(parameter, _DATA), code.word(row, i64(at.ADDRESS)))
        data = field(x, _DATA)
        with builder.if_then(builder.icmp_signed("!=", data, code.word(found, k))):  # else it was looked at before
            builder.store(data, code.pointer(code.offset(found, k, 8), I64))
            owns = builder.and_(has(x, _OWNS), builder.icmp_signed("!=", bits, i64(0)))
            with builder.if_else(owns) as (yes, no):
                with yes, builder.if_then(_is_owner(code, table, bits, data)):
                    builder.store(i64(DOUBTFUL), doubtful)
                with no:
                    builder.store(i64(DOUBTFUL), doubtful)
    unusual_if_not_equal(builder.call(moved, [job, code.word(job, i64(at.LEAVES))]), i64(0))  # the state
    code.give(builder.load(doubtful))
    return code.function


def emit_moved(module: ir.Module) -> ir.Function:
    """``moved(job, first)``: whether an array from that row of places on lies elsewhere; it needs the GIL."""
    code = Function(module, "moved", 2)
    builder = code.builder
    job, start = code.arguments
    table, stop = (code.word(job, i64(k)) for k in (at.PLACES, at.PLACE_COUNT))
    with code.count(start, stop) as k:
        row = _row(code, table, k)
        x, place, elements, flags = (code.word(row, i64(j)) for j in (at.OBJECT, at.ADDRESS, at.ELEMENTS, at.FLAGS))
        own = builder.sext(_field(code, x, _FLAGS, I32), I64)
        code.give_if(builder.icmp_signed("!=", _field(code, x, _DATA), place), i64(1))
        code.give_if(builder.icmp_signed("!=", builder.and_(own, flags), flags), i64(1))
        with builder.if_then(builder.icmp_signed(">=", elements, i64(0))):
            shape, product = _field(code, x, _SHAPE), code.variable(i64(1))
            builder.store(i64(1), product)
            with code.count(i64(0), builder.sext(_field(code, x, _RANK, I32), I64)) as j:
                builder.store(builder.mul(builder.load(product), code.word(shape, j)), product)
            code.give_if(builder.icmp_signed("!=", builder.load(product), elements), i64(1))
    code.give(i64(0))
    return code.function


def place_table(places: Places) -> np.ndarray:
    """Return the table for :func:`emit_moved`: what is written is contiguous, an owner as large as it was."""
    rows = [
        (id(x.array), x.address, x.array.size if owner(x.array) is x.array else -1, _CONTIGUOUS if x.form else 0)
        for x in places.rows
    ]
    return np.array(rows, np.int64).reshape(-1, _PLACE_WORDS)


def _field(code: Function, place: Any, offset: int, kind: Any = I64) -> Any:
    """Load what stands in a struct, so many bytes from its beginning."""
    return code.builder.load(code.pointer(code.builder.add(place, i64(offset)), kind))


def _row(code: Function, table: Any, k: Any) -> Any:
    """The address of a row of places."""
    return code.offset(table, k, 8 * _PLACE_WORDS)


def data_of(code: Function, array: Any) -> Any:
    """Return the address of a NumPy array's numbers."""
    return code.word(code.builder.add(array, i64(_DATA)), i64(0))


def _is_owner(code: Function, table: Any, bits: Any, data: Any) -> Any:
    """Return whether ``data`` stands in the table of owners, of 2^bits places: open addressing, linear probing."""
    builder = code.builder
    mask = builder.sub(builder.shl(i64(1), bits), i64(1))
    slot = code.variable(builder.lshr(builder.mul(data, i64(HASH)), builder.sub(i64(64), bits)))

    def entry() -> Any:
        return code.word(table, builder.load(slot))

    def goes_on() -> Any:
        x = entry()
        return builder.and_(builder.icmp_signed("!=", x, i64(0)), builder.icmp_signed("!=", x, data))

    with code.loop_while(goes_on):
        builder.store(builder.and_(builder.add(builder.load(slot), i64(1)), mask), slot)
    return builder.icmp_signed("==", entry(), data)


def owner_table(owners: list[int]) -> np.ndarray:
    """The addresses of owners in a table for :func:`emit_gather`; its length is a power of two, at most half full."""
    bits = max(2, (2 * len(owners)).bit_length())
    table = np.zeros(1 << bits, np.int64)
    for address in owners:
        slot = (address * HASH % (1 << 64)) >> (64 - bits)
        while table[slot] not in (0, address):
            slot = (slot + 1) % len(table)
        table[slot] = address
    return table
