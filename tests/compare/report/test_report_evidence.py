"""Figures and tables show the statistics' own numbers, on studies whose runs are formulas."""

import math
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from report_studies import SPEED, curve, made_study, steps_to

from gradstep.compare.evidence import statistics
from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.table import entries
from gradstep.compare.show.export import rows
from gradstep.compare.show.report import curves, pairs, ranking, sections, tables, tuning
from gradstep.compare.show.report.curves import median_band
from gradstep.compare.show.report.page import content
from gradstep.compare.show.report.verdict import verdict

SIX = ("quadratic", "digits-mlp", "diabetes", "rosenbrock", "beale", "rastrigin")


@pytest.fixture(scope="module")
def three():
    return made_study()


@pytest.fixture(scope="module")
def six():
    return made_study(problems=SIX, factor=lambda p, o: 1 + 0.3 * ((len(p) * 7 + len(o) * 5) % 4))


def test_times_are_those_of_the_formula(three):
    times = Evidence(three).times()
    for j, rate in enumerate(SPEED.values()):
        assert times[0, j].tolist() == [steps_to(rate, 0.1, seed) for seed in range(6)]


def test_profiles_are_drawn_as_they_are_computed(six):
    evidence = Evidence(six)
    middle = statistics.medians(six.times())
    for trace, exact in zip(ranking.profile(evidence, "steps")["data"], statistics.profiles(middle), strict=True):
        assert trace["x"][0] == 1
        assert trace["x"][-1] == 4
        assert trace["line"]["shape"] == "hv"
        assert trace["y"] == pytest.approx(exact.at(np.array(trace["x"]) * (1 + 1e-4)), abs=1e-4)
        # Drawn to five digits, the area under the stairs is the score.
        area = sum(y * (b - a) for y, a, b in zip(trace["y"], trace["x"], trace["x"][1:], strict=False)) / 3
        k = six.optimizers.index(trace["name"])
        assert area == pytest.approx(statistics.scores(middle)[k], abs=1e-4)


def test_scores_and_speedups_have_the_intervals_of_paired_seeds(six):
    evidence = Evidence(six)
    draws = statistics.paired_draws(6, 6)
    scores = statistics.interval(statistics.run_scores, six.times(), draws, smooth=True)
    np.testing.assert_array_equal(evidence.scores().low, np.maximum(scores.low, 0))
    np.testing.assert_array_equal(evidence.scores().high, np.minimum(scores.high, 1))
    baseline = six.optimizers.index("adamw")
    assert evidence.baseline == baseline
    times = statistics.priced(six.times(), np.full((6, 1), 105.0))  # a budget of 100, an evaluation every 5
    speed = statistics.interval(lambda x: statistics.log_speedups(x, baseline), times, draws, smooth=True)
    np.testing.assert_array_equal(evidence.speedups().high, np.exp(speed.high))
    speed = np.exp(speed.estimate)
    heads, rows = tables.leaderboard(evidence)
    best = max(range(7), key=lambda k: scores.estimate[k])
    assert heads[1:3] == ["score by steps", "speed-up over adamw"]
    assert rows[0][0][0] == six.optimizers[best]
    assert rows[0][1] == (
        f"{scores.estimate[best]:.3f} [{scores.low[best]:.3f}, {min(scores.high[best], 1):.3f}]",
        scores.estimate[best],
    )
    assert rows[0][2][1] == speed[best]


def test_run_times_are_fractions_of_the_budget(three):
    evidence = Evidence(three)
    curves = [[[(r.steps, r.loss) for r in three.evaluated(p, o)] for o in three.optimizers] for p in three.problems]
    exact = statistics.run_time_table(curves) / 100  # steps in a run
    for k, trace in enumerate(ranking.ecdf(evidence, "steps")["data"]):
        at = np.array(trace["x"])
        within = [(exact[:, k] <= x * (1 + 1e-4)).mean() for x in at]
        assert trace["y"][:-1] == pytest.approx(within[:-1], abs=1e-4)


