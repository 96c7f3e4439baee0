"""The oracles against values worked out by hand (the numbers are chosen so that every root is rational) and theory."""

from fractions import Fraction as F
from importlib import import_module
from itertools import pairwise

import pytest
from mpmath import mp, mpf, sign, sqrt

from . import (
    adagrad,
    adagrad_decaying,
    adagrad_inside,
    adagrad_without_eps,
    adam,
    adam_eps_hat,
    adam_eps_root,
    adam_uncorrected,
    adamax,
    adamax_eps_inside,
    adamax_eps_outside,
    adamax_uncorrected,
    adamw,
    amsgrad,
    amsgrad_corrected,
    amsgrad_eps_hat,
    amsgrad_optax,
    amsgrad_optax_mean,
    amsgrad_optax_square,
    amsgrad_optax_uncorrected,
    lamb,
    momentum,
    nadam,
    nadam_optax,
    nadam_torch,
    nesterov,
    radam,
    radam_optax,
    radam_optax_nesterov,
    radam_torch,
    rmsprop,
    sgd,
    stages,
    unfolded_momentum,
    unfolded_nesterov,
)
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
    # b = 3/4 * 3 = 9/4;  b = 9/16 - 1/2 * 4 = -23/16
    "unfolded_momentum": (
        [3, -4],
        {"lr": 0.5, "momentum": 0.25, "dampening": 0.5, "first_dampening": 0.25},
        [F(-1, 8), F(19, 32)],
    ),
    # b = 3: step 1/2 * (3 + 3/4);  b = 3/4 - 4 = -13/4: step 1/2 * (-4 - 13/16)
    "unfolded_nesterov": ([3, -4], {"lr": 0.5, "momentum": 0.25}, [F(-7, 8), F(49, 32)]),
    # s = 3, then 5, 13; lr 1/2, then 1/4: steps 1/2 * 4/(5 + 1) = 1/3,  1/4 * 12/(13 + 1) = 3/14
    "adagrad_decaying": (
        [4, 12],
        {"lr": 0.5, "eps": 1, "initial_accumulator": 9, "lr_decay": 1},
        [F(2, 3), F(19, 42)],
    ),
    # s = 7 + 9 = 16, 16 + 9 = 25: steps 1/2 * 3/4,  -1/2 * 3/5
    "adagrad_without_eps": ([3, -3], {"lr": 0.5, "initial_accumulator": 7}, [F(5, 8), F(37, 40)]),
    # s + eps = 2 + 1 + 1 = 4, 4 + 9/4 = 25/4: steps 1/2 * 1/2,  -1/2 * (3/2)/(5/2) = -3/10
    "adagrad_inside": ([1, -1.5], {"lr": 0.5, "eps": 1, "initial_accumulator": 2}, [F(3, 4), F(21, 20)]),
    # beta2 = 24/25: 1 - beta2 = (1/5)^2, 1 - beta2^2 = (7/25)^2.  v = 25/25 = 1,  24/25 + 1/25 = 1;  m = 5/2, 3/4
    # alpha = 1/2 * (1/5)/(1/2) = 1/5: step 1/5 * (5/2)/(5/4) = 2/5
    # alpha = 1/2 * (7/25)/(3/4) = 14/75: step 14/75 * (3/4)/(5/4) = 14/125
    "adam_eps_hat": (
        [5, -1],
        {"lr": 0.5, "beta1": 0.5, "beta2": F(24, 25), "eps": 0.25},
        [F(3, 5), F(61, 125)],
    ),
    # v = 4, 3 + 1 = 4;  m = 3/4 * 4 = 3, 3/4 - 3/2 = -3/4: steps 1/2 * 3/(5/2) = 3/5,  -1/2 * (3/4)/(5/2) = -3/20
    "adam_uncorrected": ([4, -2], {"lr": 0.5, "beta1": 0.25, "beta2": 0.75, "eps": 0.5}, [F(2, 5), F(11, 20)]),
    # vhat + eps_root = 16 + 9 = 25, (3/4 * 4 + 1/16)/(7/16) + 9 = 16;  mhat = 4, (2/2 - 1/4)/(3/4) = 1
    # steps 1/2 * 4/(5 + 1) = 1/3,  1/2 * 1/(4 + 1) = 1/10
    "adam_eps_root": (
        [4, -0.5],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 1, "eps_root": 9},
        [F(2, 3), F(17, 30)],
    ),
    # v = 1, then 24/25 < vmax = 1: corrected roots 5, 25/7;  mhat = 5, 5/3: steps 1/2 * 5/6,  1/2 * (5/3)/(32/7)
    "amsgrad_corrected": (
        [5, 0],
        {"lr": 0.5, "beta1": 0.5, "beta2": F(24, 25), "eps": 1},
        [F(7, 12), F(77, 192)],
    ),
    # v and vmax as before, alpha as in adam_eps_hat: steps 1/5 * (5/2)/(1 + 1) = 1/4,  14/75 * (5/4)/2 = 7/60
    "amsgrad_eps_hat": (
        [5, 0],
        {"lr": 0.5, "beta1": 0.5, "beta2": F(24, 25), "eps": 1},
        [F(3, 4), F(19, 30)],
    ),
    # vhat and mhat as in adam_eps_root: 16, then 7 < vmax = 16: steps 1/2 * 4/(5 + 1) = 1/3,  1/2 * 1/(5 + 1) = 1/12
    "amsgrad_optax": (
        [4, -0.5],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 1, "eps_root": 9},
        [F(2, 3), F(7, 12)],
    ),
    # v = 64/4 = 16, then 12 + 1 < vmax = 16: root 5;  mhat = 8, (4/2 - 1)/(3/4) = 4/3
    # steps 1/2 * 8/(5 + 1) = 2/3,  1/2 * (4/3)/6 = 1/9
    "amsgrad_optax_mean": (
        [8, -2],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 1, "eps_root": 9},
        [F(1, 3), F(2, 9)],
    ),
    # vmax as in amsgrad_optax, root 5;  m = 2, 3/4: steps 1/2 * 2/(5 + 1) = 1/6,  1/2 * (3/4)/6 = 1/16
    "amsgrad_optax_square": (
        [4, -0.5],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 1, "eps_root": 9},
        [F(5, 6), F(37, 48)],
    ),
    # vmax as in amsgrad_optax_mean, root 5;  m = 4, 1: steps 1/2 * 4/(5 + 1) = 1/3,  1/2 * 1/6
    "amsgrad_optax_uncorrected": (
        [8, -2],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 1, "eps_root": 9},
        [F(2, 3), F(7, 12)],
    ),
    # Adamax' m, corrected: 2, (1/2 - 1/4)/(3/4) = 1/3.  u = 5/2, max(5/4, 1) = 5/4: steps 1/2 * 4/5,  1/2 * 4/15
    "adamax_eps_inside": ([2, -0.5], {"lr": 0.5, "beta1": 0.5, "beta2": 0.5, "eps": 0.5}, [F(3, 5), F(7, 15)]),
    # u + eps = 2 + 1/2, max(1, 1/2) + 1/2: steps 1/2 * 4/5,  1/2 * (1/3)/(3/2) = 1/9
    "adamax_eps_outside": ([2, -0.5], {"lr": 0.5, "beta1": 0.5, "beta2": 0.5, "eps": 0.5}, [F(3, 5), F(22, 45)]),
    # m = 1, 1/4 and the same denominators: steps 1/2 * 2/5,  1/2 * (1/4)/(3/2) = 1/12
    "adamax_uncorrected": ([2, -0.5], {"lr": 0.5, "beta1": 0.5, "beta2": 0.5, "eps": 0.5}, [F(4, 5), F(43, 60)]),
    # roots as in adam_eps_root, m = 2, 3/4.  mhat = 1/2 * 2/(3/4) + 1/2 * 4/(1/2) = 16/3: step 1/2 * (16/3)/6 = 4/9
    # mhat = 1/2 * (3/4)/(7/8) - 1/2 * (1/2)/(3/4) = 3/7 - 1/3 = 2/21: step 1/2 * (2/21)/5 = 1/105
    "nadam_optax": (
        [4, -0.5],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 1, "eps_root": 9},
        [F(5, 9), F(172, 315)],
    ),
    # mu and the roots as in nadam, m = 2/2 = 1, 1/2 - 5/2 = -2: steps half of
    # (1/4 * 1 * 16/15 + 2) / (9/4) = 34/15 * 4/9,  (-1/4 * 2 * 64/63 - 15/4 * 16/15) / (17/4) = -284/63 * 4/17
    "nadam_torch": (
        [2, -5],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.25, "momentum_decay": 0},
        [F(67, 135), F(67, 135) + F(568, 1071)],
    ),
    # not yet rectified, as radam
    "radam_torch": ([2, -5], {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.25}, [F(0), F(4, 3)]),
    "radam_optax": (
        [2, -5],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.25, "eps_root": 5, "threshold": 4},
        [F(0), F(4, 3)],
    ),
    # m = 1, -2: mhat = 1/2 * 1/(3/4) + 1/2 * 2/(1/2) = 8/3,  -1/2 * 2/(7/8) - 1/2 * 5/(3/4) = -94/21: half of it
    "radam_optax_nesterov": (
        [2, -5],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.25, "eps_root": 5, "threshold": 4},
        [F(-1, 3), F(40, 21)],
    ),
}


