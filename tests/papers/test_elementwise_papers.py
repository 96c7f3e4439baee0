"""The oracles of the elementwise rules after Adam's family, against values worked out by hand, and theory."""

from fractions import Fraction as F
from itertools import pairwise

import pytest
from mpmath import log, mp, mpf, sqrt

from . import (
    adam,
    adamax,
    adamaxw,
    ademamix,
    adopt,
    asgd,
    ftrl,
    laprop,
    madgrad,
    momentum,
    nadamw,
    rprop,
    schedule_free_adamw,
    schedule_free_sgd,
    sgd,
    sgdw,
    simplified_ademamix,
    yogi,
)
from .exact import DIGITS
from .test_papers import GRADIENTS, assert_same, oracle


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(DIGITS):
        yield


# All start at theta = 1.
BY_HAND = {
    # m = 1, 1/2 - 1/2, -2
    "signum": ([2, -1, -4], {"lr": 0.5, "beta1": 0.5}, [F(1, 2), F(1, 2), F(1)]),
    # v = 12 + 16/4 = 16, 16 (g^2 is v), 16 - (20/13)^2 = (48/13)^2;  m = 2, 3, 3/2 + 20/13 = 79/26
    # steps 1/2 * 2/(9/2),  1/2 * 3/(9/2),  1/2 * (79/26)/(109/26)
    "yogi": (
        [4, 4, F(40, 13)],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.5, "initial_accumulator": 12},
        [F(7, 9), F(4, 9), F(161, 1962)],
    ),
    # m = 2, s = 4/4 + 3 = 4, shat = 16, mhat = 4: step 1/2 * 4/5
    # m = 4, s = 3 + 4/4 + 3 = 7, shat = 16, mhat = 16/3: step 1/2 * (16/3)/5
    "adabelief": (
        [4, 6],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 1, "eps_root": 3},
        [F(3, 5), F(1, 15)],
    ),
    # mhat = 4, v = 0, nhat = 16: step 1/2 * 4/5
    # mhat = 5/(3/4), v = 2: 1/2 * 2/(3/4) more, n = 3 + 100/4 = 28, nhat = 64: step 1/2 * (20/3 + 4/3)/9
    "adan": (
        [4, 8],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.5, "beta3": 0.75, "eps": 1},
        [F(3, 5), F(7, 45)],
    ),
    # Adam's mhat = 2, -8/3 and roots 2, 4;  m2 = 1/2, 3/8 - 5/4 = -7/8
    # steps 1/2 * (2 + 1)/(9/4),  1/2 * (-8/3 - 7/4)/(17/4)
    "ademamix": (
        [2, -5],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "beta3": 0.75, "alpha": 2, "eps": 0.25},
        [F(1, 3), F(29, 34)],
    ),
    # m = 2, 1 - 5 = -4: steps 1/2 * (2 + 4)/(9/4),  1/2 * (-4 - 10)/(17/4)
    "simplified_ademamix": (
        [2, -5],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "alpha": 2, "eps": 0.25},
        [F(-1, 3), F(67, 51)],
    ),
    # v = 4;  n = 11/4, cut to 1: m = 1/2, v = 3 + 121/16 = (13/4)^2;  n = -4, cut to -2: m = 1/4 - 1
    "adopt": (
        [2, 5.5, -13],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.5, "clip_exponent": 1},
        [F(1), F(3, 4), F(9, 8)],
    ),
    # m = 1/2 * 2/(9/4) = 4/9,  2/9 - 1/2 * 5/(17/4) = -56/153: steps 1/2 * 8/9,  -1/2 * 56/153 / (3/4)
    "laprop": ([2, -5], {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.25}, [F(5, 9), F(367, 459)]),
    # m = 1, -2: mhat = (1/2 + 1)/(1/2) = 3,  (-1 - 5/2)/(3/4) = -14/3: 3/4 - 1/2 * 3/(9/4),  3/4 * 1/12 + 28/51
    "nadamw": (
        [2, -5],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.25, "weight_decay": 0.5},
        [F(1, 12), F(499, 816)],
    ),
    # m = 3/2, 3/8 - 2 = -13/8: 1 - 3/2 - 1/4,  -3/4 + 13/8 + 3/16
    "sgdw": ([3, -4], {"lr": 0.5, "momentum": 0.25, "weight_decay": 0.5}, [F(-3, 4), F(17, 16)]),
    # Adamax' steps 1/2 and 1/6: 3/4 - 1/2,  3/4 * 1/4 - 1/6
    "adamaxw": (
        [2, -0.5],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.5, "weight_decay": 0.5},
        [F(1, 4), F(1, 48)],
    ),
    # Delta = 1/2, 3/4, 1 (not 9/8), then 1/4 without a step, 1/4 after nothing, 1/4 (not 1/16) without a step
    "rprop": (
        [3, 2, 5, -1, -1, 4],
        {"lr": 0.5, "shrink": 0.25, "grow": 1.5, "least": 0.25, "most": 1},
        [F(1, 2), F(-1, 4), F(-5, 4), F(-5, 4), F(-1), F(-1)],
    ),
    # sigma = 6, z = 3 - 6 = -3, n = 9: (5/2)/(8 + 1);  sigma = 4, z = -3 - 4 - 20/18 = -73/9, n = 25: (137/18)/(12 + 1)
    "ftrl": ([3, -4], {"lr": 0.5, "beta": 1, "l1": 0.5, "l2": 1}, [F(5, 18), F(137, 234)]),
    # gamma = 1/4, c = 1: z = x = 1/2;  gamma = 1/2, c = 4/5: z = 5/2, x = 21/10
    "schedule_free_sgd": ([2, -4], {"lr": 0.5, "beta1": 0.5, "warmup": 2}, [F(1, 2), F(23, 10)]),
    # Adam's roots 2, 4: z = 1 - 1/4 * (8/9 + 1/2) = 47/72 = x;  z = 47/72 + 1/2 * (20/17 - 47/144) = 1759/1632
    "schedule_free_adamw": (
        [2, -5],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.25, "weight_decay": 0.5, "warmup": 2},
        [F(47, 72), (F(47, 72) / 5 + F(1759, 1632) * F(9, 5)) / 2],
    ),
    # eta = 1/2, 1/2 / (3/2) = 1/3, 1/2 / 2 = 1/4
    "asgd": ([1, -2, 4], {"lr": 0.5, "lambd": 1, "alpha": 1}, [F(0), F(2, 3), F(-1, 2)]),
    # lambda_0 = 1/2 + 1/2, s = 8, v = 64: z = 1 - 8/(9/2) = -7/9 stays
    "madgrad": ([8, 0, 0], {"lr": 0.5, "momentum": 0.5, "eps": 0.5}, [F(1, 9), F(-1, 3), F(-5, 9)]),
}
RULES = list(BY_HAND)
DECAYS = {"nadamw": 1e-3 * F(1e-2), "sgdw": F(1e-2) * F(1e-4), "adamaxw": F(2e-3) * F(1e-2)}


