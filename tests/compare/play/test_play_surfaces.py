"""The surfaces: gradients beside differences, minima, and grids that say what single points say."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.compare.problems import formulas
from gradstep.compare.show.play.surfaces import SURFACES, choose
from gradstep.errors import GradstepValueError
from gradstep.text import Named, read_names

MINIMA = {
    "quadratic": [(0, 0)],
    "noisy": [(0, 0)],
    "rosenbrock": [(1, 1)],
    "beale": [(3, 0.5)],
    "rastrigin": [(0, 0)],
    "himmelblau": [(3, 2)],
    "saddle": [(0, 1), (0, -1)],
}


@pytest.mark.parametrize("name", SURFACES)
def test_gradients_are_derivatives(name):
    function = choose(Named(name)).function()
    low, high, bottom, top = SURFACES[name].box
    rng = np.random.default_rng(0)
    for _ in range(5):
        x = rng.uniform((low, bottom), (high, top))
        report = gs.check_gradient(lambda p: (float(function(p)[0]), function(p)[1]), x)
        assert report.ok, (x, report)


@pytest.mark.parametrize("name", SURFACES)
def test_the_least_value_is_where_it_is_said_to_be(name):
    chosen = choose(Named(name))
    for point in MINIMA[name]:
        value, grad = chosen.function()(np.array(point, float))
        assert value == pytest.approx(chosen.surface.least, abs=1e-12)
        assert np.abs(grad).max() < 1e-12
    assert chosen.heights(81)[2].min() >= chosen.surface.least


@pytest.mark.parametrize("name", SURFACES)
def test_a_grid_has_the_values_of_its_points(name):
    chosen = choose(Named(name))
    x, y, z = chosen.heights(5)
    for i in range(5):
        for j in range(5):
            assert z[j, i] == pytest.approx(chosen.function()(np.array([x[i], y[j]]))[0], rel=1e-12, abs=1e-12)


def test_curvatures_are_the_eigenvalues():
    chosen = choose(read_names("quadratic:condition=50,angle=73")[0])
    columns = [chosen.function()(unit)[1] for unit in np.eye(2)]
    assert np.linalg.eigvalsh(np.array(columns)) == pytest.approx(sorted(chosen.curvatures), rel=1e-12)


def test_a_quadratic_turns_by_its_angle():
    function = choose(read_names("quadratic:condition=4,angle=90")[0]).function()
    assert function(np.array([1.0, 0.0]))[0] == pytest.approx(1 / 8)
    assert function(np.array([0.0, 1.0]))[0] == pytest.approx(1 / 2)


def test_comparisons_use_the_same_formula():
    from gradstep.compare.problems import find_problem

    task = find_problem("rosenbrock").begin(3)
    value, grads = task.value_and_grad(None)
    expected, grad = formulas.rosenbrock(task.params["x"])
    assert (value, *grads["x"]) == (expected, *grad)
    assert task.evaluate("train") == {"loss": value}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("moon", "unknown surface"),
        ("quadratic:condition=0.5", "must be finite and >= 1"),
        ("quadratic:condition=nan", "must be finite"),
        ("quadratic:sharpness=2", "has no number 'sharpness'"),
        ("beale:condition=2", "beale takes no numbers"),
        ("noisy:seed=0.5", "must be a whole number"),
    ],
)
def test_what_does_not_fit_is_refused(text, said):
    with pytest.raises(GradstepValueError, match=said):
        choose(read_names(text)[0])
