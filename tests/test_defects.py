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


def test_a_first_gradient_of_zeros_is_no_end():
    """Copies of Prodigy and D-Adaptation divide 0 by 0 there, and everything is NaN from then on."""
    with np.errstate(invalid="ignore"):
        assert np.isnan(np.float64(0.0) / np.abs(np.zeros(3)).sum())
    for name in ("prodigy", "dadapt_adam", "dadapt_sgd", "dog", "dowg"):
        w = np.array([1.0, -2.0, 0.5])
        opt = gs.Optimizer(w, name)
        opt.step(np.zeros(3))
        assert (w == [1.0, -2.0, 0.5]).all()
        for _ in range(200):
            opt.step(w.copy())
        assert np.isfinite(w).all(), name
        assert np.abs(w).sum() < 3.5, name


def test_caution_masks_by_the_gradient():
    """The authors' c_adamw.py multiplies the average by itself, whose sign is never against it: nothing is masked."""
    m, g = np.array([1.0, -1.0]), np.array([1.0, 1.0])
    assert (m * m > 0).all()
    assert (m * g > 0).tolist() == [True, False]
    w, plain = np.zeros(2), np.zeros(2)
    cautious = gs.Optimizer(w, gs.chain(gs.adam(lr=0.1), gs.cautious()))
    adam = gs.Optimizer(plain, "adam", lr=0.1)
    for own in (np.array([5.0, -5.0]), np.array([1.0, 1.0])):  # the second average is (1.1, -0.8) times a number
        before = w.copy()
        cautious.step(own)
        adam.step(own)
    assert plain[1] > 0.1, "Adam goes on as its average says"
    assert w[1] == before[1]
    assert w[0] < before[0]


def test_rprop_compares_signs_and_not_products():
    """A product of two small gradients underflows, and reads as no gradient: the size stays, as in torch's."""
    tiny = np.float32(1e-30)
    assert tiny * tiny == 0
    w = np.zeros(1, np.float32)
    opt = gs.Optimizer(w, "rprop", lr=0.1)
    for _ in range(3):
        opt.step(np.array([tiny]))
    np.testing.assert_allclose(w, -0.1 * (1 + 1.2 + 1.2**2), rtol=1e-6)


def test_schedule_free_without_momentum_is_a_number():
    """x recovered from y and z, (y - (1 - beta1) z) / beta1, is 0/0 where beta1 is zero."""
    for name in ("schedule_free_sgd", "schedule_free_adamw"):
        w = np.array([1.0, -2.0])
        opt = gs.Optimizer(w, name, lr=0.1, beta1=0.0)
        for _ in range(3):
            opt.step(w.copy())
        assert np.isfinite(w).all()
        assert np.isfinite(opt.averaged()).all()


def test_a_gradient_written_in_place_is_not_its_own_predecessor():
    """A copy that keeps the last gradient by reference sees no difference between it and the next one."""
    kept, buffer = None, np.zeros(1)
    differences = []
    for g in (1.0, 3.0):
        buffer[:] = g
        differences.append(0.0 if kept is None else (buffer - kept).item())
        kept = buffer
    assert differences == [0.0, 0.0]
    one, two = np.zeros(1), np.zeros(1)
    apart, reused = gs.Optimizer(one, "adan", lr=0.1), gs.Optimizer(two, "adan", lr=0.1)
    for g in (1.0, 3.0, -2.0):
        apart.step(np.array([g]))
        buffer[:] = g
        reused.step(buffer)
    assert one == two
