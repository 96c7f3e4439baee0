"""Bootstrap intervals: by hand, against explicit loops, and that pairs are pairs."""

import time
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.stats import trim_mean
from statistics_cases import INF, LAW, random_times, tables

from gradstep.compare.evidence.statistics import (
    Draws,
    differences,
    improvement,
    interval,
    iqm,
    medians,
    paired_draws,
    pooled_median,
    resampled,
    run_scores,
    speedups,
)
from gradstep.errors import GradstepValueError

DRAWS = Draws(np.array([[[0, 0, 0]], [[0, 1, 1]], [[2, 2, 1]], [[2, 2, 2]], [[1, 0, 2]]]))


def test_by_hand():
    # Medians of the five draws: 1, 5, 9, 9, 5; of the quarter points between five, the second and the fourth.
    found = interval(pooled_median, [[[1, 5, 9]]], DRAWS, level=0.5)
    assert (found.estimate, found.low, found.high) == (5, 5, 9)
    # Nine tenths leave a fifth of the way from 1 to 5 below.
    assert interval(pooled_median, [[[1, 5, 9]]], DRAWS, level=0.9).low == pytest.approx(1.8, abs=1e-14)


def test_a_miss_in_the_bounds():
    found = interval(pooled_median, [[[1, 5, INF]]], DRAWS, level=0.9)
    assert (found.estimate, found.high) == (5, INF)
    assert found.low == pytest.approx(1.8, abs=1e-14)
    found = interval(pooled_median, [[[INF, INF, INF]]], DRAWS)
    assert (found.estimate, found.low, found.high) == (INF, INF, INF)


def test_iqm_by_hand():
    assert iqm([[[1, 2, 3, 4]]]) == 2.5
    assert iqm([[[100, 2, 3, 1]]]) == 2.5
    assert iqm([[[1, 2]], [[4, 9]]]) == 3
    assert iqm([[[1, 2, 3, INF]]]) == 2.5
    assert iqm([[[1, 2, INF, INF]]]) == INF


@pytest.mark.parametrize("seed", range(10))
def test_against_a_loop(seed):
    """Resampling one table after the other, SciPy's trimmed mean, NumPy's quantiles."""
    values = random_times(seed, 4, 3, 6, misses=0.0)
    draws = Draws(paired_draws(4, 6, resamples=50, seed=seed).runs)
    oracles = {
        iqm: lambda v: [trim_mean(v[:, j], 0.25, axis=None) for j in range(3)],
        pooled_median: lambda v: [np.median(v[:, j]) for j in range(3)],
        medians: lambda v: np.median(v, axis=2),
    }
    for statistic, oracle in oracles.items():
        many = [oracle(np.array([values[p][:, draw[p]] for p in range(4)])) for draw in draws.runs]
        found = interval(statistic, values, draws, level=0.8)
        assert_allclose(found.estimate, oracle(values), rtol=1e-12)
        assert_allclose([found.low, found.high], np.quantile(many, [0.1, 0.9], axis=0), rtol=1e-12)


@pytest.mark.parametrize("statistic", [iqm, pooled_median, medians, run_scores])
def test_in_portions_it_is_the_same(statistic, monkeypatch):
    values = random_times(0, 4, 3, 6)
    whole = interval(statistic, values)
    monkeypatch.setattr("gradstep.compare.evidence.statistics.intervals._AT_ONCE", 1000)
    parts = interval(statistic, values)
    for name in ("estimate", "low", "high"):
        assert_array_equal(getattr(whole, name), getattr(parts, name))


@LAW
@given(tables((1, 4), (1, 3), (2, 5)), st.integers(0, 2**32 - 1))
def test_bounds_lie_in_order_and_within_the_runs(values, seed):
    problems, _, seeds = values.shape
    found = interval(medians, values, paired_draws(problems, seeds, resamples=40, seed=seed))
    assert (found.low <= found.high).all()
    assert (values.min(axis=2) <= found.low).all()
    assert (found.high <= values.max(axis=2)).all()


@LAW
@given(tables((1, 4), (1, 3), (2, 6)), st.randoms(use_true_random=False))
def test_the_order_of_the_seeds_is_nothing_to_the_estimate(values, random):
    order = list(range(values.shape[2]))
    random.shuffle(order)
    for statistic in (iqm, pooled_median):
        assert_array_equal(statistic(values[:, :, order]), statistic(values))