@pytest.mark.parametrize("name", RULES)
def test_first_steps_by_hand(name):
    gradients, hyper, expected = BY_HAND[name]
    assert_same(oracle(name).trajectory(1, gradients, **hyper), expected)


@pytest.mark.parametrize("name", [name for name in RULES if name not in {"asgd", "ftrl"}])
def test_zero_gradients_give_zero_steps(name):
    hyper = {key: oracle(name).DEFAULTS[key] for key in ("lr", "weight_decay") if name in DECAYS}
    shrink = 1 - mpf(hyper["lr"]) * mpf(hyper["weight_decay"]) if hyper else 1
    assert_same(oracle(name).trajectory(3.0, [0.0] * 4), [3 * shrink**t for t in (1, 2, 3, 4)])


@pytest.mark.parametrize("name", RULES)
def test_odd_and_causal(name):
    path = oracle(name).trajectory(0.7, GRADIENTS)
    assert oracle(name).trajectory(-0.7, [-g for g in GRADIENTS]) == [-theta for theta in path]
    assert oracle(name).trajectory(0.7, GRADIENTS[:3]) == path[:3]


# the powers of the gradient's unit
UNITS = {"eps": 1, "eps_root": 2, "initial_accumulator": 2, "beta": 1, "l1": 1, "l2": 1}
WITH_UNIT = {"sgdw", "schedule_free_sgd", "asgd", "madgrad"}


