"""Defects that copies of these rules have had elsewhere: each shown in a few lines of NumPy, and not to be ours."""

import math

import numpy as np
import pytest

import gradstep as gs
from papers import adam as exact_adam


def pasted_adam(w, g, m, v, t, dtype, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam as it is pasted, its powers in ``dtype`` like its arrays; None: as NumPy has it."""
    number = (lambda x: x) if dtype is None else np.dtype(dtype).type
    rest1, rest2 = number(1 - beta1), number(1 - beta2)
    lr, beta1, beta2, eps, one = map(number, (lr, beta1, beta2, eps, 1))
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * g * g
    rate = lr * np.sqrt(one - beta2**t) / (one - beta1**t)
    return w - rate * m / (np.sqrt(v) + eps), m, v


def slots(opt):
    """The state of an optimizer's only array."""
    (own,) = opt.state.values()
    return own


def test_float32_weights_stay_float32():
    w, zero, g = np.ones(3, np.float32), np.zeros(3, np.float32), np.full(3, 0.5, np.float32)
    assert pasted_adam(w, g, zero, zero, 1, None)[0].dtype == np.float64, "np.sqrt of a number gives a float64 scalar"
    for name in ("sgd", "momentum", "adagrad", "rmsprop", "adadelta", "adam", "adamax", "nadam", "radam"):
        stage = getattr(gs, name)()
        after, state = gs.update(stage, w, g, gs.init(stage, w))
        assert after.dtype == np.float32, name
        assert all(x.dtype == np.float32 for own in state.slots.values() for x in own.values()), name


@pytest.mark.parametrize(("beta2", "t"), [(0.999, 1), (0.9999, 1), (0.99999, 3)])
def test_bias_corrections_are_not_taken_in_float32(beta2, t):
    """1 - beta2^t cancels; what is exact is the oracle at 80 digits."""
    hyper = {"lr": 0.1, "beta1": 0.9, "beta2": beta2, "eps": 1e-8}
    g = [0.5] * t
    exact = float(list(exact_adam.trajectory(0.0, g, **hyper))[-1])
    w, m, v = (np.zeros(1, np.float32) for _ in range(3))
    mine = np.zeros(1, np.float32)
    opt = gs.Optimizer(mine, "adam", **hyper)
    for k, x in enumerate(np.array(g, np.float32), 1):
        w, m, v = pasted_adam(w, x, m, v, np.float32(k), np.float32, **hyper)
        opt.step(np.array([x]))
    wrong, right = (abs(float(x[0]) / exact - 1) for x in (w, mine))
    assert wrong > 5e-6
    assert right < 3e-7


def test_eps_is_not_lost_in_float16():
    w, zero = np.ones(2, np.float16), np.zeros(2, np.float16)
    assert np.float16(1e-8) == 0
    with np.errstate(invalid="ignore"):
        assert np.isnan(pasted_adam(w, zero, zero, zero, 1, np.float16)[0]).all(), "0/0 of a zero gradient"
    for name in ("adam", "rmsprop", "adagrad"):
        mine = w.copy()
        opt = gs.Optimizer(mine, name)
        opt.step(zero)
        assert (mine == w).all()
        assert slots(opt)[f"{name}.{'s' if name == 'adagrad' else 'v'}"].dtype == np.float32


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan, 1e30])
@pytest.mark.parametrize("name", ["adam", "rmsprop", "adagrad", "momentum", "adamax"])
def test_one_bad_gradient_does_not_stay_in_the_averages(name, bad):
    grads = [np.array([0.5, -0.25], np.float32) * (1 + k) for k in range(4)]
    v = zero = np.zeros(2, np.float32)
    with np.errstate(all="ignore"):
        for g in (grads[0], np.array([bad, 0.5], np.float32), *[zero] * 100):
            v = pasted_adam(zero, g, zero, v, 1, np.float32)[2]
    assert not v[0] < 1e3, "an average of squares forgets no infinity, and 1e30 in float32 is one"
    mine, clean = np.ones(2, np.float32), np.ones(2, np.float32)
    skips, without = gs.Optimizer(mine, name, on_nonfinite="skip"), gs.Optimizer(clean, name)
    for k, g in enumerate(grads):
        if k == 2 and (name not in ("momentum", "adamax") or abs(bad) != 1e30):  # these two form no squares
            before = mine.copy()
            with pytest.raises(gs.NonFiniteError):
                gs.Optimizer(mine, name).step(np.array([bad, 0.5], np.float32))
            assert (mine == before).all()
            skips.step(np.array([bad, 0.5], np.float32))
        skips.step(g)
        without.step(g)
    assert mine.tobytes() == clean.tobytes()
    assert all(slots(skips)[key].tobytes() == slots(without)[key].tobytes() for key in slots(without))


def test_the_correction_depends_on_the_step():
    """Copies that correct by ``sqrt(1 - beta2) / (1 - beta1)`` at every step go twice as far at the tenth."""
    w, g = np.zeros(1), np.ones(1)
    opt, steps = gs.Optimizer(w, "adam", lr=1.0, eps=1e-12), []
    for _ in range(1000):
        before = w.item()
        opt.step(g)
        steps.append(before - w.item())
    np.testing.assert_allclose(steps, 1.0, rtol=1e-11)
    m = v = 0.0
    for _ in range(10):
        m, v = 0.9 * m + 0.1, 0.999 * v + 0.001
    assert math.sqrt(0.001) / 0.1 * m / math.sqrt(v) == pytest.approx(2.06, abs=0.01)


def test_adamax_takes_its_maximum_element_by_element():
    """A copy that takes one maximum of all elements moves the small ones too little."""
    w = np.zeros(2)
    gs.Optimizer(w, "adamax", lr=0.1).step(np.array([1.0, 1e-6]))
    np.testing.assert_allclose(w, -0.1, rtol=1e-12)