def test_seconds_are_steps_times_what_a_step_costs(three):
    evidence = Evidence(three)
    seconds = evidence.times("seconds")
    for j in range(7):
        np.testing.assert_allclose(seconds[:, j], evidence.times()[:, j] * (100 + 20 * j) / 1e6, rtol=1e-12)
    points = {trace["name"]: (trace["x"], trace["y"]) for trace in ranking.costs(evidence)["data"]}
    middle = statistics.medians(evidence.times())
    for j, label in enumerate(three.optimizers):
        x, y = points[label]
        assert x == [t for t in middle[:, j] if t < math.inf]
        assert y == pytest.approx([t * (100 + 20 * j) / 1e6 for t in x], rel=1e-4)


def test_places_change_from_steps_to_seconds():
    """The quicker in steps costs twice as much a step."""
    found = made_study(speed={"sgd": 0.05, "adam": 0.06}, problems=("quadratic",))
    found.timings[1] = type(found.timings[1])("quadratic", "adam", 200.0, 1.0, 8.0)
    data = ranking.rank_change(Evidence(found))["data"]
    assert {trace["name"]: trace["y"] for trace in data} == {"sgd": [2, 1], "adam": [1, 2]}


def test_the_thick_line_is_the_median_and_the_band_its_interval(three):
    figure = curves.curves(three, "quadratic", "loss")
    parts = {part: [t for t in figure["data"] if t["meta"]["part"] == part] for part in ("seeds", "band", "median")}
    assert [len(found) for found in parts.values()] == [3, 3, 7]
    k = list(SPEED).index("adam")
    of_adam = {part: next(t for t in found if t["name"] == "adam") for part, found in parts.items()}
    steps, _ = curve(SPEED["adam"], 0)
    losses = np.array([curve(SPEED["adam"], seed)[1] for seed in range(6)])
    assert of_adam["median"]["x"] == steps
    assert of_adam["median"]["y"] == pytest.approx(np.median(losses, axis=0), rel=1e-4)
    apart = of_adam["seeds"]["y"]
    assert apart[3 * 22 : 4 * 22 - 1] == pytest.approx(losses[3], rel=1e-4)
    assert [x for x in apart if x is None] == [None] * 6
    found = statistics.interval(statistics.medians, losses.T[:, None, :], statistics.paired_draws(1, 6, resamples=500))
    band = of_adam["band"]["y"]
    assert band[: len(steps)] == pytest.approx(found.low[:, 0], rel=1e-4)
    assert band[: len(steps) - 1 : -1] == pytest.approx(found.high[:, 0], rel=1e-4)
    assert of_adam["median"]["meta"]["seconds"] == pytest.approx((100 + 20 * k) / 1e6)
    assert figure["layout"]["shapes"][0]["y0"] == 0.1


def test_a_lost_seed_is_the_worst_of_all():
    """Where four of seven seeds are lost the median is infinite, and the line has a gap."""
    found = made_study(
        speed={"sgd": 0.05},
        problems=("quadratic",),
        seeds=7,
        lost=lambda run: {"diverged": 40} if run[2] == "eval" and run[4] < 4 else None,
    )
    steps, low, middle, high = median_band(found.evaluated("quadratic", "sgd"), "loss", 7)
    assert len(steps) == 21
    assert all(map(math.isfinite, middle[:9]))
    assert middle[9:] == [math.inf] * 12
    assert high[-1] == math.inf
    assert math.isfinite(low[-1])
    line = next(t for t in curves.curves(found, "quadratic", "loss")["data"] if t["meta"]["part"] == "median")
    assert line["y"][8:10] == [pytest.approx(middle[8], rel=1e-4), None]


