"""The oracles of the rules that sum over arrays, against values worked out by hand (every root is rational)."""

from fractions import Fraction as F

import pytest
from mpmath import mp, mpf

from . import dadapt_adam, dadapt_sgd, dog, dowg, ldog, stages
from .exact import DIGITS
from .test_papers import assert_same, oracle

# theta0, gradients, hyperparameters, thetas
BY_HAND = {
    # RMS = 1: 3/4 of theta, steps 1/2 * 4/(4 + 1)
    # beta2hat = 3/7, u = 64, RMS = 10/8, eta = 2/5;  beta1hat = 1/3, v = 8, 16/3: 4/5 of theta, steps 2/5 * v/9
    "stable_adamw": (
        [1, 1],
        [[4, -4], [10, 10]],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 1, "weight_decay": 0.5},
        [[F(7, 20), F(23, 20)], [F(7, 25) - F(16, 45), F(23, 25) - F(32, 135)]],
    ),
    # 1/2 * 5/(2 + 5/2) = 5/9: v = 2 * 5/9 * (3/2, 4);  no gradient: 1, v = 1/2 * (5/3, 40/9) + 2 * 1/2 * (4/3, -4/9)
    "lars": (
        [3, 4],
        [[0, 2], [0, 0]],
        {"lr": 2, "momentum": 0.5, "weight_decay": 0.5, "trust": 0.5},
        [[F(4, 3), F(-4, 9)], [F(-5, 6), F(-20, 9)]],
    ),
    # v = 25: m = (3, 4)/6 + 1/2;  v = 25: m = (1/2, 7/12) + (1/4, 5/6 + 5/24)
    "novograd": (
        [1, 1],
        [[3, 4], [0, 5]],
        {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 1, "weight_decay": 0.5},
        [[F(1, 2), F(5, 12)], [F(1, 8), F(-19, 48)]],
    ),
    # r = (1 + 5)/10, G = 9 + 16: 5 * 3/5 / 5 * 4;  r = 12/5, G = 169: 5 * 12/5 / 13 * 12
    "dog": (
        [3, 4],
        [[0, 4], [12, 0]],
        {"lr": 5, "reps_rel": F(1, 10), "eps": 9},
        [[3, F(8, 5)], [3 - F(144, 13), F(8, 5)]],
    ),
    # v = 1: 8 * 1/4 / 2 * 2;  r^2 = 4, v = 1 + 4 * 9/64 = 25/16: 8 * 4 / (9/4) * 3/8
    "dowg": (
        [1, 0],
        [[0, 2], [0, 0.375]],
        {"lr": 8, "start": 0.25, "eps": 1},
        [[1, -2], [1, F(-22, 3)]],
    ),
    # beta2 = (3/5)^2, 1 - beta2 = (4/5)^2.  d = 1/2: m = 5/4, v = 4, r = 0, s = 5/4: step 1/2 * (5/4)/(2 + 1/2)
    # m = 13/8, v = 4, r = 1/2, s = 7/4, d = 7 * 1/2 / (7/2) = 1: step 1/2 * (13/8)/(2 + 1)
    # m = 13/16, v = (6/5)^2, r = 3/10, s = 21/20, d stays: step 1 * (13/16)/(6/5 + 1)
    "prodigy": (
        [1, 1],
        [[5, -5], [4, -4], [0, 0]],
        {"lr": 1, "beta1": 0.5, "beta2": F(9, 25), "eps": 1, "d0": 0.5, "d_coef": 7},
        [[F(3, 4), F(5, 4)], [F(23, 48), F(73, 48)], [F(23, 48) - F(65, 176), F(73, 48) + F(65, 176)]],
    ),
    # the same roots.  rate 2: m = 5, v = 16, s = 4: step 5/(4 + 1);  m = 13/2, v = 16: step 13/10, and
    # r = 2/5 * 2 * 32/5, s = 28/5: d = 8/7;  rate 32/7: m = 13/4 + 64/7 = 347/28: step 347/140
    "dadapt_adam": (
        [1, 1],
        [[5, -5], [4, -4], [4, -4]],
        {"lr": 4, "beta1": 0.5, "beta2": F(9, 25), "eps": 1, "d0": 0.5},
        [
            [0, 2],
            [F(-13, 10), F(33, 10)],
            [F(-13, 10) - F(347, 140), F(33, 10) + F(347, 140)],
        ],
    ),
    # rate 1/10: s = (3, 4)/10;  s = (9, 12)/10, d = 2 * 1/2 / (3/2) = 2/3;  rate 2/15: s = (13/10, 26/15)
    "dadapt_sgd": (
        [1, 1],
        [[3, 4], [6, 8], [3, 4]],
        {"lr": 1, "momentum": 0.5, "d0": 0.5},
        [[F(17, 20), F(4, 5)], [F(19, 40), F(3, 10)], [F(19, 80) - F(3, 20), F(3, 20) - F(11, 30)]],
    ),
}
BY_HAND["ldog"] = BY_HAND["dog"]
RULES = list(BY_HAND)
THETA, GRADIENTS = [0.5, -1.5, 3.0], [[0.1, -2.0, 0.0], [1.0, 1.0, -1.0], [0.0, 0.0, 0.0], [-0.3, 4.0, 0.25]]


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(DIGITS):
        yield


