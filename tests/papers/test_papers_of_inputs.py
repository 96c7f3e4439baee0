"""The oracles of the rules that take a loss or a diagonal of the Hessian, and of wrappers, against values by hand."""

from fractions import Fraction as F

import pytest
from mpmath import mp, mpf

from . import (
    momo,
    momo_optax,
    polyak,
    polyak_optax,
    polyak_optax_plus,
    psgd_kron,
    schedule_free_adamw_optax,
    schedule_free_sgd,
    schedule_free_sgd_optax,
    sgd,
    sophia,
    sophia_optax,
    wrappers,
)
from .exact import DIGITS
from .test_papers import assert_same

THETA, GRADIENTS = [0.5, -1.5, 3.0], [[0.1, -2.0, 0.0], [1.0, 1.0, -1.0], [0.0, 0.0, 0.0], [-0.3, 4.0, 0.25]]
LOSS = [3.0, 2.0, 1.5, 0.25]


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(DIGITS):
        yield


def same_paths(actual, expected):
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert_same(a, e)


def test_polyak_by_hand():
    # (6 - 1)/25 = 1/5;  lr bounds 4/1;  no gradient;  below f_min
    gradients = [[3, 4], [0, 1], [0, 0], [1, 1]]
    path = polyak.trajectory([1, 1], gradients, loss=[6, 5, 5, 0.5], lr=0.5, f_min=1)
    same_paths(path, [[F(2, 5), F(1, 5)], [F(2, 5), F(-3, 10)], [F(2, 5), F(-3, 10)], [F(2, 5), F(-3, 10)]])
    (x,) = polyak.trajectory([1, 1], gradients[:1], loss=[6], f_min=1, eps=25)
    assert_same(x, [F(7, 10), F(6, 10)])


def test_optaxs_polyak_by_hand():
    # u = (6, 8): (31 - 1)/(100 + 20) = 1/4;  below f_min: -1/2 / (8 + 20) = -1/56, or 0;  4 + 20: 5/24, lr is less
    gradients, hyper = [[3, 4], [1, 1], [0, 1]], {"lr": 0.5, "scaling": 2, "f_min": 1, "eps": 20}
    path = polyak_optax.trajectory([1, 1], gradients, loss=[31, 0.5, 121], **hyper)
    same_paths(path, [[F(-1, 2), -1], [F(-13, 28), F(-27, 28)], [F(-13, 28), F(-55, 28)]])
    path = polyak_optax_plus.trajectory([1, 1], gradients, loss=[31, 0.5, 121], **hyper)
    same_paths(path, [[F(-1, 2), -1], [F(-1, 2), -1], [F(-1, 2), -2]])
    assert polyak_optax.trajectory([1], [[2.0**-26]], loss=[6]) == [[1]]


def test_optaxs_momo_by_hand():
    # d = (2, 0), h = 3/2 (3 - 11/8 - 2) + 2 = 23/16: tau = min(1, 23/64); a third of x goes
    (x,) = momo_optax.trajectory([1, 1], [[2, 0]], loss=[3], lr=1, beta=0.5, f_min=1.375, weight_decay=0.5)
    assert_same(x, [F(2, 3) - F(23, 32), F(2, 3)])
    plain = momo.trajectory(THETA, GRADIENTS, loss=LOSS, lr=0.25)
    same_paths(momo_optax.trajectory(THETA, GRADIENTS, loss=LOSS, lr=0.25), plain)


def test_optaxs_schedule_free_warm_up_by_hand():
    # rates 0, 1/4, 1/2 of T = 2, weights 1/16, 1/4, 1/4; z = 1, 0, -1; c = 1, 4/5, 4/9
    # x = 1, 1/5, -1/3; y = (x + z)/2
    hyper = {"lr": 0.5, "beta1": 0.5, "warmup": 2}
    path = schedule_free_sgd_optax.trajectory(1, [8, 4, 2], **hyper)
    assert_same(path, [1, F(1, 10), F(-2, 3)])
    # without: the paper's;  u = 8/(8 + 8) + 1/2 y
    assert_same(schedule_free_sgd_optax.trajectory(1, [8, 4], lr=0.5), schedule_free_sgd.trajectory(1, [8, 4], lr=0.5))
    hyper = {"lr": 0.5, "beta1": 0.5, "beta2": 0, "eps": 8, "weight_decay": 0.5}
    assert_same(schedule_free_adamw_optax.trajectory(1, [8], **hyper), [F(1, 2)])


