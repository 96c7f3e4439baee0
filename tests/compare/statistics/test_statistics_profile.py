"""Performance profiles and AlgoPerf's score: by hand, as integrals, and as laws."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad, trapezoid
from statistics_cases import INF, LAW, random_times, tables

from gradstep.compare.evidence.statistics import cumulative, medians, profiles, ratios, run_scores, scores
from gradstep.errors import GradstepValueError

# Three solvers on four problems; nobody solves the last.
HAND = np.array([[10.0, 20.0, INF], [30.0, 15.0, 15.0], [INF, 7.0, 35.0], [INF, INF, INF]])


def test_by_hand():
    assert_array_equal(ratios(HAND), [[1, 2, INF], [2, 1, 1], [INF, 1, 5], [INF, INF, INF]])
    first, second, third = profiles(HAND)
    assert_array_equal(first.x, [1, 2])
    assert_array_equal(first.y, [0.25, 0.5])
    assert_array_equal(second.at([0.5, 1, 1.9, 2, 100]), [0, 0.5, 0.5, 0.75, 0.75])
    assert_array_equal(third.at([4.9, 5]), [0.25, 0.5])
    # (3 + 2) / 3 / 4, (3 + 3 + 2) / 3 / 4, 3 / 3 / 4: what comes after 4 times the best is worth nothing
    assert_allclose(scores(HAND), [5 / 12, 8 / 12, 3 / 12], rtol=1e-15)
    assert_allclose(scores(HAND, r_max=9), [15 / 32, 23 / 32, 12 / 32], rtol=1e-15)


def test_the_fastest_everywhere_has_one_and_who_solves_nothing_has_zero():
    assert_array_equal(scores([[1, 3, INF], [2, 5, INF]])[[0, 2]], [1, 0])


def test_a_time_of_zero_is_the_limit_of_small_times():
    assert_array_equal(ratios([[0, 0, 3, INF], [0, 1, 2, 4]]), [[1, 1, INF, INF], [1, INF, INF, INF]])


def test_the_median_over_seeds_comes_first():
    runs = np.array([[[10, INF, 30], [INF, INF, 5]]])  # medians 30 and a miss
    assert_array_equal(run_scores(runs), [1, 0])


@pytest.mark.parametrize("seed", range(20))
def test_the_score_is_the_integral_of_the_profile(seed):
    times = random_times(seed, 8, 5)
    grid = np.linspace(1, 4, 30001)
    for score, profile in zip(scores(times), profiles(times), strict=True):
        ends = np.unique([1, *profile.x[(profile.x > 1) & (profile.x < 4)], 4])
        pieces = [quad(profile.at, a, np.nextafter(b, 0))[0] for a, b in pairwise(ends)]
        assert_allclose(score, sum(pieces) / 3, rtol=1e-12, atol=1e-12)
        # on a grid, as AlgoPerf itself does it: each of the jumps is off by half a cell at most
        assert abs(score - trapezoid(profile.at(grid), grid) / 3) <= 8 * 1e-4 / 2 / 3 + 1e-12


@LAW
@given(tables((1, 6), (1, 5)))
def test_profiles_by_counting(times):
    for j, profile in enumerate(profiles(times)):
        for r in (1, 1.5, 2, 3, 10):
            solved = [times[p, j] < INF and times[p, j] <= r * times[p].min() for p in range(len(times))]
            assert_allclose(profile.at(r), np.mean(solved), rtol=1e-15)


@LAW
@given(tables((1, 6), (1, 5)), st.lists(st.integers(-20, 20), min_size=6, max_size=6))
def test_the_unit_of_a_problem_is_nothing_to_the_score(times, exponents):
    scale = 2.0 ** np.array(exponents[: len(times)])[:, None]
    assert_array_equal(scores(times * scale), scores(times))


@LAW
@given(tables((1, 6), (2, 5)), st.integers(0, 10))
def test_who_is_never_slower_never_scores_lower(times, slower):
    times[:, 1] = np.maximum(times[:, 0], times[:, 1]) + slower
    found = scores(times)
    assert found[1] <= found[0]


@LAW
@given(tables((1, 6), (2, 5)))
def test_another_solver_never_raises_a_score(times):
    assert (scores(times)[:-1] <= scores(times[:, :-1])).all()


@LAW
@given(tables((1, 4), (1, 4), (1, 5)), st.randoms(use_true_random=False))
def test_the_order_of_the_seeds_is_nothing(times, random):
    order = list(range(times.shape[2]))
    random.shuffle(order)
    assert_array_equal(run_scores(times[:, :, order]), run_scores(times))


def test_resamples_may_come_before():
    times = random_times(0, 3, 6, 4, 5)
    assert_array_equal(scores(medians(times)), [scores(medians(t)) for t in times])


@LAW
@given(tables((1, 4), (1, 5)))
def test_a_distribution_by_counting(values):
    found = cumulative(values)
    for x in (0.5, *np.unique(values[values < INF])):
        assert_allclose(found.at(x), (values <= x).mean(), rtol=1e-15)
    assert_allclose(found.at(1e9), np.isfinite(values).mean(), rtol=1e-15)


@pytest.mark.parametrize("r_max", [1, 0, INF, np.nan])
def test_no_integral_to_nowhere(r_max):
    with pytest.raises(GradstepValueError, match="r_max"):
        scores(HAND, r_max)