def test_sensitivity_is_capped_and_marked():
    """Trial 3 diverges: drawn at the start's loss, with a cross."""
    found = made_study(
        speed={"sgd": 0.05, "adam": 0.08},
        problems=("quadratic",),
        lost=lambda run: {"diverged": 3} if run[2] == "tune" and run[3] == 3 else None,
    )
    evidence = Evidence(found)
    figure = tuning.sensitivity(evidence, "quadratic")
    trace = figure["data"][0]
    assert trace["x"] == pytest.approx([0.001, 0.01, 0.1, 1.0])
    assert trace["marker"]["symbol"] == ["circle", "circle", "circle", "x"]
    assert trace["text"][-1] == "1 of 1 lost"
    start = curve(0.05, 1000)[1][0]
    assert trace["y"][-1] == pytest.approx(start, rel=1e-4)
    ends = [curve(0.05 / (1 + 3 * abs(k - 2)), 1000)[1][-1] for k in range(3)]
    assert trace["y"][:-1] == pytest.approx(ends, rel=1e-4)
    exact = statistics.lr_sensitivity(trace["x"], [*ends, math.inf], evidence.start("quadratic"))
    assert evidence.rates("quadratic", "sgd").found == exact
    assert tuning.usable(evidence.rates("quadratic", "sgd"))[0] == f"{exact.value:.3g}"


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ([2.0, 1.0, 0.01, 1.0], "0.08"),  # a fiftieth of the gain is 0.0398: 0.0398 / 0.99 of a decade on each side
        ([0.02, 0.01, 1.0, 2.0], "1 or more, below"),
        ([2.0, 1.0, 0.01, 0.02], "1 or more, above"),
        ([0.01, 0.02, 0.02, 0.01], "3 or more: all that was tried"),
    ],
)
def test_usable_decades_are_more_where_an_edge_was_reached_alone(ends, words):
    study = made_study(speed={"sgd": 0.05}, problems=("quadratic",))
    tuned = [run for run in study.runs if run.phase == "tune"]
    moved = [replace(run, loss=[*run.loss[:-1], end]) for run, end in zip(tuned, ends, strict=True)]
    study = replace(study, runs=[*moved, *(run for run in study.runs if run.phase != "tune")])
    found = tuning.usable(Evidence(study).rates("quadratic", "sgd"))[1]
    assert found.startswith(words[:1])
    assert ("or more" in found, found.partition(" ")[2]) == ("or more" in words, words.partition(" ")[2])


def test_the_budget_is_the_best_of_k_trials():
    found = made_study(speed={"adam": 0.2, "sgd": 0.001}, problems=("quadratic",), trials=4)
    evidence = Evidence(found)
    figure = tuning.budget(evidence, "quadratic")
    steps = [steps_to(0.2 / (1 + 3 * abs(k - 2)), 0.1, 1000) for k in range(4)]
    exact = statistics.best_of_trials(steps)
    assert figure["data"][0]["x"] == [1, 2, 4]
    assert figure["data"][0]["y"] == [x if x < math.inf else None for x in exact.median]
    assert figure["data"][0]["customdata"] == pytest.approx(exact.hit, rel=1e-4)
    assert figure["data"][1]["y"] == [None] * 3  # none of its trials hits


def test_the_matrix_of_pairs_has_the_probabilities(three):
    evidence = Evidence(three)
    exact = statistics.improvement(three.times(), statistics.paired_draws(3, 6))
    p = statistics.pair_tests(three.times())
    text = pairs.matrix(evidence)
    i, j = three.optimizers.index("adam"), three.optimizers.index("sgd")
    assert (exact.low[i, j] > 0.5, p[i, j] < 0.05 / 21) == (True, True)
    assert f'<td class="above">▲ {exact.estimate[i, j]:.2f}<small> [{exact.low[i, j]:.2f}' in text
    assert f"▼ {exact.estimate[j, i]:.2f}" in text
    np.testing.assert_array_equal(evidence.better, statistics.claims(exact.estimate, p) & (exact.low > 0.5))


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_below_six_seeds_nothing_is_marked_and_no_interval_drawn(seeds):
    """The values are shown instead, and called so."""
    study = made_study(seeds=seeds)
    evidence = Evidence(study)
    assert evidence.over(3) is None
    assert not evidence.better.any()
    page = unescape(content(study).main)
    pairs_of = page[page.index('id="pairs"') : page.index('id="health"')]
    assert "[" not in pairs_of
    assert "▲ " not in pairs_of.replace("▲ and ▼", "")
    assert f"With {seeds} seeds nothing is marked: it takes 6 seeds, or 6 searches over all problems." in pairs_of
    assert f"the least and the greatest that single runs give; {seeds} seeds are too few for an interval." in page
    scores = evidence.scores()
    single = [statistics.run_scores(study.times()[..., [k]]) for k in range(seeds)]
    np.testing.assert_array_equal([scores.low, scores.high], [np.min(single, axis=0), np.max(single, axis=0)])
    figure = curves.curves(study, "quadratic", "loss")
    assert {t["meta"]["part"] for t in figure["data"]} == {"seeds", "median", "name"}
    assert "more than chance" not in page