def test_polyak_solves_what_interpolates_at_once():
    """Of (a x - b)^2 / 2 it takes half of the way, as (f - 0) / ||f'||^2 = 1/2 / a^2."""
    a, x = [0.5, -2.0, 1.0], THETA
    r = sum(p * q for p, q in zip(a, x, strict=True)) - 4
    ((y),) = polyak.trajectory(x, [[r * p for p in a]], loss=[r * r / 2])
    assert_same([sum(p * q for p, q in zip(a, y, strict=True)) - 4], [r / 2])


def test_momo_by_hand():
    # d = (2, 0), h = 3 + 2 - 2 = 3: tau = min(1/4, 3/4): x = (1/2, 1)
    # fbar = 2, gamma = 1 + 1/2 = 3/2, d = (1, 1/2), h = 2 + 1 - 3/2: tau = min(1/4, (3/2 - 11/8)/(5/4)) = 1/10
    path = momo.trajectory([1, 1], [[2, 0], [0, 1]], loss=[3, 1], lr=0.25, beta=0.5, f_min=1.375)
    same_paths(path, [[F(1, 2), 1], [F(2, 5), F(19, 20)]])
    assert momo.trajectory([1, 1], [[0, 0]], loss=[3]) == [[1, 1]]


def test_momo_without_memory_is_polyaks():
    path = momo.trajectory(THETA, GRADIENTS, loss=LOSS, beta=0, lr=0.25)
    same_paths(path, polyak.trajectory(THETA, GRADIENTS, loss=LOSS, lr=0.25))


def test_sophia_by_hand():
    # m = 1, h = 1: 1/2 * 1/(1/2 * 1) cut to 1;  m = -3/4, h kept: -3/2 cut;  m = 1/8, h = 7/8 + 2: (1/8)/(23/16)
    hyper = {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "gamma": 0.5, "eps": 0.25, "k": 2}
    path = sophia.trajectory(1, [2, -2.5, 1], curvature=[4, 100, 8.5], **hyper)
    assert_same(path, [F(1, 2), 1, 1 - F(1, 23)])
    # optax: mhat = 2, h = 0: cut;  mhat = (-3/4)/(3/4) = -1, h = 1: cut;  mhat = 1/7, h = 1: 1/2 * 2/7
    path = sophia_optax.trajectory(1, [2, -2.5, 1], curvature=[4, 100, 8.5], **hyper)
    assert_same(path, [F(1, 2), 1, 1 - F(1, 7)])


def test_sophia_is_newtons_step_where_nothing_is_cut():
    path = sophia.trajectory(1, [0.5, 0.25], curvature=[4, 4], lr=1, beta1=0, beta2=0, gamma=1, eps=0, k=1)
    assert_same(path, [1 - F(1, 8), 1 - F(1, 8) - F(1, 16)])


def test_kron_by_hand():
    """But for its tiny, 2^-126."""
    hyper = {"lr": 0.5, "momentum": 0, "precond_lr": 0.5}
    # a vector: a = (1/4, 1/4), b = (0, 1/4): q = 1 - 1/2 (1/2, 0);  u = (9/32, 1/2)
    (x,) = psgd_kron.trajectory([[1], [1]], [[[0.5], [0.5]]], noise=[[[0], [0.5]]], **hyper)
    assert [[float(a) for a in row] for row in x] == [[55 / 64], [3 / 4]]
    # A = diag(1/2, 1), B = 0: A A^T = diag(1/4, 1), 1 at most: both Q = diag(7/8, 1/2);  u = ((7/8)^4 / 2, 1/16)
    (x,) = psgd_kron.trajectory([[1, 0], [0, 1]], [[[0.5, 0], [0, 1]]], noise=[[[0, 0], [0, 0]]], **hyper)
    assert [[float(a) for a in row] for row in x] == [[1 - (7 / 8) ** 4 / 4, 0], [0, 31 / 32]]