@pytest.mark.parametrize("name", RULES)
def test_first_steps_by_hand(name):
    theta0, gradients, hyper, expected = BY_HAND[name]
    actual = oracle(name).trajectory(theta0, gradients, **hyper)
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert_same(a, e)


@pytest.mark.parametrize("name", RULES)
def test_zero_gradients_give_the_decay_alone(name):
    for theta in oracle(name).trajectory(THETA, [[0.0] * 3] * 3, **no_decay(name)):
        assert_same(theta, THETA)


@pytest.mark.parametrize("name", RULES)
def test_odd_and_causal_and_of_no_order(name):
    path = oracle(name).trajectory(THETA, GRADIENTS)
    turned = oracle(name).trajectory([-x for x in THETA], [[-x for x in g] for g in GRADIENTS])
    assert turned == [[-x for x in theta] for theta in path]
    assert oracle(name).trajectory(THETA, GRADIENTS[:3]) == path[:3]
    back = oracle(name).trajectory(THETA[::-1], [g[::-1] for g in GRADIENTS])
    for a, b in zip(back, path, strict=True):
        assert_same(a[::-1], b)


@pytest.mark.parametrize("name", RULES)
def test_what_is_added_to_the_gradients_has_their_unit(name):
    unit = 32**2 if name in {"dog", "ldog"} else 32
    hyper = {"eps": 0.5} if "eps" in oracle(name).DEFAULTS else {}
    scaled = {key: value * unit for key, value in hyper.items()}
    path = oracle(name).trajectory(THETA, GRADIENTS, **no_decay(name), **hyper)
    times = [[32 * x for x in g] for g in GRADIENTS]
    for a, b in zip(oracle(name).trajectory(THETA, times, **no_decay(name), **scaled), path, strict=True):
        assert_same(a, b)


def no_decay(name):
    return {"weight_decay": 0} if "weight_decay" in oracle(name).DEFAULTS else {}


def test_stable_adamw_is_adamw_where_nothing_is_clipped():
    hyper = {"lr": 0.1, "beta1": 0.8, "beta2": 0.9, "eps": 0.0, "weight_decay": 0.3}
    falling = [[1.0, -2.0], [0.5, 1.0], [0.25, -0.5]]  # g^2 is never above its mean so far
    path = oracle("stable_adamw").trajectory([0.5, -1.5], falling, **hyper)
    for i, theta in enumerate((0.5, -1.5)):
        assert_same([p[i] for p in path], oracle("adamw").trajectory(theta, [g[i] for g in falling], **hyper))


def test_dog_keeps_its_largest_distance():
    # r = 1: step 2 * 1/4 * 4;  r = 2, G = 25: step -2 * 2/5 * 3;  r stays 2, G = 169: step 2 * 2/13 * 12
    path = dog.trajectory([0], [[4], [-3], [12]], lr=2, reps_rel=1, eps=0)
    assert_same([x for (x,) in path], [-2, F(2, 5), F(2, 5) - F(48, 13)])
    assert dog.trajectory(THETA, GRADIENTS) == ldog.trajectory(THETA, GRADIENTS)


def test_dowg_starts_at_a_square():
    ((x,),) = dowg.trajectory([0], [[2]], start=0.25, eps=0)
    assert_same([x], [F(-1, 2)])  # r^2 / sqrt(r^2 g^2) * g = r


