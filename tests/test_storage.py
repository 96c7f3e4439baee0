"""Storage formats against tables of all that they can hold, and the random bits against chance."""

import math
import sys

import numpy as np
import pytest

from gradstep.array.storage import BLOCK, FORMATS, draws, high, low, step_key, tensor_key
from gradstep.array.storage.counter import _splitmix
from gradstep.errors import GradstepTypeError

EVERY = np.arange(1 << 16, dtype=np.uint32)  # all noises, and all codes of 16 bits
SIGNED, SQUARES, SIZES = (FORMATS[name] for name in ("signed8", "squares8", "sizes8"))
DEPTHS = {SIGNED: 14, SQUARES: 30, SIZES: 11}  # binary orders from the scale to the largest number


def needs(name):
    return pytest.importorskip("ml_dtypes") if name == "bfloat16" else None


@pytest.fixture(params=["bfloat16", "float16"])
def half(request):
    needs(request.param)
    return FORMATS[request.param]


@pytest.fixture(params=[SIGNED, SQUARES, SIZES], ids=lambda x: x.name)
def blocks(request):
    return request.param


def table(name):
    """The numbers of the codes from 0 up to the first that is infinite, taken as if it were one more."""
    mantissa, least, codes = {"bfloat16": (7, -126, 0x7F81), "float16": (10, -14, 0x7C01)}[name]
    exponent, part = np.divmod(np.arange(codes), 1 << mantissa)
    whole = np.where(exponent > 0, 1 << mantissa, 0) + part
    return np.ldexp(whole.astype(float), np.maximum(exponent, 1) - 1 + least - mantissa)