RULES = list(BY_HAND)


def test_lamb_by_hand():
    # r = 1 and r + x/2 = 2 in all four: norms 4 and 4, a step of 1/2 * 2;  then 1 + 1/2: norms 2 and 3, 1/2 * 2/3 * 3/2
    hyper = {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0, "weight_decay": 0.5}
    for x, expected in zip(lamb.trajectory([2.0] * 4, [[2.0, 4.0, 8.0, 16.0]] * 2, **hyper), (1, F(1, 2)), strict=True):
        assert_same(x, [expected] * 4)
    # r = 1/(1 + 1), and r + x/4 = 1: norms 4 and 2, a step of 1/4 * 2
    (x,) = lamb.trajectory([2.0] * 4, [[1.0] * 4], **{**hyper, "lr": 0.25, "eps": 1, "weight_decay": 0.25})
    assert_same(x, [F(3, 2)] * 4)


def test_lamb_without_a_norm_is_adamw():
    """Where theta or the step is zero, the quotient is one; and theta itself has no say in Adam's own part."""
    (x,) = lamb.trajectory([0.0, 0.0], [[3.0, -1.0]], weight_decay=0.3)
    assert_same(x, [adamw.trajectory(0.0, [g], lr=1e-3, eps=1e-6, weight_decay=0.0)[0] for g in (3.0, -1.0)])
    assert_same(lamb.trajectory([2.0, -1.0], [[0.0, 0.0]], weight_decay=0.0)[0], [2, -1])


