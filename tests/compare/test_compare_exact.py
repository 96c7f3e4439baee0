"""Problems that are formulas: what is known of them is so."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize, rosen

from gradstep.compare.problems import PROBLEMS, find_problem

EXACT = [name for name, make in PROBLEMS.items() if make().exact]


def value_at(name, x):
    task = find_problem(name).begin(0)
    task.params["x"][:] = x
    loss, grads = task.value_and_grad(None)
    np.testing.assert_equal(task.evaluate("train"), {"loss": loss})
    np.testing.assert_equal(task.evaluate("test"), {"loss": loss})
    return loss, grads["x"]


def hessian(name, x, h=1e-5):
    x = np.array(x, float)
    rows = [(value_at(name, x + h * e)[1] - value_at(name, x - h * e)[1]) / (2 * h) for e in np.eye(len(x))]
    return np.array(rows)


MINIMA = {"rosenbrock": [1, 1], "beale": [3, 0.5], "quadratic": np.zeros(20), "rastrigin": [0, 0]}


@pytest.mark.parametrize("name", MINIMA)
def test_the_minimum_is_zero_where_it_is_known(name):
    loss, grad = value_at(name, MINIMA[name])
    assert loss == 0.0
    assert not grad.any()
    assert np.linalg.eigvalsh(hessian(name, MINIMA[name])).min() > 0


def test_the_logistic_optimum_is_zero_and_there_is_no_lower_value():
    start = find_problem("logistic").begin(0).params["x"]
    found = minimize(lambda x: value_at("logistic", x), start, jac=True, method="BFGS", options={"gtol": 1e-10})
    assert 0 <= found.fun < 1e-15
    assert math.isnan(value_at("logistic", np.full(20, np.nan))[0])  # and not 0, which would be solved
    assert np.linalg.eigvalsh(hessian("logistic", found.x)).min() > 1e-4


def test_values_are_those_of_the_papers():
    assert value_at("rosenbrock", [-1.2, 1])[0] == pytest.approx(24.2)  # Moré, Garbow and Hillstrom 1981, problem 1
    assert value_at("beale", [1, 1])[0] == pytest.approx(14.203125)  # the same, problem 5
    rng = np.random.default_rng(1)
    for x in rng.uniform(-3, 3, (5, 2)):
        assert value_at("rosenbrock", x)[0] == pytest.approx(rosen(x))
        a, b = x
        terms = [c - a * (1 - b**k) for k, c in enumerate((1.5, 2.25, 2.625), 1)]
        assert value_at("beale", x)[0] == pytest.approx(sum(t * t for t in terms))
        written = 20 + sum(t * t - 10 * np.cos(2 * np.pi * t) for t in x)
        assert value_at("rastrigin", x)[0] == pytest.approx(written)


@pytest.mark.parametrize("dimension", [1, 2])
def test_rastrigins_target_is_what_the_nearest_dents_have_on_average(dimension):
    name = f"rastrigin:dimension={dimension}"
    dents = [value_at(name, k)[0] for k in itertools.product(range(-2, 3), repeat=dimension)]
    assert np.mean(dents) == find_problem(name).target.level
    starts = [find_problem(name).begin(seed).params["x"] for seed in range(50)]
    assert 2.3 < np.abs(starts).max() <= 2.5


def test_the_condition_number_is_the_one_given():
    task = find_problem("quadratic:condition=1000").begin(0)
    x = task.params["x"]
    matrix = np.empty((x.size, x.size))
    for i in range(x.size):
        x[:] = np.eye(x.size)[i]
        matrix[i] = task.value_and_grad(None)[1]["x"]
    np.testing.assert_allclose(np.linalg.cond(matrix), 1000, rtol=1e-9)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-15)


@pytest.mark.parametrize("name", EXACT)
def test_no_start_is_solved_already(name):
    found = find_problem(name)
    values = [found.begin(seed).evaluate("train")["loss"] for seed in range(10)]
    assert sum(map(found.target.met, values)) <= (1 if name == "rastrigin" else 0)