def test_several_searches_are_resampled_with_their_seeds():
    study = made_study(searches=3, seeds=6, luck=lambda search, _: (0.8, 1.0, 1.2)[search])
    evidence, times = Evidence(study), study.times()
    assert times.shape == (3, 7, 18)
    draws = statistics.paired_draws(3, 6, 3, over="searches")
    exact = statistics.interval(statistics.run_scores, times, draws, smooth=True)
    np.testing.assert_array_equal(evidence.scores().low, np.maximum(exact.low, 0))
    assert (evidence.over(3), evidence.over(1), evidence.units) == ("searches", "seeds", 9)
    alone = statistics.interval(statistics.medians, times, statistics.paired_draws(3, 6, 3, over="seeds"))
    np.testing.assert_array_equal(evidence.steps().high, alone.high)
    page = unescape(content(study).main)
    assert "In brackets: 95 % intervals over 3 searches and their paired seeds." in page
    assert "differ by more than chance between searches and seeds" in page
    assert "the intervals speak of chance between 3 searches and their seeds, and not of the choice" in page
    entry = next(x for x in entries(study, "quadratic") if x.optimizer == "adam")
    assert [hyper["lr"] for hyper in entry.searched] == [0.1, 0.2, 0.4]
    assert "0.1 to 0.4" in page
    one = made_study(problems=("quadratic",), searches=3, seeds=6)
    assert "They take what was chosen as given: 3 searches are too few to speak of others." in content(one).main


def test_luck_of_a_search_is_not_sure():
    """One optimizer is quicker in two searches of three on each problem, for all of their seeds."""
    study = made_study(
        speed={"sgd": 0.05, "adam": 0.05},
        searches=3,
        seeds=10,
        luck=lambda search, optimizer: (0.8, 1.25, 1.25)[search] if optimizer == "adam" else 1.0,
    )
    assert not Evidence(study).better.any()
    lucky = made_study(
        speed={"sgd": 0.05, "adam": 0.05}, seeds=10, luck=lambda _, optimizer: 1.25 if optimizer == "adam" else 1.0
    )
    assert Evidence(lucky).better[1, 0]  # the control: one search cannot know


def test_seeds_that_change_nothing_are_no_evidence():
    """Ten equal curves are one run: no interval, no mark, no word of chance."""
    study = made_study(speed={"sgd": 0.05, "adam": 0.1}, problems=("quadratic",), seeds=10)
    equal = {label: study.evaluated("quadratic", label)[0] for label in study.optimizers}
    judged = [replace(equal[run.optimizer], seed=run.seed) for run in study.runs if run.phase == "eval"]
    study = replace(study, runs=[run for run in study.runs if run.phase != "eval"] + judged)
    evidence = Evidence(study)
    assert (evidence.fixed, evidence.over(1), evidence.units) == ([True], None, 0)
    assert not evidence.better.any()
    first = verdict(evidence)[0]
    assert first.endswith("steps, the same for all seeds, which change nothing here.")
    assert "(" not in first.partition("a median of ")[2].partition(" steps")[0]
    assert pairs.marks(evidence).startswith("Seeds change nothing here")


def test_a_test_that_cannot_succeed_is_not_made():
    seven = Evidence(made_study(problems=(*SIX, "one-more")))
    assert seven.signed_rank is None
    text = pairs.over_problems(seven)
    assert text.startswith(
        "Of other problems like these nothing can be said: Wilcoxon's signed rank test of each other"
    )
    assert "one against the baseline adamw over 7 problems has no p below 0.094 after Holm's correction for 6" in text
    assert text.endswith("tests, so it is not made; it takes 8 problems.")
    few = Evidence(made_study(speed={"sgd": 0.05, "adam": 0.1}))
    assert "has no p below 0.25, so it is not made; it takes 6 problems." in pairs.over_problems(few)
    alone = Evidence(made_study(problems=("quadratic",)))
    assert pairs.over_problems(alone) == "One problem says nothing of others like it."
    six = Evidence(made_study(speed={"sgd": 0.05, "adam": 0.1}, problems=SIX))
    assert pairs.over_problems(six).endswith("corrected by Holm: sgd (p 0.031) differs at 0.05.")  # 2 / 2**6
    same = Evidence(made_study(speed={"sgd": 0.05, "adam": 0.05}, problems=SIX))
    assert pairs.over_problems(same).endswith("corrected by Holm: none differs at 0.05.")