def test_lamb_steps_by_the_norm_of_the_array():
    thetas, gradients = [0.5, -1.5, 3.0], [[0.1, -2.0, 0.0], [1.0, 1.0, -1.0]]
    before = [mpf(x) for x in thetas]
    for after in lamb.trajectory(thetas, gradients, lr=0.125):
        moved = stages.norm([a - b for a, b in zip(after, before, strict=True)])
        assert_same([moved], [0.125 * stages.norm(before)])
        before = after
    doubled = lamb.trajectory([2 * x for x in thetas], gradients, lr=0.125, weight_decay=0.0)
    for a, b in zip(doubled, lamb.trajectory(thetas, gradients, lr=0.125, weight_decay=0.0), strict=True):
        assert_same(a, [2 * x for x in b])


@pytest.mark.parametrize("name", RULES)
def test_first_steps_by_hand(name):
    gradients, hyper, expected = BY_HAND[name]
    assert_same(oracle(name).trajectory(1.0, gradients, **hyper), expected)


def test_adagrad_without_eps_stands_still_until_the_first_gradient():
    # 0/0, then s = 9, 25: steps 1/2 * 3/3,  -1/2 * 4/5
    actual = adagrad_without_eps.trajectory(1.0, [0, 3, -4], lr=0.5, initial_accumulator=0)
    assert_same(actual, [1, F(1, 2), F(9, 10)])


