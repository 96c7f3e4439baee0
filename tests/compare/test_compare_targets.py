"""Frozen targets: the file fits the problems, and says how each level came about."""

import math
import statistics

import numpy as np
import pytest
from problem_cases import problem
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

import gradstep as gs
from gradstep.compare.problems import FULL, PROBLEMS, QUICK, find_problem, linear
from gradstep.compare.problems.data import load
from gradstep.compare.problems.problem import Target
from gradstep.compare.problems.targets import frozen, records

GAIN = {"accuracy": 1, "loss": -1}


def test_what_is_frozen_is_real_data_and_a_formula_has_its_own_level():
    assert set(records()) < set(FULL)
    for name, make in PROBLEMS.items():
        target = make().target
        assert target is None or math.isfinite(target.level), name
        assert name not in records() or not make().exact


@pytest.mark.parametrize("name", records())
def test_a_record_fits_its_problem(name):
    made, record = PROBLEMS[name](), records()[name]
    assert made.target == Target(record["metric"], record["level"], record["split"])
    assert record["steps"] == made.steps
    assert record["source"].partition(" of Python")[0] == made.source.partition(" of Python")[0]
    assert record["command"].split()[-1] == name
    assert set(record["baselines"]) == {"nesterov", "adamw", "nadam"}
    assert record["seconds"] > 0
    assert {"gradstep", "Python", "NumPy"} < set(record["versions"])


@pytest.mark.parametrize("name", records())
def test_the_level_is_the_median_of_the_best_baseline_rounded(name):
    record = records()[name]
    gain = GAIN[record["metric"]]
    medians = {rule: statistics.median(own["reached"]) for rule, own in record["baselines"].items()}
    for rule, own in record["baselines"].items():
        assert own["reached"][own["median_seed"]] == medians[rule]
        assert len(own["reached"]) == 5
    best = medians[record["baseline"]]
    assert gain * best == max(gain * x for x in medians.values())
    level = record["level"]
    assert gain * level <= gain * best  # not harder to reach
    assert abs(level - best) < 10.0 ** (math.floor(math.log10(best)) + 1 - record["digits"])
    assert float(f"{level:.{record['digits']}g}") == level
    assert record["digits"] == (2 if name == "pydoc-chars" else 3)


@pytest.mark.parametrize("name", [name for name in FULL if name in QUICK])
def test_the_baseline_reaches_the_target_on_its_median_seed(name):
    found, record = problem(name), records()[name]
    own = record["baselines"][record["baseline"]]
    task = found.begin(own["median_seed"])
    optimizer = gs.Optimizer(task.params, record["baseline"], lr=own["lr"])
    values = []
    with threadpool_limits(1):
        for step in range(found.steps + 1):
            if step % found.every == 0:
                values.append(task.evaluate(found.target.split)[record["metric"]])
            optimizer.step(task.value_and_grad(next(task.batches))[1])
    assert any(map(found.target.met, values))
    assert not found.target.met(values[0])


@pytest.mark.parametrize(
    ("name", "data", "loss"),
    [
        ("breast-cancer", "breast_cancer", linear.logistic),
        ("fair", "fair", linear.logistic),
        ("diabetes", "diabetes", linear.squared),
        ("randhie", "randhie", linear.poisson),
    ],
)
def test_a_convex_target_lies_within_one_percent_above_the_optimum(name, data, loss):
    level = problem(name).target.level
    x, y = load(data)["train"]

    def function(v):
        value, by_z = loss(x @ v[:-1] + v[-1], y)
        value += linear.L2 / 2 * v[:-1] @ v[:-1]
        return value, np.append(x.T @ by_z + linear.L2 * v[:-1], by_z.sum())

    optimum = minimize(function, np.zeros(x.shape[1] + 1), jac=True, method="BFGS", options={"gtol": 1e-8}).fun
    assert optimum < level < 1.01 * optimum


def test_a_problem_without_a_frozen_target_is_never_solved():
    target = frozen("no-such-problem", "loss", "train")
    assert not target.met(-math.inf)
    assert not target.met(math.nan)


def test_a_network_generalises():
    found = find_problem("digits-conv")
    task = found.begin(0)
    optimizer = gs.Optimizer(task.params, "sgd", lr=0.3)
    for _ in range(found.steps):
        optimizer.step(task.value_and_grad(next(task.batches))[1])
    assert task.evaluate("test")["accuracy"] >= 0.97
