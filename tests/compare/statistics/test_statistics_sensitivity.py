"""Learning-rate sensitivity: by hand, against a fine grid, and as laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from statistics_cases import INF, LAW

from gradstep.compare.evidence.statistics import lr_sensitivity
from gradstep.errors import GradstepValueError

RATES = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]


def test_by_hand():
    found = lr_sensitivity(RATES, [9.0, 5.0, 1.0, 3.0, INF], start=11.0, within=0.1)
    assert found.value == (8 + 4 + 0 + 2 + 10) / 5  # the diverged run costs what the start does
    # Within a tenth of the 10 gained: a quarter of the decade down, where 4 are lost, half of the decade up.
    assert_allclose([found.low, found.high], [10**-2.25, 10**-1.5], rtol=1e-13)
    assert found.decades == pytest.approx(0.75, abs=1e-14)
    assert not found.open


def test_an_open_end_is_said():
    found = lr_sensitivity([1e-3, 1e-2, 1e-1], [2.0, 1.0, 11.0], start=11.0, within=0.1)
    assert (found.low, found.open) == (1e-3, True)  # 2 is just within a tenth of 10
    assert found.decades == pytest.approx(1.1)
    assert lr_sensitivity([1e-3, 1e-2], [11.0, 1.0], start=11.0).high == 1e-2


def test_an_island_beyond_a_bad_rate_does_not_count():
    found = lr_sensitivity(RATES, [1.0, 11.0, 1.0, 11.0, 11.0], start=11.0, within=0.1)
    assert_allclose([found.low, found.high], [1e-4, 10**-3.9], rtol=1e-13)  # of equals the least rate


def test_nothing_gained():
    found = lr_sensitivity(RATES, [INF, 12.0, 11.0, 11.0, INF], start=11.0)
    assert (found.value, found.decades, found.open) == (0, 0, False)
    assert np.isnan([found.low, found.high]).all()


def test_one_rate():
    found = lr_sensitivity([0.1], [1.0], start=2.0)
    assert (found.value, found.low, found.high, found.decades, found.open) == (0, 0.1, 0.1, 0, True)


LOSSES = st.lists(st.integers(0, 12).map(float) | st.just(INF), min_size=1, max_size=7)


@LAW
@given(LOSSES, st.integers(0, 6), st.randoms(use_true_random=False))
def test_units_floors_and_orders_are_nothing(losses, shift, random):
    rates = 10.0 ** np.arange(len(losses))
    found = lr_sensitivity(rates, losses, start=11.0)
    moved = lr_sensitivity(rates * 1e-3, 4 * (np.array(losses) + shift), start=4 * (11.0 + shift))
    assert_allclose(moved.value, 4 * found.value, rtol=1e-12)
    assert_allclose(moved.decades, found.decades, rtol=1e-12, atol=1e-12)
    assert_allclose([moved.low, moved.high], [found.low * 1e-3, found.high * 1e-3], rtol=1e-12)
    order = list(range(len(losses)))
    random.shuffle(order)
    assert repr(lr_sensitivity(rates[order], np.array(losses)[order], start=11.0)) == repr(found)


@LAW
@given(LOSSES, st.sampled_from([0.01, 0.1, 0.5]))
def test_the_usable_rates_by_a_fine_grid(losses, within):
    found = lr_sensitivity(10.0 ** np.arange(len(losses)), losses, start=11.0, within=within)
    capped = np.minimum(losses, 11.0)
    gained = 11.0 - capped.min()
    assert_allclose(found.value, capped.mean() - capped.min(), rtol=1e-12, atol=1e-12)
    if gained:
        x = np.linspace(0, len(losses) - 1, 2000 * (len(losses) - 1) + 1)
        usable = np.interp(x, np.arange(len(losses)), capped) <= capped.min() + within * gained
        k = 2000 * int(capped.argmin())
        ends = np.flatnonzero(~usable)
        low, high = (x[ends[ends < k]].max(initial=0), x[ends[ends > k]].min(initial=x[-1]))
        assert abs(found.decades - (high - low)) < 1.01e-3


@LAW
@given(st.lists(st.integers(0, 10).map(float), min_size=2, max_size=6), st.floats(0.01, 0.5))
def test_asking_for_less_never_narrows(losses, within):
    rates = 10.0 ** np.arange(len(losses))
    a, b = (lr_sensitivity(rates, losses, 11.0, w) for w in (within, within + 0.1))
    assert a.decades <= b.decades + 1e-12


@pytest.mark.parametrize(
    ("rates", "losses", "start", "words"),
    [
        ([1, 2], [1.0], 2.0, "one loss for each"),
        ([], [], 2.0, "nothing"),
        ([0, 1], [1, 2], 2.0, "positive"),
        ([1, INF], [1, 2], 2.0, "positive"),
        ([1, 1], [1, 2], 2.0, "each once"),
        ([1, 2], [1, np.nan], 2.0, "rate 1 is NaN"),
        ([1, 2], [1, -INF], 2.0, "minus infinity"),
        ([1, 2], [1, 2], INF, "finite"),
    ],
)
def test_refusals(rates, losses, start, words):
    with pytest.raises(GradstepValueError, match=words):
        lr_sensitivity(rates, losses, start)


@pytest.mark.parametrize("within", [0, 1, np.nan])
def test_within_is_a_fraction(within):
    with pytest.raises(GradstepValueError, match="within"):
        lr_sensitivity([1.0], [1.0], 2.0, within)