def test_marks_say_what_so_few_seeds_cannot_tell():
    alone = Evidence(made_study(problems=("quadratic",)))
    text = "6 are too few to tell single pairs of 7 apart, for which it takes 10; only one that is ahead of all others"
    assert pairs.marks(alone).endswith(f"{text} can be told.")
    assert pairs.marks(Evidence(made_study())).endswith("with Holm's correction.")


def test_other_orders_are_told():
    """The first by score is quick on one problem and by a hair second on the others."""
    quick = {("quadratic", "sgd"): 6.0, ("digits-mlp", "sgd"): 0.8, ("diabetes", "sgd"): 0.8}
    study = made_study(speed={"sgd": 0.05, "adam": 0.05}, factor=lambda p, o: quick.get((p, o), 1.0))
    evidence = Evidence(study)
    assert study.optimizers[evidence.order[0]] == "sgd"
    text = pairs.other_orders(evidence)
    assert text.startswith(
        "By score, which counts how much longer each takes, sgd is first; by other counts others are:"
    )
    assert "adam by the number of problems on which it is the fastest" in text
    assert pairs.other_orders(Evidence(made_study(speed={"sgd": 0.03, "adam": 0.1}))) == ""


def test_a_run_that_diverged_after_the_target_is_a_miss_in_every_count():
    """It touches the target in step 30 and diverges in step 60: table, profile, run times and tuning say miss."""
    study = made_study(
        speed={"sgd": 0.1, "adam": 0.02},
        problems=("quadratic",),
        lost=lambda run: {"diverged": 60} if run[1] == "sgd" else None,
    )
    evidence = Evidence(study)
    assert min(study.evaluated("quadratic", "sgd")[0].loss) < 0.1
    assert np.isinf(evidence.times()[0, 0]).all()
    assert evidence.hits("sgd") == (0, 6)
    assert len(evidence.profiles()[0].x) == 0
    assert len(evidence.ecdfs()[0].x) == 0
    assert evidence.ecdfs()[1].y[-1] > 0
    assert evidence.trials("quadratic", "sgd").hit.max() == 0
    assert study.table()[-1].hits == 0


def test_of_two_that_miss_everything_there_is_no_speed_up():
    found = Evidence(made_study(speed={"adamw": 0.001, "sgd": 0.001, "adam": 0.1})).speedups()
    assert np.isnan([found.estimate[:2], found.low[:2], found.high[:2]]).all()
    assert found.estimate[2] > 2


def test_a_target_to_be_held_is_held_in_every_count():
    """The only touch of the target is one evaluation long."""
    study = made_study(speed={"sgd": 0.03, "adam": 0.03}, problems=("quadratic",), level=0.05)
    touch = [1.0] * 5 + [0.04] + [1.0] * 15
    study.runs[:] = [replace(run, loss=touch) for run in study.runs]
    assert Evidence(study).hits("sgd") == (6, 6)
    goal = replace(study.spec.goals["quadratic"], patience=2)
    held = replace(study, spec=replace(study.spec, goals={"quadratic": goal}))
    evidence = Evidence(held)
    assert evidence.hits("sgd") == (0, 6)
    assert evidence.trials("quadratic", "sgd").hit.max() == 0
    assert evidence.ecdfs()[0].y.size == 0 or evidence.ecdfs()[0].y[-1] < Evidence(study).ecdfs()[0].y[-1]


