"""Run times to many targets: by hand, by counting, and as laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from statistics_cases import INF, LAW

from gradstep.compare.evidence.statistics import cumulative, loss_targets, problem_targets, run_time_table, run_times
from gradstep.errors import GradstepValueError

LOSSES = st.lists(st.floats(0, 100) | st.just(math.nan) | st.just(INF), max_size=6)


def test_positive_losses_fall_in_equal_ratios():
    assert_allclose(loss_targets(100.0, 0.01, 4), [10, 1, 0.1, 0.01 + 1e-11], rtol=1e-14)
    assert loss_targets(100.0, 0.01)[-1] == 0.01 + 1e-9 * 0.01
    assert len(loss_targets(100.0, 0.01)) == 20


def test_rounding_does_not_decide_who_has_the_last_target():
    """Two runs that end alike but for their last digits both have it; one that ends a millionth above does not."""
    ends = [0.017, np.nextafter(0.017, 1), 0.017 * (1 + 1e-13), 0.017 * (1 + 1e-6)]
    found = run_time_table([[[([0, 5], [2.0, end])] for end in ends]])
    assert_array_equal(found[0, :, 0, -1], [5, 5, 5, INF])
    found = run_time_table([[[([0, 5], [2.0, -end])] for end in ends[:3]]])
    assert_array_equal(found[0, :, 0, -1], [5, 5, 5])


def test_a_target_is_to_be_held():
    assert_array_equal(run_times([0, 1, 2, 3, 4], [9, 1, 9, 1, 1], [5.0], 2), [3])
    curves = [[[([0, 1, 2, 3], [9.0, 1.0, 9.0, 1.0])]]] * 2
    assert_array_equal(run_time_table(curves, 1, [1, 2])[:, 0, 0, 0], [1, 3])


def test_what_lies_below_the_finest_precision_is_no_target():
    for best in (0.0, 1e-30):
        assert_allclose(loss_targets(10.0, best, 8), 10.0 ** -np.arange(0.0, 8), rtol=1e-13)


def test_losses_of_both_signs_fall_in_equal_differences():
    assert_array_equal(loss_targets(2.0, -2.0, 4), [1, 0, -1, -2 + 2e-9])


@pytest.mark.parametrize(("start", "best"), [(1.0, np.nextafter(1.0, 0)), (5e-324, 0.0), (1e-310, 0.0), (0.0, -1e-300)])
def test_targets_are_below_the_start_however_near(start, best):
    targets = loss_targets(start, best)
    assert (targets < start).all()
    assert (np.diff(targets) <= 0).all()
    assert targets[-1] <= start / 1.5 or targets[-1] == best


@pytest.mark.parametrize(("start", "best"), [(1, 1), (1, 2), (INF, 1), (math.nan, 1), (1, math.nan), (1, -INF)])
def test_nowhere_to_go(start, best):
    targets = loss_targets(start, best, 3)
    assert_array_equal(targets, [math.nan] * 3)
    assert_array_equal(run_times([0, 1], [5, -5], targets), [INF] * 3)


def test_run_times_by_hand():
    targets = [10, 1, 0.1, 0.01]
    assert_array_equal(run_times([0, 10, 20, 30], [100, 5, 0.1, 7], targets), [10, 20, 20, INF])
    assert_array_equal(run_times([0, 10, 20], [100, math.nan, INF], targets), [INF] * 4)
    assert_array_equal(run_times([], [], targets), [INF] * 4)


def test_targets_go_from_the_least_start_to_the_least_loss():
    curves = [[([0, 1], [100, 3]), ([0, 1], [81, math.nan])], [([0, 1, 2], [99, 1, 5]), ([], [])]]
    assert_allclose(problem_targets(curves, 2), [9, 1 + 1e-9], rtol=1e-14)
    assert_array_equal(problem_targets([[([], [])]], 2), [math.nan] * 2)


def test_a_table_by_hand():
    one = [[([0, 5], [16.0, 4.0])], [([0, 5, 10], [16.0, 16.0, 1.0])]]
    two = [[([0, 7], [2.0, 1.0])], [([0, 7], [2.0, 3.0])]]
    found = run_time_table([one, two], count=2)
    assert_array_equal(found, [[[[5, INF]], [[10, 10]]], [[[7, 7]], [[INF, INF]]]])
    first = cumulative(found[:, 0])  # of four (problem, target) it meets one in 5 and two in 7 steps
    assert_array_equal(first.x, [5, 7])
    assert_array_equal(first.y, [0.25, 0.75])


@LAW
@given(st.lists(LOSSES, min_size=8, max_size=8))
def test_run_times_by_counting(losses):
    curves = [
        [[([10 * i for i in range(len(x))], x) for x in losses[4 * p + 2 * s :][:2]] for s in (0, 1)] for p in (0, 1)
    ]
    found = run_time_table(curves, 5)
    assert found.shape == (2, 2, 2, 5)
    for p, problem in enumerate(curves):
        targets = problem_targets(problem, 5)
        for s, runs in enumerate(problem):
            for k, (steps, values) in enumerate(runs):
                for t, target in enumerate(targets):
                    hits = [step for step, value in zip(steps, values, strict=True) if value <= target]
                    assert found[p, s, k, t] == (hits[0] if hits else INF)
        # later targets are not met sooner, none is met before the first step, and the last one is met by somebody
        assert (np.maximum.accumulate(found[p], axis=-1) == found[p]).all()
        assert (found[p] > 0).all()
        assert np.isnan(targets[-1]) or found[p, :, :, -1].min() < INF


@pytest.mark.parametrize(
    "curves", [[], [[]], [[[]]], [[[([0], [1.0])]], [[([0], [1.0])] * 2]], [[[([0], [1.0])]] * 2, [[([0], [1.0])]]]]
)
def test_every_problem_has_as_many_runs(curves):
    with pytest.raises(GradstepValueError, match=r"\[problem\]\[solver\]\[seed\]"):
        run_time_table(curves)


def test_other_refusals():
    with pytest.raises(GradstepValueError, match="one target or more"):
        loss_targets(2.0, 1.0, 0)
    with pytest.raises(GradstepValueError, match="2 steps but 1 values"):
        run_times([0, 1], [1.0], [0.5])