def test_nadam_schedule_by_hand():
    # mu_1 = 1/2 (1 - 0.48), mu_2 = 1/2 (1 - 0.4608); mhat = mu_2 (1 - mu_1) g / (1 - mu_1 mu_2) + g
    mu1, mu2 = F(26, 100), F(2696, 10000)
    # torch: m = g/2
    for rule, mean in ((nadam, 1 - mu1), (nadam_torch, F(1, 2))):
        factor = 1 + mu2 * mean / (1 - mu1 * mu2)
        actual = rule.trajectory(1.0, [2], lr=0.5, beta1=0.5, beta2=0.75, eps=0.25, momentum_decay=1)
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


def test_radams_of_the_libraries_turn_adaptive():
    # beta2 = 3/4: rho_7 = 7 - 14 * 2187/14197 = 4.84, rho_8 = 7 - 16 * 6561/58975 = 307849/58975 = 5.22; mhat = g
    hyper = {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.25}
    rho = mpf(307849) / 58975
    r, c = sqrt((rho - 4) * (rho - 2) * 7 / (3 * 5 * rho)), sqrt(mpf(58975) / 65536)
    plain = [0, -1, -2, -3, -4, -5, -6]
    assert_same(radam_torch.trajectory(1.0, [2] * 8, **hyper), [*plain, -6 - r * c / (2 * c + 0.25)])
    assert_same(radam_optax.trajectory(1.0, [2] * 8, eps_root=5, **hyper), [*plain, -6 - r * 4 / 13])
    # nesterov: half of (1 - 1/2^t)/(1 - 1/2^(t+1)) + 1/(1 - 1/2^t) in the place of 1
    factors = [mpf(2**t - 1) / (2 ** (t + 1) - 1) + mpf(2 ** (t - 1)) / (2**t - 1) for t in range(1, 9)]
    plain = [1 - sum(factors[:t]) for t in range(1, 8)]
    last = plain[-1] - r * 4 / 13 * factors[-1]
    assert_same(radam_optax_nesterov.trajectory(1.0, [2] * 8, eps_root=5, **hyper), [*plain, last])
    # with the defaults rho_5 = 4.996 and rho_6 = 5.994: step 6 is the first that shrinks
    for rule in (radam_torch, radam_optax):
        path = [mpf(0), *rule.trajectory(0.0, [100.0] * 6)]
        steps = [before - after for before, after in pairwise(path)]
        assert_same(steps[:5], [mpf(1e-3) * 100] * 5)
        assert 0 < steps[5] < mpf(1e-3)


def test_radams_threshold_counts_as_reached():
    # rho_1 = 7 - 6 = 1 exactly, r = sqrt(3 * 7 / (3 * 5)), and the root of vhat + eps_root is 3
    for rule, half_mean in ((radam_optax, 1), (radam_optax_nesterov, mpf(4) / 3)):
        actual = rule.trajectory(1.0, [2], lr=0.5, beta1=0.5, beta2=0.75, eps=0.25, eps_root=5, threshold=1)
        assert_same(actual, [1 - sqrt(mpf(7) / 5) * half_mean * 4 / 13])


def test_momentum_from_a_full_buffer_and_from_zeros():
    # torch: b = 3, 3/4 - 2;  MLX: b = 3/2, 3/8 - 2
    hyper = {"lr": 0.5, "momentum": 0.25, "dampening": 0.5}
    assert_same(unfolded_momentum.trajectory(1.0, [3, -4], **hyper), [F(-1, 2), F(1, 8)])
    assert_same(unfolded_momentum.trajectory(1.0, [3, -4], first_dampening=0.5, **hyper), [F(1, 4), F(17, 16)])


@pytest.mark.parametrize("name", RULES)
def test_zero_gradients_give_zero_steps(name):
    shrink = 1 - mpf(1e-3) * mpf(1e-2) if name == "adamw" else 1
    assert_same(oracle(name).trajectory(3.0, [0.0] * 4), [3 * shrink**t for t in (1, 2, 3, 4)])


@pytest.mark.parametrize("name", RULES)
def test_odd_and_causal(name):
    path = oracle(name).trajectory(0.7, GRADIENTS)
    assert oracle(name).trajectory(-0.7, [-g for g in GRADIENTS]) == [-theta for theta in path]
    assert oracle(name).trajectory(0.7, GRADIENTS[:3]) == path[:3]