def test_equal_runs_have_equal_seconds():
    study = made_study(speed={"sgd": 0.05, "keras.SGD": 0.05, "adam": 0.06}, problems=("quadratic",))
    evidence = Evidence(study)
    assert len({t.step_us for t in study.timings}) == 3
    assert evidence.times("seconds")[0, 0].tolist() == evidence.times("seconds")[0, 1].tolist()
    assert evidence.times("seconds").tolist() == study.times("seconds").tolist()
    costs = [row["seconds_to_target"] for row in rows(study) if row["phase"] == "eval" and row["optimizer"] != "adam"]
    assert costs == [*study.times("seconds")[0, 0], *study.times("seconds")[0, 1]]
    costs = {row.optimizer: (entry.step_us, entry.optimizer_us) for row in study.table() for entry in row.entries}
    assert costs["sgd"] == costs["keras.SGD"] != costs["adam"]
    assert evidence.ranks("seconds") == [1, 1, 3]
    first, second = evidence.ecdfs("seconds")[:2]
    np.testing.assert_array_equal(first.x, second.x)


def test_the_critical_difference_takes_six_problems(three, six):
    assert Evidence(three).critical_difference is None
    figure = ranking.critical(six, Evidence(six).critical_difference)
    exact = statistics.critical_difference(statistics.medians(six.times()))
    marks = {trace["name"]: trace["x"][0] for trace in figure["data"] if trace["mode"] == "markers+text"}
    for label, rank in zip(six.optimizers, exact.ranks, strict=True):
        assert marks[label] == pytest.approx(rank, rel=1e-4)
    bars = [trace["x"] for trace in figure["data"] if trace["name"] == "not told apart"]
    assert bars == [[exact.ranks[group[0]], exact.ranks[group[-1]]] for group in exact.groups] != []


def test_health_stands_beside_the_steps_that_were_looked_at(three):
    figure = curves.health(three, "quadratic", "rate")
    trace = figure["data"][0]
    assert trace["x"] == list(range(5, 101, 5))
    assert trace["y"] == [0.03] * 20
    assert curves.health(made_study(without=lambda run: run[2] == "health"), "quadratic", "rate") is None


def test_steps_that_round_to_nothing_are_told(three):
    assert sections.unmoved(three) == []
    told = made_study()
    run = told.health("quadratic", told.optimizers[0])
    run.health.update(unmoved=[0.2] * 3 + [0.84] * 3, grad_norm=[1.0] * 6)
    (sentence,) = sections.unmoved(told)
    assert sentence.startswith(f"{told.optimizers[0]} on quadratic: 84% of the elements did not move")
    run.health.update(grad_norm=[1.0] * 5 + [0.01])  # it has converged
    assert sections.unmoved(told) == []


def test_only_what_is_complete_is_counted():
    found = made_study(without=lambda run: run[:3] == ("diabetes", "sgd", "eval") and run[4] == 2)
    evidence = Evidence(found)
    assert evidence.problems == ["quadratic", "digits-mlp"]
    whole = Evidence(made_study(problems=("quadratic", "digits-mlp")))
    np.testing.assert_array_equal(evidence.scores().low, whole.scores().low)


def test_one_seed_has_no_interval():
    evidence = Evidence(made_study(seeds=1))
    assert np.isnan(evidence.scores().low).all()
    assert evidence.improvement is None
    assert np.isnan(evidence.ahead(0, 1).low)
    assert "[" not in tables.leaderboard(evidence)[1][0][1][0]


@pytest.mark.parametrize("first", [0, 1])
def test_ahead_is_positive_where_the_first_is_better(first):
    """On one problem by median steps, on several by score, with the interval of a paired resample."""
    speed = {"sgd": 0.04, "adam": 0.08}
    alone = Evidence(made_study(speed=speed, problems=("quadratic",)))
    steps = statistics.medians(alone.times())[0]
    assert alone.ahead(first, 1 - first).estimate == steps[1 - first] - steps[first]
    many = Evidence(made_study(speed=speed))
    scores = many.scores().estimate
    assert many.ahead(first, 1 - first).estimate == scores[first] - scores[1 - first]
    for evidence in (alone, many):
        found = evidence.ahead(first, 1 - first)
        assert (found.low > 0) if first == 1 else (found.high < 0)