@LAW
@given(tables((1, 4), (2, 2), (2, 6)), st.integers(1, 50), st.integers(0, 1000))
def test_a_constant_difference_has_no_width(values, shift, seed):
    values = np.where(values < INF, values, 31)
    values[:, 1] = values[:, 0] + shift
    draws = paired_draws(values.shape[0], values.shape[2], resamples=40, seed=seed)
    for statistic in (iqm, pooled_median, medians):
        found = differences(statistic, values, 0, draws)
        assert_allclose([x[..., 1] for x in (found.estimate, found.low, found.high)], shift, rtol=1e-12)


def test_unpaired_the_same_difference_would_have_width():
    """The control: with draws of its own for each solver the constant is lost in the noise of the seeds."""
    values = np.array([[[1.0, 10, 100, 1000]]])
    ours, theirs = (interval(iqm, values, paired_draws(1, 4, seed=seed)) for seed in (0, 1))
    assert_array_equal(ours.estimate, theirs.estimate)
    a, b = (iqm(paired_draws(1, 4, seed=seed).of(values, 0, 2000)) for seed in (0, 1))
    assert np.ptp(a - b) > 100


def test_two_misses_have_no_difference():
    values = [[[1, 2, 3], [INF, INF, INF], [INF, INF, INF]]]
    found = differences(pooled_median, values, 1)
    assert_array_equal([found.estimate, found.low, found.high], [[-INF, np.nan, np.nan]] * 3)


def test_resamples_without_an_answer_are_left_out():
    draws = Draws(np.array([[[0, 0, 0]], [[2, 2, 0]], [[0, 1, 1]]]))  # in the second both miss
    found = interval(partial(speedups, baseline=0), [[[2, 8, INF], [1, 1, INF]]], draws, level=0.5)
    assert (found.estimate[1], found.low[1], found.high[1]) == pytest.approx((8, 3.5, 6.5), rel=1e-15)


def test_one_draw_may_serve_all_problems():
    """Points of one curve: whole seeds are resampled."""
    seeds = np.array([3.0, 1, 4, 1, 5])
    found = interval(medians, np.stack([seeds, seeds + 10, 2 * seeds])[:, None], paired_draws(1, 5))
    assert_array_equal(found.low[:, 0], [found.low[0, 0], found.low[0, 0] + 10, 2 * found.low[0, 0]])


def test_draws_are_stratified_seeded_and_cover_everything():
    draws = paired_draws(3, 5, resamples=4000, seed=7).runs
    assert draws.shape == (4000, 3, 5)
    assert_array_equal(draws, paired_draws(3, 5, resamples=4000, seed=7).runs)
    assert (draws != paired_draws(3, 5, resamples=4000, seed=8).runs).any()
    assert (draws[:, 0] != draws[:, 1]).any()
    counts = np.stack([(draws == k).sum(axis=(0, 2)) for k in range(5)])
    # 4000 each are expected, binomial: five standard deviations
    assert np.abs(counts - 4000).max() < 5 * np.sqrt(20000 * 0.2 * 0.8)