# the powers of the gradient's unit; the steps of the rules without an epsilon, and of a plain step, keep the unit
UNITS = {"eps": 1, "eps_root": 2, "initial_accumulator": 2}
WITH_UNIT = {"sgd", "momentum", "nesterov", "unfolded_momentum", "unfolded_nesterov", "adadelta"}
WITH_UNIT |= {"radam", "radam_torch", "radam_optax", "radam_optax_nesterov"}


@pytest.mark.parametrize("name", [name for name in RULES if name not in WITH_UNIT])
def test_what_is_added_to_the_gradients_has_their_unit(name):
    units = {**UNITS, "eps": 2} if name == "adagrad_inside" else UNITS
    hyper = {key: 0.5 for key in units if key in oracle(name).DEFAULTS}
    scaled = {key: value * 32 ** units[key] for key, value in hyper.items()}
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


def test_the_forms_of_the_libraries_meet():
    def same(one, two, **hyper):
        assert_same(one.trajectory(0.7, GRADIENTS, lr=0.1, **hyper), two.trajectory(0.7, GRADIENTS, lr=0.1, **hyper))

    same(unfolded_momentum, momentum)  # for a constant lr
    same(unfolded_nesterov, nesterov)
    same(adagrad_decaying, adagrad)
    same(adagrad_inside, adagrad_decaying, eps=0, initial_accumulator=0.3)
    assert_same(
        adagrad_without_eps.trajectory(0.7, GRADIENTS, lr=0.1, initial_accumulator=0.3),
        adagrad_inside.trajectory(0.7, GRADIENTS, lr=0.1, eps=0, initial_accumulator=0.3),
    )
    same(adam_eps_root, adam)
    same(adam_eps_hat, adam, eps=0)
    same(adam_uncorrected, adam, eps=0.5, beta1=0, beta2=0)
    same(amsgrad_eps_hat, amsgrad_corrected, eps=0)
    same(amsgrad_optax, amsgrad_corrected, beta2=0)
    same(amsgrad_optax_mean, amsgrad_optax, beta2=0)
    same(amsgrad_optax_square, amsgrad_optax, beta1=0)
    same(amsgrad_optax_uncorrected, amsgrad_optax_mean, beta1=0)
    same(amsgrad_optax_uncorrected, amsgrad_optax_square, beta2=0)
    assert_same(
        amsgrad_optax_uncorrected.trajectory(0.7, GRADIENTS, lr=0.1, eps=0),
        amsgrad.trajectory(0.7, GRADIENTS, lr=0.1),
    )
    rising = sorted(GRADIENTS, key=abs)  # the newest mean of squares is the largest
    for rule in (amsgrad_corrected, amsgrad_optax):
        assert_same(rule.trajectory(0.7, rising), adam.trajectory(0.7, rising))
    same(adamax_eps_outside, adamax_eps_inside, eps=0)
    same(adamax_eps_outside, adamax_uncorrected, eps=0.5, beta1=0)
    for rule in (adamax_eps_inside, adamax_eps_outside):
        assert_same(rule.trajectory(0.7, GRADIENTS, lr=0.1, eps=0), adamax.trajectory(0.7, GRADIENTS, lr=0.1))
    same(nadam_optax, adam, beta1=0, eps=0.5)
    assert_same(
        nadam_optax.trajectory(0.7, GRADIENTS, lr=0.1, beta1=0.25),
        nadam.trajectory(0.7, GRADIENTS, lr=0.1, beta1=0.5, momentum_decay=0),  # mu_t = beta1 / 2
    )
    same(nadam_torch, nadam, beta1=0, eps=0.5)
    assert_same(
        nadam_torch.trajectory(0.7, GRADIENTS, lr=0.1, momentum_decay=1e6),  # mu_t = beta1
        nadam_optax.trajectory(0.7, GRADIENTS, lr=0.1),
    )
    same(radam_optax_nesterov, radam_optax, beta1=0)
    same(radam_optax, radam_torch, eps=0)
    assert_same(radam_optax.trajectory(0.7, GRADIENTS, threshold=4), radam.trajectory(0.7, GRADIENTS))


