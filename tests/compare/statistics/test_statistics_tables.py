"""Tables that no statistic takes, each refused in one sentence that says where."""

import numpy as np
import pytest
from statistics_cases import INF

from gradstep.compare.evidence.statistics import (
    cumulative,
    improvement,
    iqm,
    medians,
    profiles,
    ratios,
    run_scores,
    scores,
)
from gradstep.errors import GradstepValueError


@pytest.mark.parametrize(
    ("statistic", "values", "words"),
    [
        (ratios, [[1, np.nan]], "times: the value of problem 0, solver 1 is NaN, a run that is missing"),
        (scores, [[1, 2], [-1, 2]], "times: the value of problem 1, solver 0 is negative"),
        (scores, [[1, 2], [-INF, 2]], "times: the value of problem 1, solver 0 is negative"),
        (profiles, [1, 2], r"give an array \[problem, solver\], not one of shape \(2,\)"),
        (profiles, [[]], r"nothing in an array \[problem, solver\] of shape \(1, 0\)"),
        (profiles, [[1, 2], [3]], r"give numbers in one full array \[problem, solver\]"),
        (profiles, [["fast"]], "give numbers"),
        (run_scores, [[1, 2]], r"\[problem, solver, seed\]"),
        (iqm, [[[1, np.nan]]], "problem 0, solver 0, seed 1 is NaN"),
        (improvement, [[[1, 2], [3, np.nan]]], "problem 0, solver 1, seed 1 is NaN"),
        (medians, [[[1, 2], [3, np.nan]]], "run 1 is NaN"),
        (cumulative, [], "nothing"),
        (cumulative, [[1], [np.nan]], "NaN"),
    ],
)
def test_refused(statistic, values, words):
    with pytest.raises(GradstepValueError, match=words):
        statistic(values)


def test_tables_are_not_changed():
    values = np.array([[[3.0, 1.0, INF], [2.0, 2.0, 1.0]]])
    before = values.copy()
    iqm(values), medians(values), run_scores(values), improvement(values)
    assert np.array_equal(values, before)