@pytest.mark.parametrize("name", [name for name in RULES if name not in WITH_UNIT])
def test_what_is_added_to_the_gradients_has_their_unit(name):
    hyper = {key: 0.5 for key in UNITS if key in oracle(name).DEFAULTS}
    scaled = {key: value * 32 ** UNITS[key] for key, value in hyper.items()}
    path = oracle(name).trajectory(0.7, GRADIENTS, **hyper)
    assert oracle(name).trajectory(0.7, [32 * g for g in GRADIENTS], **scaled) == path


def test_special_cases_meet():
    def same(one, two, ours, theirs):
        assert_same(one.trajectory(0.7, GRADIENTS, **ours), two.trajectory(0.7, GRADIENTS, **theirs))

    adams = {"lr": 0.1, "beta1": 0.8, "beta2": 0.9, "eps": 0.5}
    no_memory = {**adams, "beta1": 0}
    same(nadamw, adam, {**no_memory, "weight_decay": 0}, no_memory)
    same(laprop, adam, no_memory, no_memory)
    same(simplified_ademamix, adam, no_memory, no_memory)
    same(ademamix, adam, {**adams, "alpha": 0}, adams)
    same(schedule_free_adamw, adam, no_memory, no_memory)  # y is z
    same(schedule_free_sgd, sgd, {"lr": 0.1, "beta1": 0}, {"lr": 0.1})
    same(asgd, sgd, {"lr": 0.1, "lambd": 0}, {"lr": 0.1})
    same(sgdw, momentum, {"lr": 0.1, "momentum": 0.8, "weight_decay": 0}, {"lr": 0.1, "momentum": 0.8})
    same(adamaxw, adamax, {"lr": 0.1, "weight_decay": 0}, {"lr": 0.1})
    # without a bound and from zero, FTRL-Proximal is gradient descent with a rate of alpha / (beta + sqrt(n))
    path, theta, n = [], mpf(0), mpf(0)
    for g in GRADIENTS:
        before, n = n, n + mpf(g) ** 2
        kept = (1 + sqrt(before)) / (1 + sqrt(n)) + (sqrt(n) - sqrt(before)) / (1 + sqrt(n))
        theta = kept * theta - mpf(0.5) * mpf(g) / (1 + sqrt(n))
        path.append(theta)
    assert_same(ftrl.trajectory(0.0, GRADIENTS, lr=0.5, beta=1), path)


def test_yogi_takes_v_by_the_size_of_the_gradient_alone():
    """Below g^2 v rises, above it falls, by (1 - beta2) g^2 both times; Adam's would move by the difference."""
    hyper = {"lr": 1, "beta1": 0, "beta2": 0.75, "eps": 0, "initial_accumulator": 1}
    # v = 1 + 12/4 = 4 after g^2 = 12 > 1, and 4 - 3/4 * 4 / 4 after g^2 = 3 < 4
    root = sqrt(mpf(12))
    steps = [a - b for a, b in pairwise([mpf(0), *yogi.trajectory(0, [root, root / 2], **hyper)])]
    assert_same(steps, [root / 2, root / 2 / sqrt(mpf(13) / 4)])


