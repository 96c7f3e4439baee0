"""Block sums joined in compiled code: the exact sum, rounded once, as fractions give it."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("llvmlite")

from gradstep.array.reduction import totals
from gradstep.engine.cpu.exact import Joined

NUMBERS = st.lists(st.floats(-1e300, 1e300), max_size=20)


def joined(columns, ranges):
    return Joined(np.array(columns, np.float64).T.copy(), len(columns), ranges)()


def exactly(numbers):
    """The sum in rational numbers; float() rounds it to the nearest, ties to even."""
    return float(sum(map(Fraction, numbers), Fraction(0)))


@given(NUMBERS)
def test_the_sum_is_rounded_once(numbers):
    ((total,),) = joined([numbers], [(0, len(numbers))])
    assert total.hex() == (exactly(numbers) + 0.0).hex() == (math.fsum(numbers)).hex()


@pytest.mark.parametrize("spread", [0, 1, 20, 60, 200, 300])
def test_numbers_of_every_size(spread):
    rng = np.random.default_rng(spread)
    for n in (1, 2, 3, 17, 1000):
        for signs in (np.ones(n), rng.choice([-1.0, 1.0], n)):
            x = (rng.random(n) * signs * 10.0 ** rng.integers(-spread, spread + 1, n)).tolist()
            assert joined([x], [(0, n)])[0][0].hex() == exactly(x).hex()


@pytest.mark.parametrize(
    "numbers",
    [
        [1.0, 2.0**-53, 2.0**-106],  # three pieces: above half an ulp by the last one
        [1.0, 2.0**-53, -(2.0**-106)],
        [1.0, 2.0**-53],
        [1.0 + 2.0**-52, 2.0**-53],  # a tie goes to even
        [1e16, 1.0, 1.0, -1e16],
        [1.0, 1e100, 1.0, -1e100],
        [5e-324] * 40,
        [-0.0, -0.0],
        [1.0, -1.0],
    ],
)
def test_hard_sums(numbers):
    assert joined([numbers], [(0, len(numbers))])[0][0].hex() == (exactly(numbers) + 0.0).hex()


@pytest.mark.parametrize(
    "numbers", [[math.inf], [math.nan, 1.0], [math.inf, -math.inf], [1.7e308, 1.7e308], [1.7e308, 1.7e308, -1.7e308]]
)
def test_what_is_not_finite_is_as_the_reference_has_it(numbers):
    ours, theirs = joined([numbers], [(0, len(numbers))])[0][0], totals([[numbers]], is_joint=False)[0][0]
    assert ours.hex() == theirs.hex()
    assert not math.isfinite(ours)


def test_ranges_and_columns():
    columns = [[1.0, 2.0, 4.0, 8.0], [-1.0, math.inf, 1e100, 1.0]]
    assert joined(columns, [(0, 1), (1, 1), (2, 4)]) == [[1.0, -1.0], [0.0, 0.0], [12.0, 1e100]]
    wide = np.arange(12.0).reshape(4, 3)  # room for more than this stage sums
    assert Joined(wide, 2, [(0, 4)])() == [[18.0, 22.0]]
    assert Joined(np.zeros((0, 0)), 0, [(0, 0)])() == [[]]
    assert joined([[1.0]], []) == []
