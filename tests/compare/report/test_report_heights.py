"""Scores against the height of the targets."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from gradstep.compare import compare
from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.statistics import run_scores
from gradstep.compare.problems import Target
from gradstep.compare.show.report.heights import HEIGHTS, at_height, by_level, heights, times_at
from gradstep.compare.show.report.outcome import outcome
from gradstep.compare.show.report.verdict import verdict


@pytest.mark.parametrize(
    ("target", "start", "height", "level"),
    [
        (Target("loss", 0.01, "train"), 100.0, 0.5, 1.0),
        (Target("loss", 0.01, "train"), 100.0, 1.25, 0.001),
        (Target("loss", -3.0, "train"), 1.0, 0.5, -1.0),
        (Target("loss", 0.0, "train"), 4.0, 0.75, 1.0),
        (Target("accuracy", 0.99, "validation"), 0.0, 0.5, 0.9),
        (Target("accuracy", 0.9, "validation"), 0.1, 1.0, 0.9),
    ],
)
def test_the_way_is_even_in_the_logarithm_where_there_is_one(target, start, height, level):
    found = at_height(target, start, height)
    assert found.level == pytest.approx(level)
    assert replace(found, level=target.level) == target


def test_at_height_one_the_scores_are_those_of_the_report_and_easier_targets_come_first():
    made = compare(["sgd", "adam"], ["quadratic", "diabetes"], seeds=3, trials=3, steps=120, jobs=1)
    alone = {problem: replace(goal, easy=None, hard=None) for problem, goal in made.spec.goals.items()}
    study = replace(made, spec=replace(made.spec, goals=alone))
    evidence = Evidence(study)
    times = [times_at(evidence, height) for height in HEIGHTS]
    np.testing.assert_array_equal(times[HEIGHTS.index(1.0)], evidence.times())
    for easier, harder in pairwise(times):
        assert (easier <= harder).all()
    # By hand for the runs of one pair: the first evaluation at or below the level.
    start = np.median([r.loss[0] for label in study.optimizers for r in study.evaluated("quadratic", label)])
    for height, found in zip(HEIGHTS, times, strict=True):
        level = start * (study.target("quadratic").level / start) ** height
        for k, run in enumerate(study.evaluated("quadratic", "adam")):
            met = [step for step, loss in zip(run.steps, run.loss, strict=True) if loss <= level]
            assert found[0, 1, k] == min(met, default=math.inf)
    figure = heights(evidence)
    drawn = np.array([line["y"] for line in figure["data"]])
    np.testing.assert_allclose(drawn[:, 0], run_scores(times[0]), rtol=1e-3)


def test_nothing_is_drawn_where_nobody_came_anywhere():
    study = compare(["sgd:lr=1e-30", "adam:lr=1e-30"], "quadratic", seeds=2, trials=1, steps=20, jobs=1)
    assert heights(Evidence(study)) is None


def test_targets_of_three_levels_are_drawn_at_these_and_stand_in_a_table():
    study = compare(["sgd", "adam"], ["quadratic", "diabetes"], seeds=3, trials=3, steps=120, jobs=1)
    evidence = Evidence(study)
    assert list(evidence.tiers) == ["easy", "middle", "hard"]
    np.testing.assert_array_equal(evidence.tiers["middle"], evidence.times())
    hits = {}
    for tier, level in (("easy", 0.01), ("hard", 0.0001)):
        for k, label in enumerate(study.optimizers):
            for seed, run in enumerate(study.evaluated("quadratic", label)):
                met = [step for step, loss in zip(run.steps, run.loss, strict=True) if loss <= level]
                assert evidence.tiers[tier][0, k, seed] == min(met, default=math.inf)
            hits[tier, label] = int(np.isfinite(evidence.tiers[tier][:, k]).sum())
    figure = heights(evidence)
    for k, line in enumerate(figure["data"]):
        assert line["x"] == ["easy", "middle", "hard"]
        assert line["y"] == pytest.approx([run_scores(x)[k] for x in evidence.tiers.values()], rel=1e-3)
    heads, rows = by_level(evidence)
    assert heads == ["optimizer", *(f"{tier}: {x}" for tier in ("easy", "middle", "hard") for x in ("score", "hit"))]
    for row in rows:
        assert (row[2][0], row[6][0]) == tuple(f"{hits[tier, row[0][0]]}/6" for tier in ("easy", "hard"))


def test_on_one_problem_the_table_has_steps_and_the_outcome_both_other_levels():
    study = compare(["sgd", "adam"], "quadratic", seeds=3, trials=3, steps=300, jobs=1)
    evidence = Evidence(study)
    found = outcome(study)
    _, rows = by_level(evidence)
    for row, one in zip(rows, found["optimizers"], strict=True):
        k = study.optimizers.index(one["optimizer"])
        easy, middle, hard = (float(np.median(times[0, k])) for times in evidence.tiers.values())
        assert (one["easy"], one["steps"]["estimate"], one["hard"]) == (easy, middle, hard)
        assert [row[1][1], row[3][1], row[5][1]] == [easy, middle, hard]


def test_the_verdict_says_who_is_first_at_the_other_levels():
    """Adam is the quicker one to an easy target, and never comes to the others: by hand, of made-up runs."""

    losses = {"sgd:lr=0.1": [1.0, 0.5, 0.3, 0.08, 0.008], "adam:lr=0.1": [1.0, 0.2, 0.19, 0.19, 0.19]}
    made = compare(["sgd:lr=0.1", "adam:lr=0.1"], "quadratic", seeds=3, trials=1, steps=40, jobs=1)
    runs = [replace(run, steps=[0, 10, 20, 30, 40], loss=losses[run.optimizer]) for run in made.runs]
    goals = {"quadratic": replace(made.goal("quadratic"), easy=0.4, level=0.1, hard=0.01)}
    study = replace(made, runs=runs, spec=replace(made.spec, goals=goals))
    said = verdict(Evidence(study))
    assert len(said) == 4
    easy, hard = "at the easy one adam:lr=0.1 is first", "at the hard one sgd:lr=0.1 is first"
    assert said[2] == f"Of three levels of the target that is the middle one: {easy}, {hard}."
    goals = {"quadratic": replace(goals["quadratic"], hard=0.001)}
    said = verdict(Evidence(replace(study, spec=replace(made.spec, goals=goals))))
    assert said[2].endswith("at the hard one nobody reaches it with the median seed.")
