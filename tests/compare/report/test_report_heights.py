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
from gradstep.compare.show.report.heights import HEIGHTS, at_height, heights, times_at


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
    study = compare(["sgd", "adam"], ["quadratic", "diabetes"], seeds=3, trials=3, steps=120, jobs=1)
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