def test_searches_are_drawn_with_seeds_of_their_own():
    """Of three searches of four seeds: each run of four is of one search, and searches and seeds repeat."""
    draws = paired_draws(2, 4, 3, resamples=3000).runs.reshape(3000, 2, 3, 4)
    searches = draws // 4
    assert (searches == searches[..., :1]).all()
    counts = np.stack([(searches[..., 0] == k).sum(axis=(0, 2)) for k in range(3)])
    assert np.abs(counts - 3000).max() < 5 * np.sqrt(9000 * 2 / 9)
    assert (np.sort(searches[..., 0], axis=-1) != np.arange(3)).any()  # with replacement
    counts = np.stack([(draws == k).sum(axis=(0, 2, 3)) for k in range(12)])
    assert np.abs(counts - 3000).max() < 350  # seeds of one search are drawn together, so they vary by more
    alone = paired_draws(2, 4, 3, resamples=10, over="seeds").runs
    assert_array_equal(alone // 4, np.broadcast_to(np.repeat(np.arange(3), 4), alone.shape))


def test_problems_are_drawn_where_asked():
    """Two problems: in half of the resamples both are there, in a quarter the first twice."""
    draws = paired_draws(2, 2, resamples=4000, over_problems=True)
    table = draws.of(np.array([[[1.0, 1.0]], [[3.0, 3.0]]]), 0, 4000).mean(axis=(1, 2, 3))
    for value, part in ((1, 0.25), (2, 0.5), (3, 0.25)):
        assert abs((table == value).mean() - part) < 0.035


@pytest.mark.parametrize(
    ("problems", "seeds", "searches", "over"),
    [
        (1, 5, 1, None),
        (1, 6, 1, "seeds"),
        (7, 3, 1, None),
        (1, 10, 3, "seeds"),
        (1, 5, 3, None),
        (2, 3, 3, "searches"),
        (1, 1, 6, "searches"),
    ],
)
def test_no_interval_below_six_units(problems, seeds, searches, over):
    assert resampled(problems, seeds, searches) == over


def test_the_bounds_of_few_seeds_are_as_far_out_as_students():
    """Six seeds: 2.57 standard deviations, 0.5 % at each side; a hundred: 1.98, near 2.5 %."""
    for seeds, outside in ((6, 0.0050707), (100, 0.0234835)):
        values = np.random.default_rng(0).lognormal(size=(1, 1, seeds))
        draws = paired_draws(1, seeds)
        found = interval(medians, values, draws)
        exact = np.quantile(np.median(values[0, 0][draws.runs[:, 0]], axis=-1), [outside, 1 - outside])
        assert_allclose([found.low[0, 0], found.high[0, 0]], exact, rtol=1e-3)


def test_smooth_bounds_are_those_of_the_formula():
    """Of a mean there is no bias: mean and Student's quantile times the standard error, to the noise of resampling."""
    values = np.random.default_rng(1).normal(size=(1, 1, 12))
    found = interval(lambda x: x.mean(axis=(-1, -3)), values, paired_draws(1, 12, resamples=40_000), smooth=True)
    exact = stats.t.interval(0.95, 11, values.mean(), stats.sem(values[0, 0]))
    assert_allclose([found.low[0], found.high[0]], exact, atol=0.01)
    # and the square of a mean is too high by its variance, which goes
    found = interval(lambda x: x.mean(axis=(-1, -3)) ** 2, values, paired_draws(1, 12, resamples=40_000), smooth=True)
    assert (found.low + found.high)[0] / 2 == pytest.approx(
        values.mean() ** 2 - stats.sem(values[0, 0]) ** 2, abs=0.005
    )


def test_ten_problems_twelve_solvers_ten_seeds_take_a_moment():
    values = random_times(0, 10, 12, 10)
    work = [partial(interval, s) for s in (iqm, pooled_median, medians, run_scores, partial(speedups, baseline=0))]
    for make in (*work, improvement):
        start = time.process_time()
        make(values)
        assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: paired_draws(3, 1), "1 seed shows no spread"),
        (lambda: interval(iqm, [[[1.0]]]), "1 seed shows no spread"),
        (lambda: paired_draws(0, 2), "need a problem"),
        (lambda: paired_draws(1, 2, resamples=0), "need a problem"),
        (lambda: paired_draws(3, 5, 1, over="searches"), "1 search shows no spread"),
        (lambda: paired_draws(1, 5, over_problems=True), "1 problem shows no spread"),
        (lambda: improvement([[[1, 2]]] * 2, paired_draws(2, 2, over_problems=True)), "each problem once"),
        (lambda: interval(iqm, [[[1, 2]]], DRAWS), r"take paired_draws\(1, 2\)"),
        (lambda: interval(iqm, [[[1, 2, 3]]] * 3, paired_draws(2, 3)), r"take paired_draws\(3, 3\)"),
        (lambda: interval(iqm, [[[1, 2]]], level=1), "level"),
        (lambda: interval(iqm, [[[[1, 2]]]]), "shape"),
        (lambda: differences(iqm, [[[1, 2]]], 1), "no solver 1"),
        (lambda: differences(iqm, [[[1, 2]]], -1), "no solver -1"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(GradstepValueError, match=words):
        call()