def grid(signed, scale):
    """The numbers of a block's codes."""
    c = np.arange(128 if signed else 256)
    return scale * (2.0 ** (c // 8) * (1 + c % 8 / 8) - 1)


def around(numbers, x):
    """For each |x| the code below it, and its place between that one's number and the next."""
    size = np.abs(x.astype(float))
    code = np.clip(np.searchsorted(numbers, size, side="right") - 1, 0, len(numbers) - 2)
    return code, (size - numbers[code]) / (numbers[code + 1] - numbers[code])


def floats(n, seed=0):
    """Random patterns of float32, and all that is special among them."""
    x = np.random.default_rng(seed).integers(0, 1 << 32, n, np.uint32)
    edges = np.concatenate([(table(name)[:-1].astype(np.float32)).view(np.uint32) for name in ("bfloat16", "float16")])
    ties = np.concatenate([edges + np.uint32(1 << 15), edges + np.uint32(1 << 12)])
    low_numbers = (np.arange(4096) / 2**26).astype(np.float32).view(np.uint32)  # halves and quarters of float16's least
    some = np.concatenate([x, edges, ties, low_numbers])
    some = np.concatenate([some - 1, some, some + 1, [0x7F800000, 0x7F800001, 0x7FC00000, 0x7FFFFFFF, 0, 1]])
    some = some.astype(np.uint32)
    return np.concatenate([some, some ^ np.uint32(1 << 31)]).view(np.float32)


# 16 bits


def test_every_code_is_decoded_and_encoded(half):
    codes = EVERY.astype(np.uint16)
    x = half.decode((codes.view(half.dtype),))
    numbers = table(half.name)
    finite = (codes & 0x7FFF) < len(numbers) - 1
    assert np.abs(x[finite]).astype(float).tolist() == numbers[codes[finite] & 0x7FFF].tolist()
    assert np.array_equal(np.signbit(x[finite]), codes[finite] >= 0x8000)
    infinite = (codes & 0x7FFF) == len(numbers) - 1
    assert x[infinite].tolist() == [math.inf, -math.inf]
    assert np.isnan(x[~finite & ~infinite]).all()
    for noise in (None, EVERY, EVERY[::-1].copy()):
        back = half.encode(x, noise)[0].view(np.uint16)
        assert np.array_equal(back[~np.isnan(x)], codes[~np.isnan(x)])
        assert np.isnan(half.decode((back.view(half.dtype),))[np.isnan(x)]).all()


def test_the_nearest_with_ties_to_even(half):
    x = floats(1 << 20)
    got = half.encode(x)[0].view(np.uint16)
    numbers = table(half.name)
    finite = np.isfinite(x)
    code, part = around(numbers, x[finite])
    code = np.minimum(code + ((part > 0.5) | ((part == 0.5) & (code % 2 == 1))), len(numbers) - 1)
    assert np.array_equal(got[finite], code + (np.signbit(x[finite]) * 0x8000))
    assert np.array_equal(got[np.isinf(x)] & 0x7FFF, np.full(np.isinf(x).sum(), len(numbers) - 1))
    with np.errstate(all="ignore"):
        theirs = x.astype(half.dtype)  # ml_dtypes' cast, or NumPy's
    assert np.array_equal(got[~np.isnan(x)], theirs.view(np.uint16)[~np.isnan(x)])
    nan = half.encode(x[np.isnan(x)])[0]
    assert np.isnan(half.decode((nan,))).all()
    assert np.array_equal(nan.view(np.uint16) >= 0x8000, np.signbit(x[np.isnan(x)]))


def test_noise_gives_a_neighbour_and_never_infinity(half):
    x = floats(1 << 17, seed=1)
    noise = np.random.default_rng(2).integers(0, 1 << 16, x.size, np.uint32)
    numbers = table(half.name)
    for bits in (noise, np.zeros_like(noise), np.full_like(noise, 0xFFFF)):
        got = half.encode(x, bits)[0].view(np.uint16)
        nearest = half.encode(x)[0].view(np.uint16)
        fixed = (nearest & 0x7FFF) >= len(numbers) - 1
        assert np.array_equal(got[fixed], nearest[fixed])
        code, part = around(numbers, x[~fixed])
        size = got[~fixed] & 0x7FFF
        assert np.isin(size - code, (0, 1)).all()
        assert (size == code)[part == 0].all()
        assert (size < len(numbers) - 1).all()
        assert np.array_equal(got[~fixed] >= 0x8000, np.signbit(x[~fixed]))


def test_all_noises_together_round_to_the_number_itself(half):
    rng = np.random.default_rng(3)
    numbers = table(half.name)[:-1]
    some = np.concatenate([rng.uniform(size=200) * numbers[rng.integers(1, len(numbers), 200)], [3e-6, 6e-5, 1e-7]])
    for x in some.astype(np.float32):
        got = half.encode(np.full(1 << 16, x), EVERY)[0]
        mean = math.fsum(half.decode((got,)).astype(float)) / (1 << 16)
        code, _ = around(numbers, x)
        gap = numbers[code + 1] - numbers[code]
        # Below float16's normal numbers, a number is first rounded to 2**-13 of the gap.
        inexact = gap * 2.0**-14 if half.name == "float16" and x < 2.0**-14 else 0.0
        assert abs(mean - float(x)) <= inexact


def test_bfloat16_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(GradstepTypeError, match=r"pip install 'gradstep\[low\]'"):
        FORMATS["bfloat16"].encode(np.ones(3, np.float32))
    assert FORMATS["float16"].encode(np.ones(3, np.float32))[0].tolist() == [1, 1, 1]


# Blocks of 8 bits


def every_code(blocks):
    """All codes, in each of some blocks whose scales go from the smallest to the largest."""
    codes = np.arange(256, dtype=np.uint8)
    orders = [-100, -60, 0, 60, 112 if blocks.signed else 96]
    return np.tile(codes, len(orders)), np.ldexp(np.float32(1), orders).astype(np.float32)


def test_every_code_of_a_block_is_decoded(blocks):
    codes, scales = every_code(blocks)
    x = blocks.decode((codes, scales)).reshape(-1, BLOCK)
    for row, scale in zip(x, scales, strict=True):
        want = grid(blocks.signed, float(scale)).astype(np.float32)
        want = np.concatenate([want, -want]) if blocks.signed else want
        assert np.array_equal(row.view(np.uint32), want.view(np.uint32))


def test_what_was_decoded_is_encoded_as_it_was(blocks):
    """A block whose largest number keeps its scale: all codes up to the one of that number come back."""
    last = 8 * DEPTHS[blocks] + 7
    codes = np.arange(last + 1, dtype=np.uint8)
    codes = np.concatenate([codes, codes | 0x80]) if blocks.signed else codes
    for order in (-100, -7, 0, 100 if blocks.signed else 90):
        stored = codes, np.ldexp(np.ones(1, np.float32), order)
        x = blocks.decode(stored)
        for noise in (None, np.zeros(x.size, np.uint32), np.full(x.size, 0xFFFF, np.uint32)):
            again, scales = blocks.encode(x, noise)
            assert np.array_equal(again, codes)
            assert scales == stored[1]


def spread(rng, shape, octaves=30.0):
    """Numbers of many sizes, the blocks' largest ones too."""
    x = np.exp2(rng.uniform(-octaves, 0, shape)) * np.exp2(rng.integers(-60, 60, (shape[0], 1)))
    return x.astype(np.float32)


def test_the_error_is_below_an_eighth(blocks):
    rng = np.random.default_rng(4)
    x = spread(rng, (2000, BLOCK))
    x = x * rng.choice([-1, 1], x.shape).astype(np.float32) if blocks.signed else x
    flat = x.reshape(-1)
    top = np.abs(x).max(axis=1, keepdims=True).astype(float)
    assert np.array_equal(blocks.encode(flat)[1], np.exp2(np.floor(np.log2(top[:, 0])) - DEPTHS[blocks]))
    for noise in (None, *(rng.integers(0, 1 << 16, flat.size, np.uint32) for _ in range(3))):
        stored = blocks.encode(flat, noise)
        error = np.abs(blocks.decode(stored).reshape(x.shape).astype(float) - x)
        scale = stored[1].astype(float)[:, None]
        assert (scale <= top * 2.0 ** -DEPTHS[blocks]).all()
        # Half of it to the nearest; a square below the smallest code may be that code instead.
        bound = (np.abs(x.astype(float)) + scale) / (16 if noise is None else 8)
        assert (error <= (bound if blocks.signed else np.maximum(bound, scale / 8)) * (1 + 1e-6)).all()


def test_the_largest_number_of_a_block_fits(blocks):
    """The last float below a power of two, in each power's block, rounds up and not over."""
    for order in range(-126, 128):
        x = np.nextafter(np.ldexp(np.float32(1), order), np.float32(0), dtype=np.float32)
        for noise in (0, 0xFFFF):
            got = blocks.decode(blocks.encode(np.array([x]), np.array([noise], np.uint32)))
            scale = max(2.0 ** (order - 1 - DEPTHS[blocks]), 2.0**-100)
            assert abs(float(got[0]) - float(x)) <= max((float(x) + scale) / 8, scale / 8)


def test_zeros_stay_and_squares_never_vanish(blocks):
    noise = np.random.default_rng(5).integers(0, 1 << 16, BLOCK, np.uint32)
    x = np.zeros(BLOCK, np.float32)
    assert not np.any(blocks.decode(blocks.encode(x, noise)))
    x[0] = 1.0
    x[1] = -0.0
    got = blocks.decode(blocks.encode(x, noise))
    assert not np.any(got[1:])
    assert np.signbit(got[1]) == blocks.signed
    for tiny in (1e-45, 1e-38, 1e-20, 1e-9):
        got = SQUARES.decode(SQUARES.encode(np.float32([1.0, tiny]), np.zeros(2, np.uint32)))
        assert 0 < got[1] == pytest.approx(max(tiny, 2.0**-33), rel=1)
        got = SIZES.decode(SIZES.encode(np.float32([1.0, tiny]), np.zeros(2, np.uint32)))
        assert got[1] == 2.0**-14  # the scale of signed numbers up to 1
    got = SQUARES.decode(SQUARES.encode(np.full(1, 1e-45, np.float32), np.zeros(1, np.uint32)))
    assert got == np.float32(2.0**-103)


def test_all_noises_together_round_to_the_number_itself_in_blocks(blocks):
    row = np.full(1 << 17, 0.7, np.float32)  # every other number, so that all blocks have this scale
    noise = np.repeat(EVERY, 2)
    for x in np.exp2(np.random.default_rng(6).uniform(-40, -1, 150)).astype(np.float32):
        row[1::2] = x
        codes, scales = blocks.encode(row, noise)
        code, part = around(grid(blocks.signed, float(scales[0])), x)
        up = codes[1::2] - code
        if blocks.signed or code > 0:
            assert np.isin(up, (0, 1)).all()
            assert abs(np.mean(up) - part) <= 2.0**-17 + 2.0**-20
        else:
            assert (up == 1).all()


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf, 2.0**127, -3e38])
def test_a_block_that_is_broken_is_nan_and_alone(blocks, bad):
    x = np.ones(3 * BLOCK - 10, np.float32)
    x[BLOCK + 5] = bad
    codes, scales = blocks.encode(x)
    assert np.isnan(scales).tolist() == [False, True, False]
    assert not codes[BLOCK : 2 * BLOCK].any()
    got = blocks.decode((codes, scales))
    assert np.array_equal(np.flatnonzero(np.isnan(got)), np.arange(BLOCK, 2 * BLOCK))
    codes, scales = blocks.encode(got)
    assert np.isnan(scales).tolist() == [False, True, False]
    assert not codes[BLOCK : 2 * BLOCK].any()


@pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 600])
def test_lengths(n):
    for made in FORMATS.values():
        needs(made.name)
        x = np.full(n, 0.5, np.float32)
        stored = made.encode(x)
        assert [y.shape for y in stored] == [(n,), (-(-n // BLOCK),)][: len(stored)]
        assert stored[0].dtype == made.dtype
        assert made.bits == 8 * made.dtype.itemsize
        assert made.block == (BLOCK if len(stored) == 2 else 0)
        got = made.decode(stored)
        assert got.dtype == np.float32
        assert got.shape == (n,)
        assert np.allclose(got, x, rtol=0.07)


# What it is for


@pytest.mark.parametrize("name", ["bfloat16", "float16", "squares8"])
def test_an_average_follows_only_with_random_rounding(name):
    """v <- 0.999 v + 0.001 g g, from 1 to g g = 0.3: the change is less than half a step of the format."""
    needs(name)
    made, start, target = FORMATS[name], np.float32(1.0), np.float32(0.3)
    ends = {}
    for kind in ("nearest", "random"):
        stored = made.encode(np.full(1024, start))
        for t in range(9000):
            v = made.decode(stored)
            v = np.float32(0.999) * v + np.float32(0.001) * target
            noise = low(draws(tensor_key(step_key(0, t), 0), v.size)) if kind == "random" else None
            stored = made.encode(v, noise)
        ends[kind] = made.decode(stored).astype(float)
    wanted = 0.3 + 0.7 * 0.999**9000
    sure = 5 * ends["random"].std() / math.sqrt(1024)
    assert sure < 0.01
    assert abs(ends["random"].mean() - wanted) < sure
    assert abs(ends["nearest"].mean() - wanted) > (0.1 if name == "float16" else 0.5)


# Random bits

KEYS = [tensor_key(step_key(seed, t), tensor) for seed, t, tensor in [(0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1)]]
N = 1 << 20
SIGMA = 5.5  # some 30,000 figures are looked at: one set of keys in a thousand would have one beyond this


def test_splitmix_is_the_published_one():
    """The first numbers from 1234567, as Rosetta Code lists them."""
    assert [_splitmix(1234567, k) for k in range(5)] == [
        *(6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821)
    ]


def by_hand(key, i):
    """One draw, in Python's integers."""
    full = (1 << 32) - 1
    key = (key + (i >> 32) * 0x9E3779B97F4A7C15) % (1 << 64)
    x = (i * 0x9E3779B9 + key) & full
    x = ((x ^ (x >> 16)) * 0x21F0AAAD + (key >> 32)) & full
    x = (x ^ (x >> 15)) * 0x735A2D97 & full
    return x ^ (x >> 15)


@pytest.mark.parametrize("start", [0, 5, (1 << 32) - 20, (1 << 33) - 7, (1 << 40) - 40])
def test_bits_are_those_of_the_element(start):
    for key in KEYS:
        assert draws(key, 40, start).tolist() == [by_hand(key, start + k) for k in range(40)]
        assert draws(key, 11, start + 17).tolist() == draws(key, 40, start)[17:28].tolist()
    assert draws(KEYS[0], 0).tolist() == []


def test_keys_differ():
    keys = {tensor_key(step_key(s, t), k, u) for s in range(8) for t in range(8) for k in range(8) for u in range(4)}
    assert len(keys) == 8 * 8 * 8 * 4
    assert step_key(-1, 3) == step_key(2**64 - 1, 3)
    assert all(0 <= key < 1 << 64 for key in keys)


SOME = 1 << 18


def bits_of(x):
    """Each draw's bits as 1 and -1, shape (n, 32)."""
    octets = x.astype("<u4").view(np.uint8).reshape(-1, 4)
    return np.unpackbits(octets, axis=1, bitorder="little").astype(np.float32) * 2 - 1


def alike(a, b):
    """The most alike that any bit of ``a`` and any of ``b`` are, in standard deviations."""
    return np.abs(bits_of(a).T @ bits_of(b)) / math.sqrt(len(a))


@pytest.mark.parametrize("key", KEYS)
def test_bits_are_fair_and_unrelated(key):
    x = draws(key, SOME)
    assert np.abs(bits_of(x).sum(axis=0)).max() / math.sqrt(SOME) < SIGMA
    assert (alike(x, x) - math.sqrt(SOME) * np.eye(32)).max() < SIGMA


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("half", [low, high])
def test_noise_is_uniform(key, half):
    counts = np.bincount(half(draws(key, N)), minlength=1 << 16)
    assert len(counts) == 1 << 16
    chi = ((counts - N / 65536) ** 2).sum() / (N / 65536)
    assert abs(chi - 65535) < SIGMA * math.sqrt(2 * 65535)


def test_one_bit_of_the_counter_turns_half_of_the_bits():
    n = 1 << 16
    for key in KEYS:
        base = draws(key, n, 3 << 36)
        for bit in range(40):
            other = draws(key, n, 3 << 36 ^ 1 << bit) if bit >= 16 else base[np.arange(n) ^ 1 << bit]
            assert np.abs(bits_of(base ^ other).sum(axis=0)).max() / math.sqrt(n) < SIGMA * math.sqrt(2), bit


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 8, 15, 16, 17, 64, 256, 4096, 65536, 1 << 32])
def test_neighbours_are_unrelated(lag):
    assert alike(draws(KEYS[0], SOME), draws(KEYS[0], SOME, lag)).max() < SIGMA


@pytest.mark.parametrize("other", [*KEYS[1:], tensor_key(step_key(0, 0), 0, 1)])
def test_steps_seeds_tensors_and_uses_are_unrelated(other):
    assert alike(draws(KEYS[0], SOME), draws(other, SOME)).max() < SIGMA


def test_the_halves_of_a_draw_are_unrelated():
    x = draws(KEYS[0], N)
    assert abs(np.corrcoef(low(x), high(x))[0, 1]) * math.sqrt(N) < SIGMA


@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("half", [low, high])
def test_the_mean_of_rounded_numbers_is_the_number(name, half):
    needs(name)
    made = FORMATS[name]
    for k, x in enumerate(np.float32([0.3, 0.001234, 5e-5 if name == "sizes8" else 5e-7])):
        row = np.full(N, x)
        row[::BLOCK] = 0.4  # keeps the scale of a block
        got = made.decode(made.encode(row, half(draws(KEYS[k], N))))
        got = got.reshape(-1, BLOCK)[:, 1:].astype(float)
        assert abs(got.mean() - float(x)) < SIGMA * got.std() / math.sqrt(got.size)
