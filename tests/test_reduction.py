"""Block sums: one order, written here a second time as a loop over single numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradstep.array.reduction import BLOCK, LANES, block_sums, totals

LENGTHS = [*range(68), 4095, 4096, 4097, 8191, 8192, 8193, 20_011]


def oracle(x):
    """As the module's docstring says: blocks of 4096 padded with zeros, sixteen lanes in order, then halved."""
    numbers = [float(v) for v in x]
    out = []
    for begin in range(0, len(numbers), 4096):
        block = numbers[begin : begin + 4096]
        block += [0.0] * (4096 - len(block))
        lanes = [0.0] * 16
        for i, v in enumerate(block):
            lanes[i % 16] += v
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [lanes[i] + lanes[half + i] for i in range(half)]
        out.append(lanes[0])
    return out


def hexes(sums):
    return [x.hex() for x in sums]


def numbers(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n) * 10.0 ** rng.integers(-12, 13, n)


def test_the_constants_are_the_promise():
    assert (BLOCK, LANES) == (4096, 16)


def test_against_a_loop():
    for n in LENGTHS:
        x = numbers(n)
        assert hexes(block_sums(x)) == hexes(oracle(x)), n


def test_special_numbers():
    for x in (
        [-0.0],
        [0.0, -0.0],
        [5e-324, 5e-324],
        [1e308, 1e308],
        [math.inf, 1.0],
        [math.inf, -math.inf],
        [math.nan],
    ):
        with np.errstate(all="ignore"):
            assert hexes(block_sums(np.array(x))) == hexes(oracle(x))


def test_any_shape_and_layout_is_read_in_c_order():
    x = numbers(6 * 35).reshape(6, 5, 7)
    flat = block_sums(x.reshape(-1))
    assert block_sums(x) == flat
    assert block_sums(np.asfortranarray(x)) == flat
    assert block_sums(x.astype(">f8")) == flat
    assert block_sums(x[::-1]) == block_sums(np.ascontiguousarray(x[::-1]))
    assert block_sums(np.array(3.0)) == [3.0]
    assert block_sums(np.zeros((3, 0))) == []


def test_blocks_stand_for_themselves():
    x = numbers(5 * BLOCK + 77)
    apart = [s for begin in range(0, x.size, BLOCK) for s in block_sums(x[begin : begin + BLOCK])]
    assert block_sums(x) == apart


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), max_size=100))
def test_any_numbers(values):
    assert hexes(block_sums(np.array(values, np.float64))) == hexes(oracle(values))


def test_blocks_are_joined_exactly():
    blocks = [[[1e16, 1.0, 1.0, 1.0, 1.0], [2.0]], [[-1e16], [3.0, 4.0]]]
    assert totals(blocks, is_joint=True) == [[4.0, 9.0]]
    assert totals(blocks, is_joint=False) == [[1e16 + 4.0, 2.0], [-1e16, 7.0]]
    assert totals([[[]]], is_joint=False) == [[0.0]]
    assert totals([], is_joint=True) == []


@pytest.mark.parametrize("blocks", [[math.inf], [-math.inf, 1.0], [1e308, 1e308], [math.inf, -math.inf]])
def test_a_sum_that_is_too_large_is_infinite(blocks):
    assert not math.isfinite(totals([[blocks]], is_joint=False)[0][0])
