"""Sharpness-aware objectives beside the formulas of their papers, written out."""

import math

import numpy as np
import pytest

import gradstep as gs
from support import bits, clear


def loss(params):
    """One that is no quadratic, so that the second gradient is another one everywhere."""
    w, b = params["w"], params["b"]
    value = float((w**4).sum() / 4 + (w * w).sum() * b)
    return value, {"w": w**3 + 2 * w * b, "b": np.asarray((w * w).sum())}


def start():
    return {"w": np.array([1.0, -2.0, 0.5]), "b": np.array(0.25)}


def test_sam_is_the_papers():
    params = start()
    value, grads = gs.sam(loss, rho=0.3)(params)
    first = loss(start())[1]
    norm = math.sqrt((first["w"] ** 2).sum() + first["b"] ** 2)
    wanted = loss({key: x + 0.3 * first[key] / (norm + 1e-12) for key, x in start().items()})[1]
    assert value == loss(start())[0]
    assert all(np.allclose(grads[key], x, rtol=1e-14) for key, x in wanted.items())
    assert all(bits(params[key]) == bits(x) for key, x in start().items())


def test_asam_is_the_papers():
    _, grads = gs.asam(loss, rho=0.3)(start())
    x, first = start(), loss(start())[1]
    norm = math.sqrt(sum(float((x[key] ** 2 * first[key] ** 2).sum()) for key in x))
    wanted = loss({key: x[key] + 0.3 * x[key] ** 2 * first[key] / (norm + 1e-12) for key in x})[1]
    assert all(np.allclose(grads[key], y, rtol=1e-14) for key, y in wanted.items())


def test_a_run_takes_it_with_batches_as_it_takes_the_objective():
    """Of (x - mean)^2 / 2 the gradient at the second point is rho longer."""
    data = np.array([[1.0], [3.0], [2.0], [8.0]])

    def fit(x, batch):
        return float(((x - batch.mean()) ** 2).sum() / 2), x - batch.mean()

    halves = [data[:2], data[2:]] * 3
    plain = [*gs.Run(fit, np.array([50.0]), "sgd", lr=0.1, batches=halves, max_steps=5)]
    moved = [*gs.Run(gs.sam(fit, rho=0.5), np.array([50.0]), "sgd", lr=0.1, batches=halves, max_steps=5)]
    x = y = 50.0
    assert len(plain) == len(moved) == 5
    for batch, step, other in zip(halves, plain, moved, strict=False):
        assert step.value == pytest.approx((x - batch.mean()) ** 2 / 2)
        assert other.value == pytest.approx((y - batch.mean()) ** 2 / 2)
        x -= 0.1 * (x - batch.mean())
        y -= 0.1 * (y - batch.mean() + 0.5)


def test_a_gradient_of_zero_moves_nothing():
    value, grads = gs.sam(lambda x: (0.0, np.zeros_like(x)))(np.ones(3))
    assert (value, grads.tolist()) == (0.0, [0.0, 0.0, 0.0])


@pytest.mark.parametrize("wrapper", [gs.sam, gs.asam])
@pytest.mark.parametrize("rho", [0.0, -1.0, math.inf, math.nan, "small"])
def test_a_wrong_rho_is_refused(wrapper, rho):
    with pytest.raises((gs.GradstepValueError, gs.GradstepTypeError), match="rho must"):
        wrapper(loss, rho=rho)


@pytest.mark.parametrize("wrapper", [gs.sam, gs.asam])
class TestWhatDoesNotFit:
    def test_no_function(self, wrapper):
        for wrong in (None, 3.0, "loss", (1.0, np.ones(2))):
            with pytest.raises(
                gs.GradstepTypeError, match=f"{wrapper.__name__}: objective must be a function"
            ) as error:
                wrapper(wrong)
            assert clear(error)

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            (1.0, "the objective of a?sam must give .value, gradients., not an object of type float"),
            ((1.0, None), "and gave None for the gradients"),
            ((1j, np.ones(3)), "must be one real number, not an object of type complex"),
            ((1.0, np.ones(4)), r"gradient 'params' has shape \(4,\), its parameter \(3,\)"),
            ((1.0, np.ones(3, np.float32)), "gradient 'params' has dtype float32, its parameter float64"),
            ((1.0, [1.0, 1.0, 1.0]), "gradient 'params' is of type list, not an array"),
            ((1.0, np.ma.ones(3)), "masked"),
            ((1.0, gs.rows([0], np.ones(1))), "a?sam needs whole gradients, and that of 'params' is gs.rows"),
        ],
        ids=["no pair", "None", "complex", "shape", "dtype", "list", "masked", "rows"],
    )
    def test_what_an_objective_may_not_give(self, wrapper, given, words):
        calls = []
        with pytest.raises((gs.GradstepTypeError, gs.GradstepValueError), match=words) as error:
            wrapper(lambda x: calls.append(x) or given)(np.ones(3))
        assert clear(error)
        assert len(calls) == 1

    @pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
    def test_a_norm_that_is_not_finite_is_left_to_the_step(self, wrapper, bad):
        calls = []
        _, g = wrapper(lambda x: calls.append(x) or (1.0, np.array([bad, 1.0])))(np.ones(2))
        assert len(calls) == 1
        assert np.array_equal(g, [bad, 1.0], equal_nan=True)


def test_what_is_frozen_stays_where_it_is():
    seen = []

    def embedded(params):
        seen.append(params["ids"].tolist())
        return float((params["w"] ** 2).sum()), {"w": 2 * params["w"]}

    params = {"w": np.array([3.0, 4.0]), "ids": np.array([5, 7])}
    run = gs.Run(gs.sam(embedded, rho=0.5), params, "sgd", lr=0.25, groups={"ids": "freeze"}, max_steps=1)
    list(run)
    assert seen[0] == [5, 7]
    assert run.params["ids"].tolist() == [5, 7]
    np.testing.assert_allclose(run.params["w"], [1.35, 1.8], rtol=1e-12)  # theta - lr 2 (theta + rho theta / 5)


def test_gradients_of_jax_for_parameters_of_numpy():
    jnp = pytest.importorskip("jax").numpy
    _, g = gs.sam(lambda x: (float(x @ x), 2.0 * jnp.asarray(x)), rho=0.5)(np.array([3.0, 4.0], np.float32))
    np.testing.assert_allclose(np.asarray(g), [6.6, 8.8], rtol=1e-6)


def test_an_array_without_axes_is_handed_on_as_one():
    seen = []
    gs.sam(lambda x: seen.append(x) or (1.0, np.array(2.0)), rho=0.5)(np.array(3.0))
    assert [type(x) for x in seen] == [np.ndarray] * 2
    assert seen[1] == pytest.approx(3.5)
