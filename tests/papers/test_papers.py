"""The oracles against values worked out by hand (the numbers are chosen so that every root is rational) and theory."""

from fractions import Fraction as F
from importlib import import_module
from itertools import pairwise

import pytest
from mpmath import mp, mpf, sign, sqrt

from . import adagrad, adam, adamax, adamw, amsgrad, momentum, nadam, nesterov, radam, rmsprop, sgd, stages
from .exact import DIGITS

GRADIENTS = [0.3, -1.7, 0.0, 2.5, -0.01, 40.0, 0.6]


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(DIGITS):
        yield


def oracle(name):
    return import_module(f".{name}", __package__)


def assert_same(actual, expected):
    """Equal but for the rounding of a few dozen operations at 80 digits."""
    expected = [mpf(x.numerator) / x.denominator if isinstance(x, F) else mpf(x) for x in expected]
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert abs(a - e) <= mpf(10) ** (8 - DIGITS) * max(1, abs(e)), f"{mp.nstr(a, 20)} is not {mp.nstr(e, 20)}"


# All start at theta = 1.
BY_HAND = {
    # 1 - 1/2 * 3;  -1/2 + 1/2 * 4
    "sgd": ([3, -4], {"lr": 0.5}, [F(-1, 2), F(3, 2)]),
    # v = -3/2;  v = -3/8 + 2 = 13/8
    "momentum": ([3, -4], {"lr": 0.5, "momentum": 0.25}, [F(-1, 2), F(9, 8)]),
    # the same v, shown at phi + v/4: phi = -1/2, 9/8
    "nesterov": ([3, -4], {"lr": 0.5, "momentum": 0.25}, [F(-7, 8), F(49, 32)]),
    # s = 3, 5: steps 1/2 * 3/(3 + 1) = 3/8,  1/2 * 4/(5 + 1) = 1/3
    "adagrad": ([3, 4], {"lr": 0.5, "eps": 1}, [F(5, 8), F(7, 24)]),
    # mean square 16/4 = 4,  3/4 * 4 + 4/4 = 4: steps 1/2 * 4/(2 + 1/2) = 4/5,  -1/2 * 2/(5/2) = -2/5
    "rmsprop": ([4, -2], {"lr": 0.5, "rho": 0.75, "eps": 0.5}, [F(1, 5), F(3, 5)]),
    # E[g^2] = 3/8 * 64 = 24: dx = -8 * 1/5;  E[dx^2] = 3/8 * 64/25 = 24/25, RMS 7/5;
    # E[g^2] = 15 + 384 = 399, RMS 20: dx = 32 * 7/100 = 56/25;  half of each dx is taken
    "adadelta": ([8, -32], {"lr": 0.5, "rho": 0.625, "eps": 1}, [F(1, 5), F(33, 25)]),
    # mhat = 2, vhat = 4: step 1/2 * 2/(9/4) = 4/9
    # mhat = (2/2 - 5)/(3/2) = -8/3, vhat = (3/4 * 4 + 25)/(7/4) = 16: step -1/2 * 8/3 / (17/4) = -16/51
    "adam": ([2, -5], {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.25}, [F(5, 9), F(133, 153)]),
    # Adam's steps, and 1/2 * 1/2 of theta_{t-1} less: 3/4 - 4/9,  3/4 * 11/36 + 16/51
    "adamw": (
        [2, -5],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.25, "weight_decay": 0.5},
        [F(11, 36), F(443, 816)],
    ),
    # m = 1, u = 2: step 1 * 1/2;  m = 1/2 - 1/4, u = max(1, 1/2) = 1: step 2/3 * 1/4 = 1/6
    "adamax": ([2, -0.5], {"lr": 0.5, "beta1": 0.5, "beta2": 0.5}, [F(1, 2), F(1, 3)]),
    # v = 4: step 1/2 * 2/2;  v = 3, vhat stays 4: step 1/2 * 1/2;  v = 9/4 + 4 = 25/4: step 1/2 * (5/2)/(5/2)
    "amsgrad": ([4, 0, 4], {"lr": 0.5, "beta1": 0.5, "beta2": 0.75}, [F(1, 2), F(1, 4), F(-1, 4)]),
    # mu = 1/2 * 1/2 = 1/4 throughout, roots of nhat as Adam's: 2 and 4.  m = 3/2, mhat = 3/8 * 16/15 + 2 = 12/5:
    # step 1/2 * 12/5 / (9/4) = 8/15;  m = 3/8 - 15/4 = -27/8, mhat = -27/32 * 64/63 - 15/4 * 16/15 = -34/7: step -4/7
    "nadam": (
        [2, -5],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.25, "momentum_decay": 0},
        [F(7, 15), F(109, 105)],
    ),
    # rho_1 = 7 - 6 = 1, rho_2 = 7 - 36/7 = 13/7: steps 1/2 * mhat, with Adam's mhat = 2, -8/3
    "radam": ([2, -5], {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.25}, [F(0), F(4, 3)]),
}


