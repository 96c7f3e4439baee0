"""Geometric-mean speed-ups: by hand, against SciPy, and as laws."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import gmean
from statistics_cases import INF, LAW, random_times, tables

from gradstep.compare.evidence.statistics import interval, log_speedups, medians, paired_draws, priced, speedups
from gradstep.errors import GradstepValueError


def test_by_hand():
    times = np.array([[40.0, 10, 80], [10, 10, 5], [1, 1, 16]])[:, :, None]
    # 4, 1 and 1; a half, 2 and a sixteenth
    assert_allclose(speedups(times, 0), [1, 4 ** (1 / 3), 1 / 16 ** (1 / 3)], rtol=1e-15)
    assert_allclose(log_speedups(times, 0), np.log(speedups(times, 0)), rtol=1e-12)


def test_a_miss_has_its_price():
    """With a budget of 100: the baseline needs 25 steps where the other misses, and misses where the other needs 50."""
    times = np.array([[[25.0, 25, 25], [10, INF, INF]], [[INF, INF, INF], [50, 50, INF]]])
    known = priced(times, [[100.0], [100.0]])
    assert_array_equal(known, [[[25, 25, 25], [10, 100, 100]], [[100, 100, 100], [50, 50, 100]]])
    assert_allclose(speedups(known, 0), [1, np.sqrt(25 / 100 * 100 / 50)], rtol=1e-15)
    assert_array_equal(priced(times, [[1.0, 2.0], [3.0, 4.0]])[1], [[3, 3, 3], [50, 50, 4]])
    assert np.isnan(speedups(np.full((1, 2, 1), INF), 0)).all()


def test_an_interval_holds_the_misses():
    """A tie but for misses in three of seven seeds: of "1.5 times as fast" nothing is left that is sure."""
    times = np.array([[[300.0] * 7, [200, 200, 200, 200, INF, INF, INF]]])
    found = interval(lambda x: log_speedups(x, 0), priced(times, [[500.0]]), paired_draws(1, 7))
    assert np.exp(found.estimate[1]) == pytest.approx(1.5)
    assert np.exp(found.low[1]) == pytest.approx(0.6)


def test_nothing_over_nothing_is_one():
    assert_array_equal(speedups([[[0], [0], [1]]], 0), [1, 1, 0])


@pytest.mark.parametrize("seed", range(10))
def test_against_scipy(seed):
    times = random_times(seed, 6, 4, 5, misses=0)
    middle = medians(times)
    for j, found in enumerate(speedups(times, 1)):
        assert_allclose(found, gmean(middle[:, 1] / middle[:, j]), rtol=1e-12)


@LAW
@given(tables((1, 5), (2, 4), (1, 4)), st.lists(st.integers(-20, 20), min_size=5, max_size=5))
def test_units_are_nothing_and_backwards_is_the_inverse(times, exponents):
    times = np.where(times < INF, times, 1.0)
    found = speedups(times, 0)
    scaled = times * 2.0 ** np.array(exponents[: len(times)])[:, None, None]
    assert_allclose(speedups(scaled, 0), found, rtol=1e-12)
    assert_allclose(speedups(times, 1)[0] * found[1], 1.0, rtol=1e-12)


@LAW
@given(tables((1, 5), (2, 2), (2, 5)), st.sampled_from([0.5, 2, 4]), st.integers(0, 99))
def test_a_constant_factor_has_an_interval_without_width(times, factor, seed):
    times[:, 1] = times[:, 0] / factor
    draws = paired_draws(times.shape[0], times.shape[2], resamples=30, seed=seed)
    found = interval(partial(speedups, baseline=0), times, draws)
    if np.isfinite(found.estimate[1]):
        assert_allclose([found.estimate[1], found.low[1], found.high[1]], factor, rtol=1e-12)


def test_refusals():
    with pytest.raises(GradstepValueError, match="no solver 2"):
        speedups([[[1], [2]]], 2)
    with pytest.raises(GradstepValueError, match="problem 0, solver 1, seed 0 is negative"):
        speedups([[[1], [-2]]], 0)
