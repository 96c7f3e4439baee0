"""Storage formats in compiled code against their NumPy form: the same bits, for every length, place and number."""

import contextlib
import platform

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.reduction import LANES
from gradstep.array.storage import BLOCK, FORMATS, Blocks, draws, high, low, step_key, tensor_key

pytest.importorskip("llvmlite")
from llvmlite import ir

from gradstep.engine.cpu import codecs, native
from gradstep.engine.cpu.llvm import I32, Function, declared, halved, i64

CODECS = {
    "bfloat16": codecs.Bfloat16(),
    "float16": codecs.Float16(),
    "signed8": codecs.Blocks("signed8"),
    "squares8": codecs.Blocks("squares8"),
    "sizes8": codecs.Blocks("sizes8"),
}
ROUNDINGS = ["nearest", "low", "high"]
LENGTHS = [*range(1, 68), 255, 256, 257, 4095, 4096, 4097]


@pytest.fixture(autouse=True)
def no_files(monkeypatch):
    monkeypatch.setenv("GRADSTEP_CACHE_DIR", "")


def made(name):
    """A format and its codec, where both are here."""
    if name == "bfloat16":
        pytest.importorskip("ml_dtypes")
    if name == "float16" and not native.has_float16():
        pytest.skip("this CPU has no F16C")
    return FORMATS[name], CODECS[name]


def vectors(code, start, stop, one):
    """``one(i, mask)`` for each full vector, and once for the masked rest."""
    builder = code.builder
    full = builder.add(start, builder.and_(builder.sub(stop, start), i64(-LANES)))
    with code.count(start, full, LANES) as i:
        one(i, None)
    with builder.if_then(builder.icmp_signed(">", builder.sub(stop, full), i64(0))):
        one(full, code.first_lanes(LANES, builder.sub(stop, full)))


def compiled(name, arguments, body):
    """The function whose instructions ``body(code)`` writes."""
    module = ir.Module("codecs")
    module.triple = native.triple()
    code = Function(module, name, arguments)
    body(code)
    code.give(i64(0))
    return native.kernel(str(module)).function(name, arguments)


def blockwise(code, n, one):
    """``one(k, start, stop)`` for each block of 256."""
    with code.count(i64(0), n, BLOCK) as start:
        one(code.builder.sdiv(start, i64(BLOCK)), start, code.least(n, code.builder.add(start, i64(BLOCK))))


def scale_place(code, scales, k):
    return code.pointer(code.offset(scales, k, 4), codecs.REAL)


def encoding(name, rounding):
    """``encode(values, stored, scales, n, key, start)``; the draw of element i is number ``start + i`` of the key."""
    codec = CODECS[name]

    def body(code):
        values, stored, scales, n, key, first = code.arguments

        def noise(i):
            bits = codecs.draw(code, key, code.builder.add(first, i))
            return {"nearest": lambda *_: None, "low": codecs.low, "high": codecs.high}[rounding](code, bits)

        def read(i, mask):
            return code.load(code.offset(values, i, 4), codecs.vector(code, codecs.REAL), mask, 4)

        def block(k, start, stop):
            top = code.variable(codecs.words(code, 0))

            def look(i, mask):
                size = codecs.magnitude(code, read(i, mask), mask)
                code.builder.store(codecs.larger(code, size, code.builder.load(top)), top)

            code.builder.store(codecs.words(code, 0), top)
            vectors(code, start, stop, look)
            scale = codec.scale(code, halved(code, code.builder.load(top), lambda a, b: codecs.larger(code, a, b)))
            code.builder.store(scale, scale_place(code, scales, k), align=4)
            vectors(
                code, start, stop, lambda i, mask: codec.store(code, read(i, mask), stored, i, mask, scale, noise(i))
            )

        if FORMATS[name].block:
            blockwise(code, n, block)
        else:
            vectors(code, i64(0), n, lambda i, mask: codec.store(code, read(i, mask), stored, i, mask, noise(i)))

    return compiled("encode", 6, body)


def decoding(name):
    """``decode(stored, scales, values, n)``."""
    codec = CODECS[name]

    def body(code):
        stored, scales, values, n = code.arguments

        def write(x, i, mask):
            code.store(x, code.offset(values, i, 4), mask, 4)

        def block(k, start, stop):
            scale = code.builder.load(scale_place(code, scales, k), align=4)
            vectors(code, start, stop, lambda i, mask: write(codec.load(code, stored, i, mask, scale), i, mask))

        if FORMATS[name].block:
            blockwise(code, n, block)
        else:
            vectors(code, i64(0), n, lambda i, mask: write(codec.load(code, stored, i, mask), i, mask))

    return compiled("decode", 4, body)


GUARD = 64  # bytes on either side that must stay as they are