def test_steps_under_a_constant_gradient():
    times, g, lr, eps = range(1, 31), mpf(-3), mpf(0.1), mpf(0.5)
    b1, b2, mu = mpf(0.9), mpf(0.999), mpf(0.9)

    def steps(rule, **hyper):
        path = [mpf(1), *rule.trajectory(1.0, [-3.0] * len(times), lr=0.1, **hyper)]
        return [before - after for before, after in pairwise(path)]

    assert_same(steps(momentum), [lr * g * (1 - mu**t) / (1 - mu) for t in times])
    assert_same(steps(nesterov), [lr * g * (1 - mu ** (t + 1)) / (1 - mu) for t in times])
    assert_same(steps(adagrad, eps=0.5), [lr * g / (sqrt(t) * abs(g) + eps) for t in times])
    assert_same(
        steps(adagrad_decaying, eps=0.5, initial_accumulator=2, lr_decay=0.25),
        [lr / (1 + (t - 1) * 0.25) * g / (sqrt(9 * t + 2) + eps) for t in times],
    )
    assert_same(steps(adagrad_without_eps, initial_accumulator=2), [lr * g / sqrt(9 * t + 2) for t in times])
    assert_same(steps(rmsprop, eps=0.5), [lr * g / (sqrt(1 - b1**t) * abs(g) + eps) for t in times])
    assert_same(steps(adam, eps=0.5), [lr * g / (abs(g) + eps)] * 30)
    assert_same(steps(adamax), [lr * sign(g)] * 30)
    assert_same(steps(amsgrad), [lr * sign(g) * (1 - b1**t) / sqrt(1 - b2**t) for t in times])
    assert_same(steps(unfolded_momentum, dampening=mu), [lr * g] * 30)
    assert_same(steps(adagrad_inside, eps=0.5, initial_accumulator=2), [lr * g / sqrt(9 * t + 2.5) for t in times])
    for rule in (adam_eps_root, amsgrad_corrected, amsgrad_optax):
        assert_same(steps(rule, eps=0.5), [lr * g / (abs(g) + eps)] * 30)
    for rule in (adam_eps_hat, amsgrad_eps_hat):
        assert_same(steps(rule, eps=0.5), [lr * g / (abs(g) + eps / sqrt(1 - b2**t)) for t in times])
    assert_same(
        steps(adam_uncorrected, eps=0.5), [lr * g * (1 - b1**t) / (sqrt(1 - b2**t) * abs(g) + eps) for t in times]
    )
    assert_same(steps(amsgrad_optax_mean, eps=0.5), [lr * g / (sqrt(1 - b2**t) * abs(g) + eps) for t in times])
    assert_same(steps(amsgrad_optax_square, eps=0.5), [lr * g * (1 - b1**t) / (abs(g) + eps) for t in times])
    assert_same(
        steps(amsgrad_optax_uncorrected, eps=0.5),
        [lr * g * (1 - b1**t) / (sqrt(1 - b2**t) * abs(g) + eps) for t in times],
    )
    for rule in (adamax_eps_inside, adamax_eps_outside):
        assert_same(steps(rule, eps=0.5), [lr * g / (abs(g) + eps)] * 30)
    assert_same(steps(adamax_uncorrected, eps=0.5), [lr * g * (1 - b1**t) / (abs(g) + eps) for t in times])
    assert_same(
        steps(nadam_optax, eps=0.5),
        [lr * g * (1 - b1 + b1 * (1 - b1**t) ** 2 / (1 - b1 ** (t + 1))) / (1 - b1**t) / (abs(g) + eps) for t in times],
    )


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


def test_average_from_the_first_update():
    assert stages.ema_after_first([2.0, -1.0, 4.0], 0.75) == [2, 1.25, 1.9375]  # 3/2 - 1/4;  15/16 + 1
    assert stages.ema_after_first([2.0, -1.0, 4.0], 0.75)[1:] == stages.ema(2.0, [-1.0, 4.0], 0.75)


