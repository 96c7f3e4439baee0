"""The best of k trials: by hand, and against all ways to draw them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from statistics_cases import INF, LAW, TIMES

from gradstep.compare.evidence.statistics import best_of_trials
from gradstep.errors import GradstepValueError


def test_by_hand():
    found = best_of_trials([4.0, 1.0, 2.0])
    assert_array_equal(found.trials, [1, 2])
    assert_allclose(found.mean, [7 / 3, 4 / 3], rtol=1e-15)  # the best of two of them: 1, 1, 2
    assert_array_equal(found.median, [2, 1])
    assert_array_equal(found.hit, [1, 1])


def test_misses_by_hand():
    found = best_of_trials([INF, 6.0, INF, 2.0], trials=[1, 2, 3, 4])
    assert_allclose(found.mean, [INF, INF, 3.0, 2.0], rtol=1e-15)  # of three: 2 thrice and 6 once
    assert_array_equal(found.median, [INF, 4.0, 2.0, 2.0])  # of two: 2 thrice, 6 twice, a miss
    assert_allclose(found.hit, [1 / 2, 5 / 6, 1, 1], rtol=1e-15)


@LAW
@given(st.lists(TIMES, min_size=1, max_size=7))
def test_against_all_draws(results):
    found = best_of_trials(results, trials=range(1, len(results) + 1))
    for i, k in enumerate(found.trials):
        best = [min(draw) for draw in itertools.combinations(results, k)]
        assert_allclose(found.mean[i], np.mean(best), rtol=1e-12)
        assert found.median[i] == np.median(best)
        assert_allclose(found.hit[i], np.isfinite(best).mean(), rtol=1e-12)


@LAW
@given(st.lists(TIMES, min_size=1, max_size=40))
def test_more_trials_are_never_worse_and_all_of_them_are_the_best(results):
    found = best_of_trials(results, trials=range(1, len(results) + 1))
    assert found.median[0] == np.median(results)
    assert found.mean[-1] == found.median[-1] == min(results)
    for values in (found.mean, found.median, -found.hit):
        assert (values[1:] <= values[:-1] * (1 + 1e-12 * np.sign(values[:-1]))).all()


def test_powers_of_two_up_to_all():
    assert_array_equal(best_of_trials(range(16)).trials, [1, 2, 4, 8, 16])
    assert_array_equal(best_of_trials(range(15)).trials, [1, 2, 4, 8])


def test_a_thousand_trials_do_not_overflow():
    results = np.arange(1.0, 1001)
    found = best_of_trials(results, trials=[500])
    assert_allclose(found.mean, 1001 / 501, rtol=1e-12)  # (n + 1) / (k + 1), the least of k numbers of 1 to n


@pytest.mark.parametrize(
    ("results", "trials", "words"),
    [
        ([], None, "nothing"),
        ([1, np.nan], None, "trial 1 is NaN"),
        ([[1]], None, "shape"),
        ([-INF], None, "minus infinity"),
        ([1, 2], [3], "no 3"),
        ([1, 2], [0], "no 0"),
    ],
)
def test_refusals(results, trials, words):
    with pytest.raises(GradstepValueError, match=words):
        best_of_trials(results, trials)