RULES = list(BY_HAND)


@pytest.mark.parametrize("name", RULES)
def test_first_steps_by_hand(name):
    gradients, hyper, expected = BY_HAND[name]
    assert_same(oracle(name).trajectory(1.0, gradients, **hyper), expected)


def test_nadam_schedule_by_hand():
    # mu_1 = 1/2 (1 - 0.48), mu_2 = 1/2 (1 - 0.4608); mhat = mu_2 (1 - mu_1) g / (1 - mu_1 mu_2) + g
    mu1, mu2 = F(26, 100), F(2696, 10000)
    factor = 1 + mu2 * (1 - mu1) / (1 - mu1 * mu2)
    actual = nadam.trajectory(1.0, [2], lr=0.5, beta1=0.5, beta2=0.75, eps=0.25, momentum_decay=1)
    assert_same(actual, [1 - factor * F(4, 9)])


def test_radam_turns_adaptive():
    # beta2 = 3/4: rho_5 = 7 - 10 * 243/781 = 3.89, rho_6 = 7 - 12 * 729/3367 = 14821/3367 = 4.40; mhat = g, vhat = g^2
    rho = mpf(14821) / 3367
    r = sqrt((rho - 4) * (rho - 2) * 7 / (3 * 5 * rho))
    actual = radam.trajectory(1.0, [2] * 6, lr=0.5, beta1=0.5, beta2=0.75, eps=0.25)
    assert_same(actual, [0, -1, -2, -3, -4, -4 - r * 4 / 9])
    # with the defaults rho_4 = 3.997 and rho_5 = 4.996: step 5 is the first that shrinks
    path = [mpf(0), *radam.trajectory(0.0, [100.0] * 5)]
    steps = [before - after for before, after in pairwise(path)]
    assert_same(steps[:4], [mpf(1e-3) * 100] * 4)
    assert 0 < steps[4] < mpf(1e-3)


@pytest.mark.parametrize("name", RULES)
def test_zero_gradients_give_zero_steps(name):
    shrink = 1 - mpf(1e-3) * mpf(1e-2) if name == "adamw" else 1
    assert_same(oracle(name).trajectory(3.0, [0.0] * 4), [3 * shrink**t for t in (1, 2, 3, 4)])


@pytest.mark.parametrize("name", RULES)
def test_odd_and_causal(name):
    path = oracle(name).trajectory(0.7, GRADIENTS)
    assert oracle(name).trajectory(-0.7, [-g for g in GRADIENTS]) == [-theta for theta in path]
    assert oracle(name).trajectory(0.7, GRADIENTS[:3]) == path[:3]


@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "adam", "adamw", "adamax", "amsgrad", "nadam"])
def test_eps_has_the_unit_of_the_gradient(name):
    hyper, scaled = ({"eps": 0.5}, {"eps": 16.0}) if "eps" in oracle(name).DEFAULTS else ({}, {})
    path = oracle(name).trajectory(0.7, GRADIENTS, **hyper)
    assert oracle(name).trajectory(0.7, [32 * g for g in GRADIENTS], **scaled) == path


def test_doubles_are_taken_exactly_at_a_precision_of_their_own():
    with mp.workprec(53):
        (theta,) = sgd.trajectory(0.1, [0.1], lr=0.1)
        assert mp.prec == 53
    assert theta == mpf(0.1) - mpf(0.1) ** 2 != mpf("0.09")


def test_unknown_hyperparameter_is_refused():
    with pytest.raises(TypeError, match="beta3"):
        adam.trajectory(0.0, [1.0], beta3=0.5)