def test_ademamix_warms_up():
    # alpha = 1, 2, 3, 4, 4 of 4 at T = 4;  m2 is g / 2 at first
    hyper = {"lr": 1, "beta1": 0, "beta2": 0, "beta3": 0.5, "alpha": 4, "eps": 0}
    path = [mpf(0), *ademamix.trajectory(0, [3] * 5, alpha_steps=4, **hyper)]
    averages = [1 - F(1, 2) ** t for t in range(1, 6)]
    expected = [1 + a * m for a, m in zip((1, 2, 3, 4, 4), averages, strict=True)]
    assert_same([a - b for a, b in pairwise(path)], expected)
    # half-lives from 1 to 3: the root of a half is 1/2, at the second of two steps 2^(-1/3)
    small = mpf(1e-8)
    betas = {"beta1": mpf(0.5) - small, "beta3": mpf(0.5) ** (mpf(1) / 3) - small}
    (first, second) = ademamix.trajectory(0, [1, 1], **{**hyper, **betas}, beta3_steps=2)
    c = sqrt(mpf(0.5))
    assert_same([-first], [1 + 4 * (1 - c)])
    m2 = betas["beta3"] * (1 - c) + 1 - betas["beta3"]
    assert_same([first - second], [1 + 4 * m2])
    assert abs(log(mpf(0.5)) / log(betas["beta3"] + small) - 3) < mpf(10) ** -70


def test_adopt_first_divides_by_no_less_than_eps():
    # v = 0: n = (1/4)/(1/2), m = 1/4
    actual = adopt.trajectory(1, [0, 0.25], lr=0.5, beta1=0.5, beta2=0.75, eps=0.5, clip_exponent=0.25)
    assert_same(actual, [1, F(7, 8)])
    # cut to 1, the fourth root of 2 (v stays at 1 with beta2 = 1)
    actual = adopt.trajectory(0, [1, 50, -50], lr=1, beta1=0, beta2=1)
    assert_same(actual, [0, -1, -1 + sqrt(sqrt(mpf(2)))])


def test_rprop_sees_the_signs_of_the_smallest_gradients():
    assert_same(rprop.trajectory(0, [1e-300, 1e-300, -1e-300], lr=1), [-1, -1 - mpf(1.2), -1 - mpf(1.2)])
    # also the first step is within the bounds
    assert_same(rprop.trajectory(0, [1], lr=60), [-50])


def test_ftrl_forgets_the_start_and_stays_at_zero_within_l1():
    assert_same(ftrl.trajectory(1, [0]), [0])
    assert_same(ftrl.trajectory(0, [3, -6], l1=3, lr=1), [0, 0])


def test_madgrad_weighs_by_the_root_of_the_step():
    # lambda_3 = 2, s = 4, v = 8: z = 1 - 4/(5/2) = -3/5
    assert_same(madgrad.trajectory(1, [0, 0, 0, 2], lr=0.5, momentum=0.5, eps=0.5), [1, 1, 1, F(1, 5)])
    # a rate of zero has no epsilon
    assert_same(madgrad.trajectory(1, [3, -1], lr=0), [1, 1])


def test_schedule_free_average_is_the_mean_of_z():
    # beta = 1 shows x
    z = [mpf(0), *sgd.trajectory(0.0, GRADIENTS, lr=0.1)][1:]
    means = [sum(z[:t]) / t for t in range(1, len(z) + 1)]
    assert_same(schedule_free_sgd.trajectory(0.0, GRADIENTS, lr=0.1, beta1=1), means)
    for rule in (schedule_free_sgd, schedule_free_adamw):
        assert_same(rule.trajectory(0.7, GRADIENTS, lr=0), [mpf(0.7)] * len(GRADIENTS))


def test_asgd_decays_by_its_own_rate():
    # eta = 1/2, 1/3, 1/4
    assert_same(asgd.trajectory(4, [0, 0, 0], lr=0.5, lambd=1, alpha=1), [2, F(4, 3), 1])
