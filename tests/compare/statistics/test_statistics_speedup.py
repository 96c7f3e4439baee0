"""Geometric-mean speed-ups: by hand, against SciPy, and as laws."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import gmean
from statistics_cases import INF, LAW, random_times, tables

from gradstep.compare.evidence.statistics import interval, medians, paired_draws, solved_by_both, speedups
from gradstep.errors import GradstepValueError


def test_by_hand():
    times = np.array([[40.0, 10, 80, INF], [10, 10, 5, 1], [INF, 1, INF, 1], [5, INF, 5, INF]])[:, :, None]
    # 4 and 1; a half and 2; 10 alone
    assert_allclose(speedups(times, 0), [1, 2, 1, 10], rtol=1e-15)
    assert_array_equal(solved_by_both(times, 0), [3, 2, 3, 1])


def test_no_problem_in_common():
    assert_array_equal(speedups([[[1], [INF]], [[INF], [1]]], 0), [1, np.nan])


def test_nothing_over_nothing_is_one():
    assert_array_equal(speedups([[[0], [0], [1]]], 0), [1, 1, 0])


@pytest.mark.parametrize("seed", range(10))
def test_against_scipy(seed):
    times = random_times(seed, 6, 4, 5)
    middle = medians(times)
    for j, found in enumerate(speedups(times, 1)):
        both = middle[np.isfinite(middle[:, [1, j]]).all(axis=1)]
        ratios = both[:, 1] / both[:, j]
        assert_allclose(found, gmean(ratios) if len(ratios) else np.nan, rtol=1e-12)


@LAW
@given(tables((1, 5), (2, 4), (1, 4)), st.lists(st.integers(-20, 20), min_size=5, max_size=5))
def test_units_are_nothing_and_backwards_is_the_inverse(times, exponents):
    found = speedups(times, 0)
    scaled = times * 2.0 ** np.array(exponents[: len(times)])[:, None, None]
    assert_allclose(speedups(scaled, 0), found, rtol=1e-12)
    assert_allclose(speedups(times, 1)[0] * found[1], 1.0 if np.isfinite(found[1]) else np.nan, rtol=1e-12)


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