def test_growth_bounds_d():
    """D-Adapt's d, seen in the steps of one element whose gradient stays: s grows by rate g, z is x0 - s."""
    free = dadapt_sgd.trajectory([0], [[1]] * 4, d0=1)
    # d = 1: s = 1; total 1, s = 2: d = 2 * 1/2 = 1; total 3, s = 3: d = 2; s = 5
    assert_same([x for (x,) in free], [-1, -2, -3, -5])
    bound = dadapt_sgd.trajectory([0], [[1]] * 4, d0=1, growth=1.5)
    assert_same([x for (x,) in bound], [-1, -2, -3, -4.5])
    hyper = dict(BY_HAND["dadapt_adam"][2], growth=1.5)
    theta0, gradients, _, expected = BY_HAND["dadapt_adam"]
    # d = 3/4: rate 3, m = 13/4 + 6 = 37/4: step 37/20
    assert_same(
        dadapt_adam.trajectory(theta0, gradients, **hyper)[2], [expected[1][0] - F(37, 20), expected[1][1] + F(37, 20)]
    )


def test_growth_bounds_prodigys_d_after_its_first_estimate():
    """Without memory one element moves by its rate, d lr, and dhat is d_coef |x0 - x|."""
    hyper = {"beta1": 0, "beta2": 0, "eps": 0, "d0": 1, "d_coef": 8}
    # dhat = 0, 8 (taken whole), 16, 80: d = 1, 8, 16, 80 for the next step
    free = oracle("prodigy").trajectory([0], [[1]] * 5, **hyper)
    assert_same([x for (x,) in free], [-1, -2, -10, -26, -106])
    # d = 1, 8, 12, 18
    bound = oracle("prodigy").trajectory([0], [[1]] * 5, **hyper, growth=1.5)
    assert_same([x for (x,) in bound], [-1, -2, -10, -22, -40])


def test_correction_multiplies_the_rate():
    # sqrt(1 - 9/25)/(1 - 1/2) = 8/5;  m = 5/4, v = 4;  step 4/5 * (5/4)/(2 + 1/2)
    theta0, gradients, hyper, _ = BY_HAND["prodigy"]
    (x,) = oracle("prodigy").trajectory(theta0, gradients[:1], **hyper, correction=1)
    assert_same(x, [F(3, 5), F(7, 5)])
    # rate 16/5: m = 8, v = 16: step 8/5
    theta0, gradients, hyper, _ = BY_HAND["dadapt_adam"]
    (x,) = dadapt_adam.trajectory(theta0, gradients[:1], **hyper, correction=1)
    assert_same(x, [F(-3, 5), F(13, 5)])


def test_nothing_happens_before_the_first_gradient():
    nothing = [0.0] * 3
    for name in ("prodigy", "dadapt_adam", "dadapt_sgd"):
        hyper = {key: 1 for key in ("correction",) if key in oracle(name).DEFAULTS}
        late = oracle(name).trajectory(THETA, [nothing, nothing, *GRADIENTS], **hyper)
        assert late[:2] == [[mpf(x) for x in THETA]] * 2
        assert late[2:] == oracle(name).trajectory(THETA, GRADIENTS, **hyper)
    for name in ("prodigy", "dadapt_adam"):  # no decay either
        assert_same(oracle(name).trajectory(THETA, [nothing], weight_decay=0.5)[0], THETA)


def test_lars_steps_by_the_norm_of_the_array():
    (x,) = oracle("lars").trajectory(THETA, GRADIENTS[:1], lr=2, trust=0.25)
    moved = stages.norm([a - b for a, b in zip(x, map(mpf, THETA), strict=True)])
    assert_same([moved], [0.5 * stages.norm(map(mpf, THETA))])
    (x,) = oracle("lars").trajectory([0, 0], [[3, 4]], lr=2)  # one where there is no norm
    assert_same(x, [-6, -8])


def test_prodigy_does_not_see_the_unit_of_theta():
    """Parameters and d0 twice as large give a path twice as large."""
    small = oracle("prodigy").trajectory(THETA, GRADIENTS, d0=0.25)
    large = oracle("prodigy").trajectory([2 * x for x in THETA], GRADIENTS, d0=0.5)
    for a, b in zip(large, small, strict=True):
        assert_same(a, [2 * x for x in b])
