"""The error of each way to store: the problem, the arithmetic, and what must be better than what."""

import numpy as np
import pytest

from gradstep.bench import storage_errors as module
from gradstep.bench.storage_errors import MASTER, VARIANTS, make_problem, storage_errors
from gradstep.bench.work import Work

ml_dtypes = pytest.importorskip("ml_dtypes")


def test_the_problem_begins_where_bfloat16_can_and_depends_on_its_seed():
    problem = make_problem(3)
    np.testing.assert_array_equal(problem.start.astype(ml_dtypes.bfloat16).astype("f8"), problem.start)
    assert np.unique(problem.start).size > 500
    assert problem.curvature.min() < 2e-3
    assert problem.curvature.max() > 0.5
    np.testing.assert_array_equal(make_problem(3).target, problem.target)
    assert (make_problem(4).target != problem.target).all()


def test_the_gradient_by_hand():
    problem = module.Problem(np.array([2.0, 0.5]), np.array([1.0, -1.0]), np.zeros(2))
    assert list(problem.gradient(np.array([1.5, 0.0], "f4"), np.array([1.0, -2.0]))) == pytest.approx([1.6, 0.2])


def test_distance_over_path_by_hand():
    end, path = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 0.5, 4.0])
    found = module._error("x", np.array([1.5, 2.0, 2.5, 4.0], "f4"), end, path, 12.0)
    assert (found.largest, found.rms) == (1.0, pytest.approx(np.sqrt((0.25 + 1) / 4)))


@pytest.fixture(scope="module")
def errors():
    return {error.variant: error for error in storage_errors(Work(), steps=500)}


def test_everyone_is_there_once(errors):
    assert [name for name in errors if "masters themselves" not in name] == list(VARIANTS)
    assert len(errors) == len(VARIANTS) + 1
    assert all(0 < error.rms <= error.largest for error in errors.values())


def test_what_must_be_better_than_what(errors):
    rms = {name: error.rms for name, error in errors.items()}
    nearest, stochastic = rms["bfloat16 parameters, to the nearest"], rms["bfloat16 parameters, stochastic"]
    assert rms["float32"] < rms["  the masters themselves"] < rms[MASTER] < stochastic < nearest
    assert rms["float32"] < rms["bfloat16 state"] < rms["8-bit state"]
    assert rms["float32"] < 1e-5
    # Steps of 1e-3 are less than half of a bfloat16's step above 0.25: rounded to the nearest, most stand still.
    assert nearest > 0.5


def test_bytes_of_parameters_and_state(errors):
    assert errors[MASTER].bytes_per_parameter == 2 + 12
    assert errors["bfloat16 state"].bytes_per_parameter == 4 + 4
    assert errors["8-bit state"].bytes_per_parameter == 4 + 2 * (1 + 4 / 256)


def test_the_seed_decides(errors):
    again = {error.variant: error for error in storage_errors(Work(), steps=500)}
    assert again == errors
    assert storage_errors(Work(seed=1), steps=20) != storage_errors(Work(seed=2), steps=20)


def test_a_rule_without_state_and_the_chain_work_too():
    assert {error.variant for error in storage_errors(Work("sgd", chain=True), steps=5)} >= set(VARIANTS)
