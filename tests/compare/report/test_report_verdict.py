"""The verdict's sentences on studies of which it is known beforehand what can be said."""

import re
from dataclasses import replace

import pytest
from report_studies import made_study, steps_to

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.show.report.outcome import outcome
from gradstep.compare.show.report.verdict import verdict


def said(**options):
    return verdict(Evidence(made_study(**options)))


def test_a_clear_winner_of_one_problem():
    first, cost, limits = said(
        speed={"sgd": 0.03, "adam": 0.1, "adamw": 0.05}, problems=("quadratic",), level=0.2, seeds=7
    )
    steps = sorted(steps_to(0.1, 0.2, seed) for seed in range(7))
    assert first.startswith(f"adam reached the target (loss ≤ 0.2) after a median of {steps[3]} [")
    assert "(hit 7/7), ahead of adamw with " in first
    difference = sorted(steps_to(0.05, 0.2, seed) for seed in range(7))[3] - steps[3]
    assert re.search(
        rf"the difference is {difference} \[\d+, \d+\] steps, more than chance between seeds explains\.$", first
    )
    assert cost.startswith("In steps adam was ")
    assert "times as fast as the baseline adamw; by seconds it is first too." in cost
    assert limits.startswith("This does not show how they compare beyond quadratic alone")
    assert "the intervals speak of chance between 7 seeds" in limits


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_few_seeds_do_not_rule_out_chance_however_they_agree(seeds):
    """A bootstrap of pairs that all agree never doubts them, though two alike agree so in 2 of 2**seeds studies."""
    first, _, _ = said(speed={"sgd": 0.03, "adam": 0.1}, problems=("quadratic",), level=0.2, seeds=seeds)
    assert first.endswith(f", but {seeds} seeds are too few to rule out chance.")


def test_a_clear_winner_of_several_problems():
    first, cost, limits = said(speed={"sgd": 0.03, "adam": 0.1, "adamw": 0.05}, level=0.2)
    assert first.startswith(
        "adam has the score 1.00 [1.00, 1.00] over 3 problems, of which its median seed solved 3 (hit 18/18)"
    )
    assert "in score, more than chance between seeds explains." in first
    assert "(geometric mean over 3 problems)" in cost
    assert "beyond these problems" in limits


def test_a_tie():
    first, cost, _ = said(speed={"sgd": 0.05, "adam": 0.05, "adamw": 0.02}, problems=("quadratic",))
    assert first.endswith(", and so does adam: they are tied for first.")
    assert "by seconds it is first too" in cost  # sgd's step costs less
    first, _, _ = said(speed={"sgd": 0.05, "adam": 0.05, "adamax": 0.05})
    assert first.endswith(", and so do adam and adamax: they are tied for first.")


def test_seeds_that_do_not_tell_which_is_first():
    """Half of the seeds one way, half of them the other."""
    paces = {"sgd": (0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.08), "adam": (0.05, 0.05, 0.05, 0.1, 0.1, 0.1, 0.07)}
    study = made_study(speed={"sgd": 0.05, "adam": 0.05}, problems=("quadratic",), seeds=7)
    for k, run in enumerate(study.runs):
        if run.phase == "eval":
            pace = paces[run.optimizer][run.seed]
            study.runs[k] = type(run)(**{**run.as_json(), "loss": [2 * 2.718281828 ** (-pace * s) for s in run.steps]})
    first, _, _ = verdict(Evidence(study))
    assert first.startswith("sgd reached")
    assert first.endswith("which chance between seeds may explain.")


def test_all_miss():
    first, cost, _ = said(speed={"sgd": 0.03, "adamw": 0.05}, problems=("quadratic",), level=1e-9)
    assert first.startswith(
        "No optimizer reached the target (loss ≤ 1e-09) with its median seed within the budget, so none"
    )
    assert "that of adamw, a median of " in first
    assert cost == "No speed over the baseline adamw can be told where nothing was reached."
    first, _, _ = said(level=1e-9)
    assert (
        first
        == "No optimizer reached the target of any problem with its median seed within the budget, so none is first."
    )


def test_all_diverge():
    first, _, _ = said(problems=("quadratic",), lost=lambda run: {"diverged": 7})
    assert first.endswith("within the budget, and none ended with a finite loss.")


def test_the_second_misses():
    first, cost, _ = said(speed={"adam": 0.1, "adamw": 0.001}, problems=("quadratic",), seeds=6)
    assert first.endswith("ahead of adamw, whose median seed missed it, more than chance between seeds explains.")
    assert cost.startswith("In steps adam was 3.")
    assert "times as fast as the baseline adamw, a miss at the price of the budget and one evaluation more;" in cost


