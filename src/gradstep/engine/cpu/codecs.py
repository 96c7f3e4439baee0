"""The storage formats as instructions on vectors, bit for bit as :mod:`gradstep.array.storage`.

A codec loads stored numbers as float32 vectors and stores such vectors, of as many lanes as the function that is
written has: sixteen on a CPU. ``place`` is the address of an array's first element, ``i`` the number of the vector's
first one there, ``mask`` the lanes that exist (None: all). ``noise`` is a vector of integers from 0 to 65535, or None
to round to the nearest.
"""

from abc import ABC, abstractmethod
from typing import Any

from llvmlite import ir

from gradstep.array.storage import blocks, floats
from gradstep.array.storage.counter import GAMMA, LAST, ROUNDS, SPLITMIX, STRIDE
from gradstep.array.storage.format import INFINITY, MAGNITUDE
from gradstep.engine.cpu.llvm import FLOATS, I1, I32, Function, Operand, declared, i64

REAL = FLOATS["float32"]


def vector(code: Function, kind: Any) -> ir.VectorType:
    """The type of a vector of ``kind``."""
    return ir.VectorType(kind, code.lanes)


def words(code: Function, n: int) -> ir.Constant:
    """An integer in every lane."""
    return ir.Constant(vector(code, I32), [n] * code.lanes)


def magnitude(code: Function, value: Any, mask: Any = None) -> Any:
    """The bits of |value|, which order as |value| does, with NaN above all; zero in lanes that do not exist."""
    size = code.builder.and_(code.builder.bitcast(value, vector(code, I32)), words(code, MAGNITUDE))
    return size if mask is None else code.builder.select(mask, size, words(code, 0))


def larger(code: Function, a: Any, b: Any) -> Any:
    """The larger of two unsigned integers, or of each pair."""
    return code.builder.select(code.builder.icmp_unsigned(">", a, b), a, b)


def tensor_key(code: Function, step: Any, tensor: Any, use: int = 0) -> Any:
    """The key of :func:`gradstep.array.storage.tensor_key`, in 64-bit integers."""
    builder = code.builder
    n = builder.or_(builder.shl(tensor, i64(8)), i64(use))
    z = builder.add(step, builder.mul(builder.add(n, i64(1)), i64(GAMMA)))
    for shift, factor in SPLITMIX:
        z = builder.mul(builder.xor(z, builder.lshr(z, i64(shift))), i64(factor))
    return z


def draw(code: Function, key: Any, i: Any) -> Any:
    """The random bits of a vector of elements, from number ``i`` of their tensor on, a multiple of the lanes."""
    builder = code.builder
    key = builder.add(key, builder.mul(builder.lshr(i, i64(32)), i64(GAMMA)))
    first, second = (builder.trunc(part, I32) for part in (key, builder.lshr(key, i64(32))))
    start = builder.add(builder.mul(builder.trunc(i, I32), ir.Constant(I32, STRIDE)), first)
    strides = [k * STRIDE % (1 << 32) for k in range(code.lanes)]
    x = builder.add(code.splat(start, code.lanes), ir.Constant(vector(code, I32), strides))
    for (shift, factor), more in zip(ROUNDS, (code.splat(second, code.lanes), None), strict=True):
        x = builder.mul(builder.xor(x, builder.lshr(x, words(code, shift))), words(code, factor))
        x = x if more is None else builder.add(x, more)
    return builder.xor(x, builder.lshr(x, words(code, LAST)))


def low(code: Function, bits: Any) -> Any:
    """The noise in the low half of each draw."""
    return code.builder.and_(bits, words(code, 0xFFFF))


def high(code: Function, bits: Any) -> Any:
    """The noise in the high half of each draw."""
    return code.builder.lshr(bits, words(code, 16))


