"""One solver against another: by hand, against SciPy and published tables, and as laws."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, stats
from statistics_cases import INF, LAW, random_times, tables

from gradstep.compare.evidence.statistics import (
    Draws,
    claims,
    critical_difference,
    holm,
    improvement,
    least_p,
    pair_tests,
    paired_draws,
    signed_rank,
    units_needed,
)
from gradstep.compare.evidence.statistics.pairwise import turned
from gradstep.errors import GradstepValueError

# Demšar 2006, table 5(a): Nemenyi's q at 0.05 and 0.10 for 2 to 10 classifiers.
DEMSAR = {
    0.95: [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164],
    0.90: [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920],
}


def test_improvement_by_hand():
    # On the first problem 1 and 3 beat 2 and INF in three of four pairs; on the second all are equal or missed.
    found = improvement([[[1, 3], [2, INF]], [[5, INF], [5, INF]]]).estimate
    assert_array_equal(found, [[0.5, 0.625], [0.375, 0.5]])


@pytest.mark.parametrize("seed", range(5))
def test_improvement_against_mann_and_whitney_and_a_loop(seed):
    values = random_times(seed, 3, 4, 5)
    draws = Draws(paired_draws(3, 5, resamples=30, seed=seed).runs)

    def oracle(v, i, j):
        return np.mean([stats.mannwhitneyu(b, a).statistic for a, b in zip(v[:, i], v[:, j], strict=True)]) / 25

    found = improvement(values, draws, level=0.8)
    for i, j in itertools.product(range(4), repeat=2):
        many = [oracle(np.array([values[p][:, draw[p]] for p in range(3)]), i, j) for draw in draws.runs]
        assert_allclose(found.estimate[i, j], oracle(values, i, j), rtol=1e-12)
        bounds = [found.low[i, j], found.high[i, j]]
        assert_allclose(bounds, np.quantile(many, [0.1, 0.9]), rtol=1e-12)


@LAW
@given(tables((1, 3), (1, 4), (2, 4)))
def test_one_of_two_is_better_or_they_are_equal(values):
    found = improvement(values, paired_draws(1, values.shape[2], resamples=20))
    assert_allclose(found.estimate + found.estimate.T, 1, rtol=1e-15)
    assert_array_equal(np.diag(found.estimate), 0.5)
    assert_array_equal([np.diag(found.low), np.diag(found.high)], 0.5)
    assert_allclose(found.low + found.high.T, 1, rtol=1e-12)


def test_signed_rank_by_hand():
    # All five pairs for one solver: 2 of 32 signs are as far out. Of three, one of rank 3, 2, 1 against the others.
    assert signed_rank([[1, 2], [1, 3], [1, 4], [1, 5], [1, 6]])[0, 1] == 2 / 32
    assert signed_rank([[1, 2], [1, 3], [4, 1]])[0, 1] == 1
    assert signed_rank([[1, 2], [1, 4], [3, 1]])[0, 1] == 0.75
    assert signed_rank([[2, 1], [1, 4], [1, 3]])[0, 1] == 0.5
    assert signed_rank([[1, 1], [INF, INF]])[0, 1] == 1
    assert signed_rank([[1, 2], [1, INF], [9, 3]])[0, 1] == signed_rank([[1, 2], [1, 100], [9, 3]])[0, 1]
    assert signed_rank([[0, 2], [0, 0], [1, 3]])[0, 1] == 0.5


@pytest.mark.parametrize("pairs", [5, 10, 30, 60])
def test_signed_rank_against_scipy(pairs):
    rng = np.random.default_rng(pairs)
    times = rng.lognormal([0, 0.3], size=(pairs, 2))
    expected = stats.wilcoxon(np.log(times[:, 0] / times[:, 1]), method="exact").pvalue
    assert_allclose(signed_rank(times)[0, 1], expected, rtol=1e-10)


@pytest.mark.parametrize("seed", range(10))
def test_signed_rank_with_ties_by_all_signs(seed):
    rng = np.random.default_rng(seed)
    times = 2.0 ** rng.integers(0, 4, size=(9, 2))
    times[0, 0] = INF
    whole = np.minimum(times, 2.0**20)  # above every other ratio
    logs = np.log2(whole[:, 0]) - np.log2(whole[:, 1])
    logs = logs[logs != 0]
    ranks = stats.rankdata(abs(logs))
    observed = ranks[logs > 0].sum()
    sums = np.array([sum(chosen) for n in range(len(ranks) + 1) for chosen in itertools.combinations(ranks, n)])
    expected = min(1, 2 * min((sums <= observed).mean(), (sums >= observed).mean()))
    assert_allclose(signed_rank(times)[0, 1], expected, rtol=1e-12)


@LAW
@given(tables((1, 8), (2, 4)), st.lists(st.integers(-20, 20), min_size=8, max_size=8))
def test_neither_order_nor_unit_matters_to_the_signed_rank(times, exponents):
    found = signed_rank(times)
    assert_array_equal(found, found.T)
    assert_array_equal(found, signed_rank(times * 2.0 ** np.array(exponents[: len(times)])[:, None]))
    assert_array_equal(found[::-1, ::-1], signed_rank(times[:, ::-1]))


def every_sign(numbers):
    """Two-sided, over all ways to choose the signs."""
    sums = [
        sum(sign * x for sign, x in zip(signs, numbers, strict=True))
        for signs in itertools.product((1, -1), repeat=len(numbers))
    ]
    return np.mean(np.abs(sums) >= abs(sum(numbers)))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("searches", "over"), [(1, "seeds"), (3, "searches"), (3, "seeds")])
def test_a_pair_is_tested_by_all_ways_to_exchange_its_runs(seed, searches, over):
    """Runs of a unit change sides together; U of all pairs of runs is counted anew each time."""
    values = np.round(random_times(seed, 2, 2, 3 * searches), -1)  # with ties and misses
    values[0] = np.where(np.isfinite(values[0]), values[0], 400)

    def u(table):
        return sum(np.sign(b[None] - a[:, None]).sum() for a, b in table)

    unit = np.arange(3 * searches) // (3 if over == "searches" else 1)
    units = [(p, k) for p in range(2) for k in range(unit[-1] + 1)]
    if len(units) > 12:
        units = units[:9]
        values[1] = 1.0  # all equal: nothing to exchange
    with np.errstate(invalid="ignore"):
        finite = np.where(np.isfinite(values), values, 1e9)
        observed, many = abs(u(finite)), []
        for chosen in itertools.product((False, True), repeat=len(units)):
            table = finite.copy()
            for (p, k), turn in zip(units, chosen, strict=True):
                if turn:
                    table[p][:, unit == k] = table[p][::-1][:, unit == k]
            many.append(abs(u(table)) >= observed)
    assert_allclose(pair_tests(values, searches, over)[0, 1], np.mean(many), rtol=1e-12)


def test_a_problem_without_randomness_is_one_unit():
    values = np.array([[[1.0] * 8, [2.0] * 8], [[1.0] * 8, [2.0] * 8]])
    assert pair_tests(values)[0, 1] == 2 / 2**16
    assert pair_tests(values, fixed=[True, False])[0, 1] == 2 / 2**9
    assert pair_tests(values, fixed=[True, True])[0, 1] == 0.5


def test_of_many_units_the_normal_distribution_is_as_good():
    rng = np.random.default_rng(0)
    values = rng.lognormal([[[0.0], [0.25]]], size=(1, 2, 101))
    normal = pair_tests(values)[0, 1]
    exact = pair_tests(values[:, :, :100])[0, 1]
    assert 0.3 < normal / exact < 3
    for seed in range(3):  # and on the same numbers, near each other
        numbers = np.random.default_rng(seed).integers(-50, 60, size=100)
        assert turned(numbers) == pytest.approx(turned(np.append(numbers, [0] * 10)), rel=1e-12)
        sums = np.random.default_rng(seed).choice([-1, 1], size=(200_000, 101)) @ np.append(numbers, 7)
        p = turned(np.append(numbers, 7))
        assert abs(np.mean(np.abs(sums) >= abs(numbers.sum() + 7)) - p) < 0.005


def test_claims_by_hand():
    # The first beats each other one: no correction. Of the others one pair of three is at 0.02 x 3.
    p = np.ones((4, 4))
    better = np.full((4, 4), 0.5)
    for i, j, value in ((0, 1, 0.04), (0, 2, 0.05), (0, 3, 0.03), (1, 2, 0.02), (1, 3, 0.3), (2, 3, 0.3)):
        p[i, j] = p[j, i] = value
        better[i, j], better[j, i] = 0.9, 0.1
    expected = np.zeros((4, 4), bool)
    expected[0, 1:] = True
    assert_array_equal(claims(better, p), expected)
    p[1, 2] = p[2, 1] = 0.016  # times 3 below 0.05
    expected[1, 2] = True
    assert_array_equal(claims(better, p), expected)
    p[0, 2] = p[2, 0] = 0.06  # no winner: six pairs, of which the least is 0.096
    assert not claims(better, p).any()
    p[1, 2] = p[2, 1] = 0.008
    expected[0] = False
    assert_array_equal(claims(better, p), expected)


def test_the_least_p_and_the_units_that_would_do():
    """The design of a study: seven problems and nine optimizers; ten and twelve; six seeds and two."""
    assert least_p(7, 36) == 0.5625
    assert round(least_p(10, 66), 3) == 0.129
    assert least_p(7, 8) == 0.125
    assert [units_needed(k) for k in (1, 8, 11, 36, 66)] == [6, 9, 9, 11, 12]
    for tests in (1, 8, 36):
        assert least_p(units_needed(tests), tests) <= 0.05 < least_p(units_needed(tests) - 1, tests)
    ahead = np.arange(1, 8)[:, None] * np.array([1.0, 2.0])
    assert signed_rank(ahead)[0, 1] == least_p(7)


def test_memory_is_not_quadratic_in_the_seeds():
    """300 seeds took 1.4 GB."""
    values = random_times(0, 1, 2, 300)
    tracemalloc.start()
    improvement(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # three tables of 2000 resamples and 300 seeds are 14 MB


def test_a_baseline_corrects_for_its_own_tests_alone():
    times = random_times(1, 9, 4)
    every, with_baseline = signed_rank(times), signed_rank(times, baseline=2)
    others = [0, 1, 3]
    raw = [signed_rank(times[:, [2, j]])[0, 1] for j in others]
    assert_allclose(with_baseline[2, others], holm(raw), rtol=1e-15)
    assert np.isnan(with_baseline[0, 1])
    assert np.isnan(np.diag(every)).all()
    assert (with_baseline[2, others] <= every[2, others]).all()
    assert np.isnan(signed_rank([[1.0], [2.0]])).all()


def test_holm_by_hand():
    # 0.01 x 4, 0.02 x 3, then 0.03 x 2 that may not fall below, and the last as it is
    assert_allclose(holm([0.03, 0.01, 0.9, 0.02]), [0.06, 0.04, 0.9, 0.06], rtol=1e-15)
    assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06], rtol=1e-15)
    assert_array_equal(holm([0.6, 0.7]), [1, 1])


@pytest.mark.parametrize("level", DEMSAR)
def test_the_critical_difference_is_demsars(level):
    for solvers, q in enumerate(DEMSAR[level], start=2):
        found = critical_difference(random_times(0, 6, solvers), level).distance
        assert abs(found / np.sqrt(solvers * (solvers + 1) / 36) - q) < 0.0011  # his three digits, some of them cut
    # and his example: four classifiers on fourteen data sets
    assert round(critical_difference(random_times(0, 14, 4), level).distance, 2) == {0.95: 1.25, 0.90: 1.12}[level]


def test_the_studentized_range_by_its_integral():
    found = critical_difference(random_times(0, 8, 5)).distance / np.sqrt(5 * 6 / (6 * 8)) * np.sqrt(2)

    def density(z):
        return 5 * stats.norm.pdf(z) * (stats.norm.cdf(z) - stats.norm.cdf(z - found)) ** 4

    assert_allclose(integrate.quad(density, -12, 12, epsabs=1e-13)[0], 0.95, atol=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_ranks_and_friedman_against_scipy(seed):
    values = random_times(seed, 8, 4)
    found = critical_difference(values)
    assert_allclose(found.ranks, stats.rankdata(values, axis=1).mean(axis=0), rtol=1e-12)
    assert_allclose(found.p, stats.friedmanchisquare(*values.T).pvalue, rtol=1e-10)
    for i, j in itertools.combinations(range(4), 2):
        together = abs(found.ranks[i] - found.ranks[j]) <= found.distance
        assert together == any(i in group and j in group for group in found.groups)


def test_groups_by_hand():
    # Four solvers in one order on 20 problems: ranks 1 to 4 and a distance of 1.05 join neighbours alone.
    found = critical_difference([[4, 1, 2, 3]] * 20)
    assert_array_equal(found.ranks, [4, 1, 2, 3])
    assert found.groups == [[1, 2], [2, 3], [3, 0]]
    assert found.p < 1e-10
    assert critical_difference([[4, 1, 2, 3]] * 30).groups == []
    equal = critical_difference([[7, 7, 7]] * 6)
    assert (equal.p, equal.groups) == (1, [[0, 1, 2]])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: critical_difference([[1, 2]] * 5), "5 problems and 2 solvers are too few"),
        (lambda: critical_difference([[1]] * 6), "6 problems and 1 solvers are too few"),
        (lambda: critical_difference([[1, 2]] * 6, level=0), "level"),
        (lambda: signed_rank([[1, 2]], baseline=2), "no solver 2"),
        (lambda: signed_rank([[1, -2]]), "solver 1 is negative"),
        (lambda: signed_rank([1, 2]), "shape"),
        (lambda: holm([0.1, 1.1]), "from 0 to 1"),
        (lambda: holm([-0.1]), "from 0 to 1"),
        (lambda: holm([]), "nothing"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(GradstepValueError, match=words):
        call()
