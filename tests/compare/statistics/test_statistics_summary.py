"""Statistics against values that are known by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statistics_cases import LAW, tables

from gradstep.compare.evidence.statistics import Spread, held, held_level, median, medians, spread, steps_to_target
from gradstep.compare.problems import Target
from gradstep.errors import GradstepValueError

INF = math.inf


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], 3.0),
        ([3.0, 1.0, 2.0], 2.0),
        ([4.0, 1.0, 3.0, 2.0], 2.5),
        ([10.0, INF, 20.0], 20.0),
        ([INF, 10.0, INF], INF),
        ([10.0, INF], INF),
        ([INF, INF], INF),
        ([10.0, 20.0, INF, INF], INF),
        ([-INF, INF, 5.0], 5.0),
    ],
)
def test_a_miss_takes_part_in_the_median(values, expected):
    assert median(values) == expected


@pytest.mark.parametrize("values", [[], [math.nan], [1.0, math.nan, 2.0]])
def test_no_median_of_nothing_or_of_nan(values):
    with pytest.raises(GradstepValueError, match="median"):
        median(values)


def test_spread_is_median_least_and_greatest():
    assert spread([5.0, INF, 1.0]) == Spread(median=5.0, low=1.0, high=INF)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1, 0.95, 0.90, 0.99], 10.0),  # the first touch counts, and equality is enough
        ([0.1, 0.2, 0.3, 0.4], INF),
        ([0.96, 0.1, 0.1, 0.1], 0.0),
        ([math.nan, math.nan, 0.97, 0.97], 20.0),
    ],
)
def test_steps_to_an_accuracy(values, expected):
    assert steps_to_target([0, 10, 20, 30], values, Target("accuracy", 0.95, "validation")) == expected


@pytest.mark.parametrize(
    ("values", "patience", "expected"),
    [
        ([0.9, 0.1, 0.9, 0.9], 1, 0.0),
        ([0.9, 0.1, 0.9, 0.9], 2, 20.0),
        ([0.9, 0.9, 0.1, 0.9], 2, 0.0),
        ([0.9, 0.1, 0.9, 0.9], 3, 20.0),  # met to the end, where fewer are enough
        ([0.1, 0.9, 0.9, 0.1], 3, INF),
        ([0.1, 0.1, 0.1, 0.9], 100, 30.0),
        ([0.9, 0.9, 0.9, 0.1], 100, INF),
        ([0.1, math.nan, 0.9, 0.9], 2, 20.0),
    ],
)
def test_a_target_is_reached_where_it_is_held(values, patience, expected):
    assert steps_to_target([0, 10, 20, 30], values, Target("accuracy", 0.5, "validation", patience)) == expected


@LAW
@given(st.lists(st.booleans(), max_size=9), st.integers(1, 5))
def test_held_by_its_words(met, patience):
    """The first evaluation from which it is met in so many in a row, or to the end."""
    expected = INF
    for k in range(len(met) - 1, -1, -1):
        if all(met[k : k + patience]):
            expected = 10.0 * k
    assert held([10 * k for k in range(len(met))], np.array(met, bool)[:, None], patience) == [expected]


def test_a_patience_is_one_or_more():
    with pytest.raises(GradstepValueError, match="one evaluation or more, not 0"):
        held([1], np.ones((1, 1)), 0)
    with pytest.raises(GradstepValueError, match="2 steps but 1 values"):
        held([1, 2], np.ones((1, 1)))


def test_a_loss_is_reached_from_above():
    assert steps_to_target([0, 5, 10], [3.0, 1.0, 0.5], Target("loss", 1.0, "train")) == 5.0


def test_no_steps_no_target():
    assert steps_to_target([], [], Target("loss", 1.0, "train")) == INF


@LAW
@given(tables((1, 4), (1, 6)))
def test_many_medians_at_once(values):
    assert medians(values).tolist() == [median(row) for row in values] == np.median(values, axis=1).tolist()


@pytest.mark.parametrize(
    ("losses", "patience", "share", "level"),
    [
        ([9.0, 3.0, 1.0, 4.0, 2.0], 1, 1.0, 1.0),
        ([9.0, 3.0, 1.0, 4.0, 2.0], 2, 1.0, 3.0),
        ([9.0, 3.0, 1.0, 4.0, 2.0], 3, 1.0, 4.0),
        ([9.0, 3.0, 1.0, 4.0, 2.0], 2, 0.5, 3.0),
        ([9.0, 3.0, 1.0, 4.0, 2.0], 1, 0.25, 3.0),
        ([9.0, 3.0, 1.0, 4.0, 2.0], 3, 0.5, math.inf),  # fewer evaluations than that
        ([0.5, 3.0, 2.0, 2.0, 2.0], 1, 1.0, 2.0),  # the start is no merit
        ([9.0, math.nan, 1.0, 4.0, 2.0], 2, 0.75, 4.0),
    ],
)
def test_a_held_level_is_the_least_that_held_meets(losses, patience, share, level):
    steps = [0, 10, 20, 30, 40]
    assert held_level(steps, losses, patience, share) == level
    if math.isfinite(level) and losses[0] > level:
        met = np.array([x <= level for x in losses], bool)[:, None]
        assert held(steps, met, patience)[0] <= share * 40