def test_scaling_by_rms():
    # v = 4, 3 + 1 = 4;  from v_0 = 16: 12 + 4
    assert_same(stages.scale_by_rms([4.0, -2.0], 0.75, 0.5), [F(8, 5), F(-4, 5)])
    assert_same(stages.scale_by_rms([4.0], 0.75, 1.0, 16.0), [F(4, 5)])
    assert_same(stages.scale_by_rms_inside([4.0, -2.0], 0.75, 5.0), [F(4, 3), F(-2, 3)])
    assert_same(stages.scale_by_rms_inside([4.0], 0.75, 9.0, 16.0), [F(4, 5)])
    # corrected: v = 4, 7/(7/16) = 16;  16, 49/16/(7/16) = 7;  from v_0 = 12: (9 + 4)/(1/4) = 52
    assert_same(stages.scale_by_rms_corrected([2.0, -5.0], 0.75, 0.5), [F(4, 5), F(-10, 9)])
    assert_same(stages.scale_by_rms_inside_corrected([4.0, -0.5], 0.75, 9.0), [F(4, 5), F(-1, 8)])
    assert_same(stages.scale_by_rms_inside_corrected([4.0], 0.75, 12.0, 12.0), [F(1, 2)])
    assert_same(stages.scale_by_rms_corrected([8.0], 0.75, 2.0, 12.0), [F(4, 6)])


def test_scaling_by_centered_rms():
    # v = 8, 17/2;  a = 2, 5/2: variances 4, 9/4
    assert_same(stages.scale_by_centered_rms([4.0, 3.0], 0.5, 0.5), [F(8, 5), F(3, 2)])
    assert_same(stages.scale_by_centered_rms_inside([4.0, 3.0], 0.5, 9.140625), [F(32, 29), F(8, 9)])
    # corrected: v = 1, 145/5, a = 1, 25/5: variances 0, 4
    assert_same(stages.scale_by_centered_rms_corrected([1.0, 6.0], 0.25, 0.5), [2, F(12, 5)])
    assert_same(stages.scale_by_centered_rms_inside_corrected([1.0, 6.0], 0.25, 2.25), [F(2, 3), F(12, 5)])
    # from v_0 = 10: 5 + 8 - 4 = 9;  corrected 26 - 16 = 10
    assert_same(stages.scale_by_centered_rms([4.0], 0.5, 1.0, 10.0), [1])
    assert_same(stages.scale_by_centered_rms_inside_corrected([4.0], 0.5, 6.0, 10.0), [1])


def test_scalings_are_rmsprop_and_adam():
    lr, rho, eps = 0.1, 0.9, 0.5

    def path(scaled):
        theta, thetas = mpf(0.7), []
        for g in scaled:
            theta -= mpf(lr) * g
            thetas.append(theta)
        return thetas

    assert_same(
        path(stages.scale_by_rms(GRADIENTS, rho, eps)), rmsprop.trajectory(0.7, GRADIENTS, lr=lr, rho=rho, eps=eps)
    )
    assert_same(
        path(stages.scale_by_rms_corrected(GRADIENTS, rho, eps)),
        adam.trajectory(0.7, GRADIENTS, lr=lr, beta1=0, beta2=rho, eps=eps),
    )
    assert_same(
        path(stages.scale_by_rms_inside_corrected(GRADIENTS, rho, eps)),
        adam_eps_root.trajectory(0.7, GRADIENTS, lr=lr, beta1=0, beta2=rho, eps=0, eps_root=eps),
    )


def test_gradients_that_stay_the_same_have_no_variance():
    # uncorrected, v - a^2 = g^2 c (1 - c) with c = 1 - rho^t
    spread = [sqrt(mpf(0.9) ** t * (1 - mpf(0.9) ** t)) * 3 for t in range(1, 31)]
    same = [-3.0] * 30
    assert_same(stages.scale_by_centered_rms(same, 0.9, 0.5), [-3 / (s + 0.5) for s in spread])
    assert_same(stages.scale_by_centered_rms_inside(same, 0.9, 0.5), [-3 / sqrt(s**2 + 0.5) for s in spread])
    # corrected: what 80 digits leave of zero, its root with 40
    for scaled in (
        stages.scale_by_centered_rms_corrected(same, 0.9, 0.25),
        stages.scale_by_centered_rms_inside_corrected(same, 0.9, 0.0625),
    ):
        assert all(abs(x + 12) < mpf(10) ** -35 for x in scaled)