def test_nesterov_is_bengios_one_variable_form():
    lr, mu, theta, v, path = mpf(1e-2), mpf(0.9), mpf(0.7), mpf(0), []
    for g in GRADIENTS:
        theta, v = theta + mu * mu * v - (1 + mu) * lr * mpf(g), mu * v - lr * mpf(g)
        path.append(theta)
    assert_same(nesterov.trajectory(0.7, GRADIENTS), path)


def test_momentum_is_polyaks_two_point_form():
    alpha, beta, path = mpf(1e-2), mpf(0.9), [mpf(0.7), mpf(0.7)]
    for g in GRADIENTS:
        path.append(path[-1] - alpha * mpf(g) + beta * (path[-1] - path[-2]))
    assert_same(momentum.trajectory(0.7, GRADIENTS), path[2:])


def test_special_cases_meet():
    plain = sgd.trajectory(0.7, GRADIENTS, lr=0.1)
    assert_same(momentum.trajectory(0.7, GRADIENTS, lr=0.1, momentum=0), plain)
    assert_same(nesterov.trajectory(0.7, GRADIENTS, lr=0.1, momentum=0), plain)
    # beta2 = 1/2: rho_inf = 3, the variance is never tractable
    assert_same(radam.trajectory(0.7, GRADIENTS, lr=0.1, beta1=0, beta2=0.5), plain)
    assert_same(adamw.trajectory(0.7, GRADIENTS, weight_decay=0), adam.trajectory(0.7, GRADIENTS))
    no_memory = {"lr": 0.1, "eps": 0.5}
    assert_same(
        nadam.trajectory(0.7, GRADIENTS, beta1=0, **no_memory), adam.trajectory(0.7, GRADIENTS, beta1=0, **no_memory)
    )
    assert_same(
        rmsprop.trajectory(0.7, GRADIENTS, rho=0, **no_memory),
        adam.trajectory(0.7, GRADIENTS, beta1=0, beta2=0, **no_memory),
    )


def test_steps_under_a_constant_gradient():
    times, g, lr, eps = range(1, 31), mpf(-3), mpf(0.1), mpf(0.5)
    b1, b2, mu = mpf(0.9), mpf(0.999), mpf(0.9)

    def steps(rule, **hyper):
        path = [mpf(1), *rule.trajectory(1.0, [-3.0] * len(times), lr=0.1, **hyper)]
        return [before - after for before, after in pairwise(path)]

    assert_same(steps(momentum), [lr * g * (1 - mu**t) / (1 - mu) for t in times])
    assert_same(steps(nesterov), [lr * g * (1 - mu ** (t + 1)) / (1 - mu) for t in times])
    assert_same(steps(adagrad, eps=0.5), [lr * g / (sqrt(t) * abs(g) + eps) for t in times])
    assert_same(steps(rmsprop, eps=0.5), [lr * g / (sqrt(1 - b1**t) * abs(g) + eps) for t in times])
    assert_same(steps(adam, eps=0.5), [lr * g / (abs(g) + eps)] * 30)
    assert_same(steps(adamax), [lr * sign(g)] * 30)
    assert_same(steps(amsgrad), [lr * sign(g) * (1 - b1**t) / sqrt(1 - b2**t) for t in times])


def test_clipping():
    assert stages.clip_by_value([-3.0, 0.25, 2.0, 0.5], 0.5) == [-0.5, 0.25, 0.5, 0.5]
    tensors = [[3.0, -4.0], [0.0, 0.0], [0.0, 12.0]]
    small, zero, large = stages.clip_by_norm(tensors, 5.0)  # the norms: 5 (at the bound), 0, 12
    assert (small, zero) == ([3, -4], [0, 0])
    assert_same(large, [0, 5])
    assert stages.clip_by_global_norm(tensors, 13.0) == tensors  # 9 + 16 + 144 = 13^2
    first, _, last = stages.clip_by_global_norm(tensors, 6.5)
    assert_same([*first, *last], [F(3, 2), -2, 0, 6])


def test_decays_and_average():
    assert stages.l2([1.0, -2.0], [4.0, 8.0], 0.25) == [2, 0]
    assert stages.decay([4.0, -8.0], 0.5, 0.25) == [3.5, -7]
    assert stages.ema(1.0, [2.0, -1.0], 0.75) == [1.25, 0.6875]  # 3/4 + 2/4;  15/16 - 1/4