def test_one_optimizer_has_nobody_beside_it():
    first, cost, _ = said(speed={"adam": 0.1})
    assert first.endswith("; there is no other to compare it with.")
    assert cost.startswith("adam is itself the baseline of the speed-ups; by seconds it is first too.")


def test_one_seed_shows_no_certainty():
    first, _, limits = said(speed={"sgd": 0.03, "adam": 0.1}, problems=("quadratic",), seeds=1)
    assert "[" not in first
    assert first.endswith("; one seed does not show how surely.")
    assert "with one seed there is no interval, and small differences may be chance" in limits


def test_a_crash_counts_as_a_miss_and_is_told():
    _, _, limits = said(
        lost=lambda run: {"error": "it broke"} if run[1:3] == ("adam", "eval") and run[4] == 0 else None
    )
    assert limits.endswith("; 3 runs ended with an error and counted as missed.")


def test_seconds_may_have_another_winner():
    study = made_study(speed={"sgd": 0.09, "adam": 0.1}, problems=("quadratic",))
    study.timings[1] = type(study.timings[1])("quadratic", "adam", 1000.0, 900.0, 8.0)
    _, cost, _ = verdict(Evidence(study))
    assert cost.endswith("; by seconds, which are those of this machine, sgd is first.")
    _, cost, _ = said(timed=False)
    assert cost.endswith("what a step costs in seconds has not been measured on all problems.")


def test_defaults_and_edges_are_named():
    _, _, limits = said(ruleset="defaults")
    assert "with other hyperparameters than their defaults" in limits
    _, _, limits = said(trials=2)  # the best of two trials is the last of them
    assert "did best at the lowest or highest learning rate tried, so the best may lie outside" in limits


def test_pairs_of_runs_and_the_score_must_agree():
    """Quick on one problem of three and slow by a little on two: ahead in score, but not run by run."""
    quick = {("quadratic", "adam"): 3.0, ("digits-mlp", "adam"): 0.9, ("diabetes", "adam"): 0.9}
    study = made_study(speed={"sgd": 0.05, "adam": 0.05}, factor=lambda p, o: quick.get((p, o), 1.0), seeds=10)
    evidence = Evidence(study)
    assert evidence.ahead(1, 0).low > 0
    assert not evidence.better[1, 0]
    first = verdict(evidence)[0]
    p = evidence.improvement.estimate[1, 0]
    assert first.endswith(
        f"but a run of the first is ahead with a probability of {p:.2f}, which chance between seeds may explain."
    )


@pytest.mark.parametrize("seeds", [1, 5])
def test_nothing_is_said_too_early(seeds):
    told = said(seeds=seeds, without=lambda run: run[1:3] == ("sgd", "eval"))
    assert told == ["There is no verdict yet: on no problem has every optimizer all of its seeds."]


def test_the_outcome_has_the_numbers_of_the_page():
    study = made_study(speed={"sgd": 0.03, "adam": 0.1, "adamw": 0.05}, level=0.2)
    found, evidence = outcome(study), Evidence(study)
    assert found["verdict"] == verdict(evidence)
    assert (found["over"], found["baseline"], found["problems"]) == ("seeds", "adamw", list(study.problems))
    assert [row["optimizer"] for row in found["optimizers"]] == ["adam", "adamw", "sgd"]
    scores, speed = evidence.scores(), evidence.speedups()
    for row, k in zip(found["optimizers"], (1, 2, 0), strict=True):
        assert row["score"] == {"estimate": scores.estimate[k], "low": scores.low[k], "high": scores.high[k]}
        assert row["speedup"] == {"estimate": speed.estimate[k], "low": speed.low[k], "high": speed.high[k]}
    assert sorted(found["better"]) == [["adam", "adamw"], ["adam", "sgd"], ["adamw", "sgd"]]
    few = outcome(made_study(seeds=3))
    assert (few["over"], few["better"]) == (None, [])
    assert set(few["optimizers"][0]["score"]) == {"estimate", "least", "greatest"}
    assert outcome(made_study(without=lambda run: True))["optimizers"] == []


def test_a_target_that_is_held_says_so():
    study = made_study(problems=("quadratic",))
    goals = {"quadratic": replace(study.spec.goals["quadratic"], patience=3)}
    first, _, _ = verdict(Evidence(replace(study, spec=replace(study.spec, goals=goals))))
    assert "(loss ≤ 0.1, held for 3 evaluations)" in first