class Half(ABC):
    """A format of 16 bits. Codes are integers of 32, the upper half of them zero."""

    def load(self, code: Function, place: Any, i: Any, mask: Any) -> Any:
        """The numbers from number ``i`` on."""
        return self.decoded(code, _load(code, place, i, mask, 16))

    def store(self, code: Function, value: Any, place: Any, i: Any, mask: Any, noise: Any) -> None:
        """Store numbers from number ``i`` on."""
        _store(code, self.encoded(code, value, noise), place, i, mask, 16)

    def followed(self, code: Function, master: Any, place: Any, i: Any, mask: Any) -> Any:
        """Return the master copies of numbers; a number that is not its copy rounded stands for itself."""
        codes = _load(code, place, i, mask, 16)
        is_same = code.builder.icmp_unsigned("==", codes, self.encoded(code, master, None))
        return code.builder.select(is_same, master, self.decoded(code, codes))

    @abstractmethod
    def encoded(self, code: Function, value: Any, noise: Any) -> Any:
        """Return the codes of numbers."""

    @abstractmethod
    def decoded(self, code: Function, codes: Any) -> Any:
        """Return the numbers of codes."""


class Bfloat16(Half):
    """The format of :class:`.storage.Bfloat16`: integers only, for few CPUs and no llvmlite have the type."""

    def decoded(self, code: Function, codes: Any) -> Any:
        """Return the numbers of codes."""
        return code.builder.bitcast(code.builder.shl(codes, words(code, 16)), vector(code, REAL))

    def encoded(self, code: Function, value: Any, noise: Any) -> Any:
        """Return the codes of numbers."""
        builder = code.builder
        x = builder.bitcast(value, vector(code, I32))
        if noise is None:
            up = builder.add(builder.and_(builder.lshr(x, words(code, 16)), words(code, 1)), words(code, 0x7FFF))
        else:
            small = builder.icmp_unsigned("<", magnitude(code, value), words(code, floats.Bfloat16.largest))
            up = builder.select(small, noise, words(code, 0x8000))
        return _quiet(code, value, 0x7FC0, builder.lshr(builder.add(x, up), words(code, 16)))


class Float16(Half):
    """The format of :class:`.storage.Float16`, for CPUs that convert such numbers (native.has_float16)."""

    def decoded(self, code: Function, codes: Any) -> Any:
        """Return the numbers of codes."""
        stored = code.builder.trunc(codes, vector(code, ir.IntType(16)))
        return code.builder.fpext(code.builder.bitcast(stored, vector(code, ir.HalfType())), vector(code, REAL))

    def encoded(self, code: Function, value: Any, noise: Any) -> Any:
        """Return the codes of numbers."""
        builder = code.builder
        stored = builder.bitcast(builder.fptrunc(value, vector(code, ir.HalfType())), vector(code, ir.IntType(16)))
        codes = builder.zext(stored, vector(code, I32))
        if noise is not None:
            rounded = builder.or_(self._rounded(code, value, noise), _sign(code, value, 16))
            finite = builder.icmp_unsigned("<", magnitude(code, value), words(code, floats.Float16.infinite))
            codes = builder.select(finite, rounded, codes)
        return _quiet(code, value, 0x7E00, codes)

    def _rounded(self, code: Function, value: Any, noise: Any) -> Any:
        builder = code.builder
        size = Operand(builder, value).speak("abs", (Operand(builder, value),))
        normal = floats.Float16.normal
        moved = builder.sub(builder.bitcast((size + normal).value, vector(code, I32)), words(code, 1 << 23))
        shifted = builder.select((size < normal).value, moved, magnitude(code, value))
        total = builder.add(builder.sub(shifted, words(code, 112 << 23)), builder.lshr(noise, words(code, 3)))
        codes = builder.lshr(total, words(code, 13))
        return builder.select(builder.icmp_unsigned("<", codes, words(code, 0x7BFF)), codes, words(code, 0x7BFF))