def test_kron_learns_the_scale_of_the_gradients():
    path = psgd_kron.trajectory([[0]], [[[0.01]]] * 200, noise=[[[1.0]]] * 200, lr=1)
    assert abs(path[-2][0][0] - path[-1][0][0] - 1) < 1e-3


def test_mars_by_hand():
    # 1/2 * 1/2 / (1/2) = 1/2 of the difference more: (9/2, 6) of length 15/2, cut;  (0, 0) - 1/2 (3, 4), cut to 1
    path = wrappers.mars([[3, 4], [0, 0]], 0.5, 0.5)
    same_paths(path, [[F(3, 5), F(4, 5)], [F(-3, 5), F(-4, 5)]])
    same_paths(wrappers.mars([[F(3, 10), 0.0], [0.0, 0.5]], 0.5, 0.5, first=1), [[F(3, 10), 0], [F(-3, 20), F(3, 4)]])


def test_lookahead_by_hand():
    step = lambda theta, g: sgd.trajectory(theta[0], [g[0]], lr=1)  # noqa: E731 - one line of the rule
    path = list(wrappers.lookahead([mpf(8)], step, [[2], [4], [2]], mpf(0.5), 2))
    same_paths(path, [[6], [5], [3]])  # 8, 6, 2: half of the way from 8


def test_units_by_hand():
    g, w = [[3, 4], [0, 1]], [[0, 2], [5, 12]]
    same_paths(wrappers.agc(g, w, 0.5, 0), [[F(3, 5), F(4, 5)], [0, 1]])  # 1 < 5;  13/2 > 1
    same_paths(wrappers.agc([[0, 2]], [[0, 0]], 0.5, 1), [[0, 0.5]])  # eps for the norm
    same_paths(wrappers.agc([[3, 4]], [[3, 4]], 0.5, 0, guard=10), [[F(3, 4), 1]])
    same_paths(wrappers.centralize([[1, 3], [2, 2]]), [[-1, 1], [0, 0]])
    assert wrappers.centralize([[1], [3]]) == [[1], [3]]


def test_caution_by_sign_bits():
    # steps 1, -1, 0, 1: the first two go with the gradient, and so does 0 where it is not negative
    moved = wrappers.cautious_heavyball([1, 1, 1, 1], [0, 2, 1, 0], [2, -3, 0, -1])
    assert_same(moved, [1 - F(4, 3), 1 + F(4, 3), 1, 1])


def test_averages_by_hand():
    thetas = [4, 8, 3, 5]
    assert_same(wrappers.swa(thetas), [4, 6, 5, 5])
    assert_same(wrappers.swa(thetas, start=1, every=2), [4, 8, 3, 3])
    assert_same(wrappers.ema_corrected([4, 7, 7], 0.5), [4, 6, F(46, 7) - 0])
    assert_same(wrappers.ema_warmed([4, 8, 8], 0.6, gamma=1, power=1), [4, 6, 6 + mpf(2) * (1 - mpf(0.6))])
    assert_same(wrappers.ema_warmed_tf(11, [0, 12], 0.2), [2, 2 + mpf(10) * (1 - mpf(0.2))])  # 2/11, then 0.2
    assert_same(wrappers.polynomial_average([4, 8, 8], gamma=1), [4, 4 + F(8, 3), F(20, 3) * F(1, 2) + 4])


def test_decays_by_hand():
    assert_same(wrappers.proximal_decay([3, -6], 0.5, 1), [2, -4])
    assert_same(wrappers.corrected_decay([16], 0.25, 0.5, 1), [14])
    assert_same(wrappers.soft_threshold([1, -1, 0.25, 0], 0.5, 1), [0.5, -0.5, 0, 0])
    assert_same(wrappers.cautious_decay([2, 2, -2], [1, 3, -1], 0.5, 0.5), [0.5, 3, -0.5])
