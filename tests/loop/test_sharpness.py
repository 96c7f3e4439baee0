"""Sharpness-aware objectives beside the formulas of their papers, written out."""

import math

import numpy as np
import pytest

import gradstep as gs
from support import bits


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
