"""What intervals and claims promise, held by small simulations: benchmarks/calibration.py has them at full size.

Bounds are four standard deviations from what is promised, of so many studies.
"""

import runpy
from math import sqrt
from pathlib import Path

import pytest

CALIBRATION = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks/calibration.py"))
false_claims, power, covered_median, covered_score = (
    CALIBRATION[name] for name in ("false_claims", "power", "covered_median", "covered_score")
)


def at_most(share, studies):
    return share + 4 * sqrt(share * (1 - share) / studies)


@pytest.mark.parametrize("contenders", [2, 9])
@pytest.mark.parametrize(("problems", "seeds"), [(1, 6), (1, 10), (2, 6), (7, 6)])
def test_equal_contenders_are_seldom_told_apart(problems, seeds, contenders):
    studies = 400 // contenders
    assert false_claims(problems, seeds, contenders, studies) <= at_most(0.05, studies)


@pytest.mark.parametrize("problems", [1, 2, 7, 15])
def test_of_three_seeds_nothing_is_claimed(problems):
    assert false_claims(problems, 3, 9, 20) == 0


@pytest.mark.parametrize(("problems", "searches"), [(1, 6), (7, 3)])
def test_a_lucky_search_is_no_evidence(problems, searches):
    """Searches differ as much as seeds: with each seed taken for itself a fifth of the studies has a claim."""
    assert false_claims(problems, 6, 2, 200, searches, between=0.2) <= at_most(0.05, 200)
    assert false_claims(problems, 6 * searches, 2, 200, 1, between=0.2) > 0.2  # the control: one search, many seeds


def test_times_of_few_different_values_are_no_evidence_either():
    assert false_claims(2, 10, 2, 300, grid=0.25) <= at_most(0.05, 300)


def test_a_factor_of_one_and_a_half_is_seen():
    assert power(1, 10, 2, 100) > 0.5
    assert power(2, 10, 9, 30) > 0.5
    assert power(1, 20, 9, 30) > 0.5


@pytest.mark.parametrize(("searches", "seeds"), [(1, 6), (1, 10), (1, 20), (6, 10), (10, 10)])
def test_a_median_is_where_its_interval_says(searches, seeds):
    """Nominal 95 %; the bounds below and above are 93 and 97 %, and the noise of 600 studies."""
    assert 0.93 - 0.042 < covered_median(seeds, searches, 600) < 0.97 + 0.028


@pytest.mark.parametrize(("problems", "searches"), [(7, 3), (7, 1)])
def test_a_score_is_where_its_interval_says(problems, searches):
    """Five optimizers in each of 60 studies."""
    assert 0.93 - 0.05 < covered_score(problems, 10, searches, 60, 0.1, 0.1) <= 1.0