class Room:
    """Bytes for ``n`` numbers of a dtype, at an address that is aligned to no more than one of them."""

    def __init__(self, n, dtype):
        self.bytes = np.full(2 * GUARD + n * dtype.itemsize, 0xA5, np.uint8)
        shift = GUARD - self.bytes.ctypes.data % 32 + dtype.itemsize  # 32 k + one number
        self.inner = self.bytes[shift : shift + n * dtype.itemsize]
        self.outer = np.concatenate([self.bytes[:shift], self.bytes[shift + n * dtype.itemsize :]])
        self.array = self.inner.view(dtype)
        self.address = self.inner.ctypes.data

    def untouched(self):
        shift = self.inner.ctypes.data - self.bytes.ctypes.data
        return (self.bytes[:shift] == 0xA5).all() and (self.bytes[shift + self.inner.size :] == 0xA5).all()

    def put(self, x):
        self.array[...] = x
        return self


def encode(function, made, values, key=0, start=0):
    given = Room(values.size, values.dtype).put(values)
    room, scales = Room(values.size, made.dtype), Room(-(-values.size // BLOCK), np.dtype(np.float32))
    function(given.address, room.address, scales.address, values.size, key - (key >> 63 << 64), start)
    assert room.untouched()
    assert given.untouched()
    if not made.block:
        return (room.array,)
    assert scales.untouched()
    return room.array, scales.array


def decode(function, made, stored):
    stored = [Room(x.size, x.dtype).put(x) for x in stored]
    values = Room(stored[0].array.size, np.dtype(np.float32))
    function(stored[0].address, stored[-1].address, values.address, values.array.size)
    assert values.untouched()
    return values.array


def raw(x):
    return x.view(f"u{x.dtype.itemsize}").tolist()


def numbers(x):
    """Bits, all NaNs being one."""
    words = x.view(np.uint32).copy()
    words[np.isnan(x)] = 0x7FC00000
    return words.tolist()


def patterns(n, seed=0):
    """All kinds of float32: any bits; some blocks of ordinary size, of small spread, of denormals, of zeros."""
    rng = np.random.default_rng(seed)
    kinds = [
        rng.integers(0, 1 << 32, n, np.uint32).view(np.float32),
        rng.normal(size=n).astype(np.float32),
        (rng.normal(size=n) * np.exp2(rng.integers(-60, 2, n))).astype(np.float32),
        (rng.normal(size=n) * np.exp2(rng.integers(-30, -10, n))).astype(np.float32),
        rng.integers(0, 1 << 24, n, np.uint32).view(np.float32),  # denormal
        rng.integers(0, 1 << 24, n, np.uint32).view(np.float32) * np.float32(2.0**24),
        rng.choice(np.float32([0, -0.0]), n),
        rng.choice(np.float32([0, -0.0, 1e-45, 1e-30, 3e38, -3e38, 65504, 65519, 65520, -6e-8, 2**-14]), n),
    ]
    choice = np.repeat(rng.integers(0, len(kinds), -(-n // BLOCK)), BLOCK)[:n]
    out = np.choose(choice, kinds)
    if n > 300:
        out[rng.integers(0, n, 3)] = [np.nan, np.inf, -np.inf]
    return out


def noise_of(rounding, key, n, start=0):
    return None if rounding == "nearest" else {"low": low, "high": high}[rounding](draws(key, n, start))


def check(made, function, back, x, rounding, key, start=0):
    want = made.encode(x, noise_of(rounding, key, x.size, start))
    got = encode(function, made, x, key, start)
    for a, b in zip(want, got, strict=True):
        assert raw(a) == raw(b)
    assert numbers(made.decode(want)) == numbers(decode(back, made, want))


@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_the_bits_of_numpy(name, rounding):
    form, _ = made(name)
    function, back = encoding(name, rounding), decoding(name)
    for k, n in enumerate(LENGTHS):
        key = tensor_key(step_key(3, k), 0)
        check(form, function, back, patterns(n, k), rounding, key)
        check(form, function, back, np.random.default_rng(k).normal(size=n).astype(np.float32), rounding, key)


@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_the_bits_of_numpy_for_many_numbers(name, rounding):
    form, _ = made(name)
    check(form, encoding(name, rounding), decoding(name), patterns(1 << 20, 9), rounding, 1 << 63 | 12345)


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_every_code_of_16_bits(name):
    form, _ = made(name)
    stored = (np.arange(1 << 16).astype(np.uint16).view(form.dtype),)
    assert numbers(decode(decoding(name), form, stored)) == numbers(form.decode(stored))


@pytest.mark.parametrize("name", ["signed8", "squares8", "sizes8"])
def test_every_code_of_8_bits(name):
    form, _ = made(name)
    exponents = range(27, 240 if form.signed else 224)
    scales = np.array([*(k << 23 for k in exponents), 0x7FC00000], np.uint32).view(np.float32)
    stored = np.tile(np.arange(256, dtype=np.uint8), scales.size), scales
    assert numbers(decode(decoding(name), form, stored)) == numbers(form.decode(stored))


@pytest.mark.parametrize("name", ["signed8", "squares8", "sizes8"])
def test_every_scale(name):
    """One magnitude of each exponent, and those beside the limits."""
    function = compiled("scale", 2, lambda code: _scale(code, codecs.Blocks(name)))
    tops = np.arange(0, 1 << 31, 1 << 20, dtype=np.uint32)
    tops = np.concatenate([tops, tops[1:] - 1, tops + 1])
    out = np.zeros(1, np.float32)
    got = []
    for top in tops:
        function(int(top), out.ctypes.data)
        got.append(out[0])
    assert raw(np.array(got, np.float32)) == raw(Blocks(name).scales(tops))


def _scale(code, codec):
    top, place = code.arguments
    code.builder.store(codec.scale(code, code.builder.trunc(top, I32)), code.pointer(place, codecs.REAL))


@pytest.mark.parametrize("start", [0, 16, 4096, (1 << 32) - 64, (1 << 32) + 16, (1 << 40) - 1024])
def test_draws_are_those_of_numpy(start):
    def body(code):
        place, n, step, tensor, first = code.arguments
        key = codecs.tensor_key(code, step, tensor, 3)

        def one(i, mask):
            bits = codecs.draw(code, key, code.builder.add(first, i))
            code.store(code.builder.bitcast(bits, codecs.vector(code, codecs.REAL)), code.offset(place, i, 4), mask, 4)

        vectors(code, i64(0), n, one)

    function = compiled("draws", 5, body)
    step = step_key(1, 2)
    for tensor in (0, 1, 12345):
        out = np.zeros(1000, np.uint32)
        function(out.ctypes.data, 1000, step - (step >> 63 << 64), tensor, start)
        assert raw(out) == raw(draws(tensor_key(step, tensor, 3), 1000, start))


@pytest.mark.parametrize("name", list(FORMATS))
def test_work_may_be_cut_anywhere_between_blocks(name):
    form, _ = made(name)
    function = encoding(name, "low")
    x = patterns(10 * BLOCK + 17, 4)
    whole = encode(function, form, x, 77)
    parts = [encode(function, form, x[a:b], 77, a) for a, b in [(0, BLOCK), (BLOCK, 7 * BLOCK), (7 * BLOCK, x.size)]]
    for whole_, *parts_ in zip(whole, *parts, strict=True):
        assert raw(whole_) == raw(np.concatenate(parts_))


@pytest.mark.parametrize("n", [1, 7, 15])
def test_lanes_that_do_not_exist_count_for_nothing(n):
    """They are loaded as zeros, and whatever a rule makes of that is not the largest number of a block."""

    def body(code):
        stored, values, out, top = code.arguments
        builder, mask = code.builder, code.first_lanes(LANES, i64(n))
        code.store(CODECS["float16"].load(code, stored, i64(0), mask), out, None, 4)
        sizes = codecs.magnitude(code, code.load(values, codecs.vector(code, codecs.REAL), None, 4), mask)
        best = halved(code, sizes, lambda a, b: codecs.larger(code, a, b))
        builder.store(best, code.pointer(top, I32))

    made("float16")
    stored = np.arange(1, LANES + 1).astype(np.float16)
    values = np.where(np.arange(LANES) < n, -stored, np.nan).astype(np.float32)
    out, top = np.ones(LANES, np.float32), np.zeros(1, np.float32)
    compiled("lanes", 4, body)(*(x.ctypes.data for x in (stored, values, out, top)))
    assert out.tolist() == [*range(1, n + 1), *[0] * (LANES - n)]
    assert top.tolist() == [n]


@contextlib.contextmanager
def flushing():
    """This thread takes denormal floats for zero, as some libraries ask of the CPU, and makes none."""

    def body(code):
        builder = code.builder
        place = code.variable(builder.trunc(code.arguments[0], I32))
        byte = ir.IntType(8).as_pointer()
        f = declared(code.module, "llvm.x86.sse.ldmxcsr", ir.VoidType(), [byte])
        builder.call(f, [builder.bitcast(place, byte)])

    usual, flush = 0x1F80, 0x8040
    load = compiled("load", 1, body)
    load(usual | flush)
    try:
        yield
    finally:
        load(usual)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="how to ask is known for x86 alone")
@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_a_cpu_that_flushes_denormals_gives_the_same(name, rounding):
    form, _ = made(name)
    function, back = encoding(name, rounding), decoding(name)
    x, key = patterns(1 << 16, 5), 4321
    with flushing():
        assert np.float32(1e-45) * np.float32(2**30) == 0
        got = encode(function, form, x, key)
        values = decode(back, form, got)
        theirs = form.encode(x, noise_of(rounding, key, x.size))
    want = form.encode(x, noise_of(rounding, key, x.size))
    for a, b, c in zip(want, got, theirs, strict=True):
        assert raw(a) == raw(b) == raw(c)
    assert numbers(form.decode(want)) == numbers(values)


def test_an_x86_without_f16c_is_told(monkeypatch):
    monkeypatch.setattr(native, "triple", lambda: "x86_64-unknown-linux-gnu")
    monkeypatch.setattr(native, "_target", lambda: ("x86-64", "-f16c,+avx"))
    assert not native.has_float16()
    opt = gs.Optimizer(np.ones(3, np.float16), "adam")
    assert opt.engine == "eager"
    with pytest.raises(gs.GradstepValueError, match="this CPU has no instructions for float16"):
        gs.Optimizer(np.ones(3, np.float16), "adam", engine="compiled")
    monkeypatch.setattr(native, "triple", lambda: "aarch64-unknown-linux-gnu")
    assert native.has_float16()