class Blocks:
    """The format of :class:`.storage.Blocks`; ``scale`` is the float32 of the block that the vector lies in."""

    def __init__(self, name: str) -> None:
        self.format = blocks.Blocks(name)

    def scale(self, code: Function, largest: Any) -> Any:
        """The scale of a block, from the bits of its largest magnitude: one 32-bit integer."""
        builder = code.builder
        order = builder.and_(largest, ir.Constant(I32, INFINITY))
        order = builder.sub(order, ir.Constant(I32, self.format.depth << 23))
        least = ir.Constant(I32, blocks.SMALLEST)
        order = builder.select(builder.icmp_signed(">", order, least), order, least)
        fits = builder.icmp_unsigned("<", largest, ir.Constant(I32, blocks.TOO_LARGE))
        return builder.bitcast(builder.select(fits, order, ir.Constant(I32, blocks.NAN)), REAL)

    def load(self, code: Function, place: Any, i: Any, mask: Any, scale: Any) -> Any:
        """The numbers from number ``i`` on."""
        builder = code.builder
        codes = _load(code, place, i, mask, 8)
        size = builder.and_(codes, words(code, 0x7F)) if self.format.signed else codes
        moved = builder.shl(size, words(code, blocks.LOST))
        moved = builder.add(moved, code.splat(builder.bitcast(scale, I32), code.lanes))
        x = builder.fsub(builder.bitcast(moved, vector(code, REAL)), code.splat(scale, code.lanes))
        if not self.format.signed:
            return x
        sign = builder.shl(builder.and_(codes, words(code, 0x80)), words(code, 24))
        return builder.bitcast(builder.or_(builder.bitcast(x, vector(code, I32)), sign), vector(code, REAL))

    def store(self, code: Function, value: Any, place: Any, i: Any, mask: Any, scale: Any, noise: Any) -> None:
        """Store numbers from number ``i`` on."""
        builder = code.builder
        size = magnitude(code, value)
        moved = builder.fadd(builder.bitcast(size, vector(code, REAL)), code.splat(scale, code.lanes))
        lost = blocks.LOST
        up = 1 << (lost - 1) if noise is None else 1 << (lost - 17)
        shift = builder.sub(ir.Constant(I32, up), builder.bitcast(scale, I32))
        codes = builder.add(builder.bitcast(moved, vector(code, I32)), code.splat(shift, code.lanes))
        if noise is not None:
            codes = builder.add(codes, builder.shl(noise, words(code, lost - 16)))
        codes = builder.lshr(codes, words(code, lost))
        if self.format.signed:
            codes = builder.or_(codes, _sign(code, value, 24))
        else:
            zero = builder.icmp_unsigned("==", size, words(code, 0))
            codes = builder.select(zero, words(code, 0), larger(code, codes, words(code, 1)))
        known = builder.select(builder.fcmp_ordered("ord", scale, scale), ir.Constant(I32, -1), ir.Constant(I32, 0))
        _store(code, builder.and_(codes, code.splat(known, code.lanes)), place, i, mask, 8)


def _sign(code: Function, value: Any, places: int) -> Any:
    """The sign bit, so many places lower."""
    return code.builder.and_(
        code.builder.lshr(code.builder.bitcast(value, vector(code, I32)), words(code, places)),
        words(code, 1 << (31 - places)),
    )


def _quiet(code: Function, value: Any, nan: int, codes: Any) -> Any:
    """``codes``, but the 16-bit code ``nan`` with the value's sign where that is NaN."""
    builder = code.builder
    other = builder.or_(_sign(code, value, 16), words(code, nan))
    return builder.select(builder.fcmp_unordered("uno", value, value), other, codes)


def _load(code: Function, place: Any, i: Any, mask: Any, width: int) -> Any:
    """Integers of 8 or 16 bits, from number ``i`` on, widened by zeros; zeros where ``mask`` is false."""
    kind = vector(code, ir.IntType(width))
    size = width // 8
    where = code.pointer(code.offset(place, i, size), kind)
    if mask is None:
        return code.builder.zext(code.builder.load(where, align=code.alignment(kind, size)), vector(code, I32))
    takes = [kind.as_pointer(), I32, vector(code, I1), kind]
    f = declared(code.module, f"llvm.masked.load.v{code.lanes}i{width}.p0", kind, takes)
    zeros = ir.Constant(kind, [0] * code.lanes)
    return code.builder.zext(code.builder.call(f, [where, ir.Constant(I32, size), mask, zeros]), vector(code, I32))


def _store(code: Function, codes: Any, place: Any, i: Any, mask: Any, width: int) -> None:
    """Store the low 8 or 16 bits of integers, from number ``i`` on, where ``mask`` is true."""
    kind = vector(code, ir.IntType(width))
    size = width // 8
    where = code.pointer(code.offset(place, i, size), kind)
    narrow = code.builder.trunc(codes, kind)
    if mask is None:
        code.builder.store(narrow, where, align=code.alignment(kind, size))
        return
    takes = [kind, kind.as_pointer(), I32, vector(code, I1)]
    f = declared(code.module, f"llvm.masked.store.v{code.lanes}i{width}.p0", ir.VoidType(), takes)
    code.builder.call(f, [narrow, where, ir.Constant(I32, size), mask])
