"""The problems: gradients, splits, known optima, and that a seed settles a task."""

from itertools import islice

import numpy as np
import pytest
from scipy.optimize import minimize

import gradstep as gs
from gradstep.compare.problems import PROBLEMS, find_problem
from gradstep.compare.problems.data import load, split_by_index
from gradstep.compare.problems.problem import minibatches
from gradstep.errors import GradstepValueError
from gradstep.tree import flatten

NAMES = [*PROBLEMS, "quadratic:condition=1000"]


@pytest.mark.parametrize("name", NAMES)
def test_two_tasks_of_one_seed_are_equal(name):
    one, two = (find_problem(name).begin(3) for _ in range(2))
    for a, b in zip(flatten(one.params)[1], flatten(two.params)[1], strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.shares_memory(a, b)
    for a, b in zip(islice(one.batches, 40), islice(two.batches, 40), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.evaluate("test") == two.evaluate("test")


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_starts_elsewhere(name):
    one, two = (find_problem(name).begin(seed) for seed in (0, 1))
    starts = zip(flatten(one.params)[1], flatten(two.params)[1], strict=True)
    assert any((a != b).any() for a, b in starts)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_point_downhill_at_the_rate_they_tell(name):
    task = find_problem(name).begin(0)
    batch = next(task.batches)
    loss, grads = task.value_and_grad(batch)
    nest, leaves = flatten(task.params)
    slopes = nest.leaves(grads, "gradients")
    squares = sum(float(np.sum(np.square(g, dtype=np.float64))) for g in slopes)
    # Central difference along the gradient; float32 losses carry 1e-7, and curvature enters by the step's square.
    step = (1e-2 if leaves[0].dtype == np.float32 else 1e-5) / np.sqrt(squares)
    values = []
    for sign in (1, -2):
        for x, g in zip(leaves, slopes, strict=True):
            x += (sign * step * g).astype(x.dtype)
        values.append(task.value_and_grad(batch)[0])
    slope = (values[0] - values[1]) / (2 * step)
    assert slope == pytest.approx(squares, rel=2e-3 if leaves[0].dtype == np.float32 else 1e-6)
    assert np.isfinite(loss)


@pytest.mark.parametrize("name", NAMES)
def test_the_listing_tells_the_size(name):
    problem = find_problem(name)
    count = sum(x.size for x in flatten(problem.begin(0).params)[1])
    assert f"{count} parameters" in problem.size


@pytest.mark.parametrize("name", ["breast-cancer", "diabetes"])
def test_the_target_is_one_percent_above_the_optimum(name):
    task = find_problem(name).begin(0)
    w, b = task.params["w"], task.params["b"]

    def function(v):
        w[:], b[:] = v[:-1], v[-1:]
        loss, grads = task.value_and_grad(None)
        return loss, np.concatenate([grads["w"], grads["b"]])

    optimum = minimize(function, np.zeros(w.size + 1), jac=True, method="BFGS", options={"gtol": 1e-8}).fun
    assert find_problem(name).target.level == pytest.approx(1.01 * optimum, rel=1e-3)


def test_the_condition_number_is_the_one_given():
    task = find_problem("quadratic:condition=1000").begin(0)
    x = task.params["x"]
    matrix = np.empty((x.size, x.size))
    for i in range(x.size):
        x[:] = np.eye(x.size)[i]
        matrix[i] = task.value_and_grad(None)[1]["x"]
    np.testing.assert_allclose(np.linalg.cond(matrix), 1000, rtol=1e-9)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-15)


def test_the_valley_ends_at_one_one():
    task = find_problem("rosenbrock").begin(0)
    task.params["x"][:] = 1.0
    loss, grads = task.value_and_grad(None)
    assert loss == 0.0
    assert not grads["x"].any()


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "diabetes"])
def test_splits_share_no_example_and_keep_the_classes(name):
    data = load(name)
    sizes = {split: len(data[split][0]) for split in ("train", "validation", "test")}
    total = sum(sizes.values())
    assert total == {"digits": 1797, "breast_cancer": 569, "diabetes": 442}[name]
    assert sizes["train"] == pytest.approx(0.6 * total, abs=10)
    assert sizes["test"] == pytest.approx(0.2 * total, abs=10)
    if name != "diabetes":
        shares = [np.bincount(y) / len(y) for y in (data[split][1] for split in sizes)]
        np.testing.assert_allclose(shares[1:], [shares[0]] * 2, atol=0.01)


def test_the_split_goes_by_place_within_the_class():
    strata = np.array([0, 1, 0, 0, 0, 1, 0, 0])
    expected = ["train", "train", "train", "train", "validation", "train", "test", "train"]
    assert split_by_index(strata).tolist() == expected


def test_data_are_standardised_by_the_training_part_and_read_only():
    x, y = load("diabetes")["train"]
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-12)
    assert y.std() == pytest.approx(1)
    pixels, _ = load("digits")["train"]
    assert (pixels.mean(), pixels.std()) == (pytest.approx(0, abs=1e-13), pytest.approx(1))
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0] = 1.0


def test_an_epoch_has_each_example_once():
    batches = list(islice(minibatches(10, 3, seed=0), 6))
    for epoch in (batches[:3], batches[3:]):
        seen = np.concatenate(epoch)
        assert len(set(seen.tolist())) == 9
    assert not np.array_equal(np.concatenate(batches[:3]), np.concatenate(batches[3:]))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("digit-mlp", "unknown problem 'digit-mlp'; did you mean digits-mlp"),
        ("rosenbrock:a=1", "rosenbrock has no options"),
        ("quadratic:conditio=3", "did you mean condition"),
        ("quadratic:condition=0.5", "condition must be in 1 to 1e12, not 0.5"),
        ("quadratic:condition=inf", "not inf"),
        ("quadratic:condition=nan", "not nan"),
        ("diabetes,rosenbrock", "names 2 problems"),
    ],
)
def test_wrong_names_are_told(name, says):
    with pytest.raises(GradstepValueError, match=says):
        find_problem(name)


@pytest.mark.parametrize(
    ("name", "rule", "lr", "accuracy"), [("digits-mlp", "sgd", 0.3, 0.95), ("digits-conv", "sgd", 0.3, 0.97)]
)
def test_the_networks_learn(name, rule, lr, accuracy):
    problem = find_problem(name)
    task = problem.begin(0)
    optimizer = gs.Optimizer(task.params, rule, lr=lr)
    for _ in range(problem.steps):
        optimizer.step(task.value_and_grad(next(task.batches))[1])
    assert task.evaluate("test")["accuracy"] >= accuracy
