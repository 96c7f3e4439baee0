"""Gradients by the tape, beside differences of the functions computed without it."""

import doctest

import numpy as np
import pytest

from gradstep.compare.problems import tape

RNG = np.random.default_rng(0)
A, B, ROW = RNG.standard_normal((3, 4)), RNG.standard_normal((4, 2)), RNG.standard_normal(4)
DEEP, LABELS = RNG.standard_normal((2, 3, 4)), RNG.integers(0, 4, (2, 3))


def normalised(x, axes):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


def surprise(z):
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    return -np.log(np.take_along_axis(p, LABELS[..., None], -1)).mean()


def squares(x):
    return np.stack([[[x[n, i : i + 2, j : j + 2].ravel() for j in range(3)] for i in range(2)] for n in range(2)])


# Each: a function of one on the tape, the same in plain NumPy, and where.
CASES = {
    "add": (lambda x: x + ROW, lambda x: x + ROW, A),
    "add to": (lambda x: ROW + x, lambda x: x + ROW, A),
    "broadcast": (lambda x: A * x, lambda x: A * x, ROW),
    "broadcast deep": (lambda x: tape.Var(DEEP) * x, lambda x: DEEP * x, A[:1]),
    "broadcast middle": (lambda x: tape.Var(DEEP) * x, lambda x: DEEP * x, DEEP[:, :1]),
    "sub": (lambda x: x - ROW, lambda x: x - ROW, A),
    "sub from": (lambda x: 1 - x, lambda x: 1 - x, A),
    "sub two": (lambda x: tape.Var(A) - x, lambda x: A - x, ROW),
    "twice": (lambda x: x * x + x, lambda x: x * x + x, A),
    "matmul": (lambda x: x @ B, lambda x: x @ B, A),
    "matmul from": (lambda x: A @ x, lambda x: A @ x, B),
    "matmul stack": (lambda x: tape.Var(DEEP) @ x, lambda x: DEEP @ x, B),
    "slice": (lambda x: x[:, 1:3], lambda x: x[:, 1:3], A),
    "gather": (lambda x: x[np.array([0, 2, 0])], lambda x: x[[0, 2, 0]], A),
    "sum": (lambda x: x.sum(), np.sum, A),
    "mean": (lambda x: x.mean(), np.mean, A),
    "reshape": (lambda x: x.reshape(2, 6), lambda x: x.reshape(2, 6), A),
    "transpose": (lambda x: x.transpose(2, 0, 1), lambda x: x.transpose(2, 0, 1), DEEP),
    "stack": (lambda x: tape.stack([x, 2 * x, x]), lambda x: np.stack([x, 2 * x, x]), A),
    "exp": (tape.exp, np.exp, A),
    "tanh": (tape.tanh, np.tanh, A),
    "sigmoid": (tape.sigmoid, lambda x: 1 / (1 + np.exp(-x)), A),
    "softplus": (tape.softplus, lambda x: np.log1p(np.exp(x)), A),
    "relu": (tape.relu, lambda x: np.maximum(x, 0), A),
    "patches": (lambda x: tape.patches(x, 2), squares, RNG.standard_normal((2, 3, 4, 2))),
    "softmax": (tape.softmax, lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True), DEEP),
    "cross entropy": (lambda x: tape.cross_entropy(x, LABELS), surprise, DEEP),
    "normalise last": (lambda x: tape.normalise(x, (2,)), lambda x: normalised(x, (2,)), DEEP),
    "normalise first": (lambda x: tape.normalise(x, (0, 1)), lambda x: normalised(x, (0, 1)), DEEP),
}


@pytest.mark.parametrize("name", CASES)
def test_each_operation_and_its_derivative(name):
    ours, plain, x = CASES[name]
    weights = RNG.standard_normal(np.shape(plain(x)))
    value, grads = tape.gradients(lambda p: (ours(p["x"]) * weights).sum(), {"x": x})
    assert value == pytest.approx((plain(x) * weights).sum(), rel=1e-12)
    assert tape.value(lambda p: (ours(p["x"]) * weights).sum(), {"x": x}) == value
    expected, h = np.empty_like(x), 1e-6
    for at in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[at] = h
        expected[at] = ((plain(x + step) - plain(x - step)) * weights).sum() / (2 * h)
    assert grads["x"].shape == x.shape
    np.testing.assert_allclose(grads["x"], expected, rtol=1e-7, atol=1e-8)


def test_what_is_not_used_has_gradient_zero_and_dtypes_stay():
    x = {"a": A.astype(np.float32), "b": ROW.astype(np.float32)}
    _, grads = tape.gradients(lambda p: tape.normalise(tape.tanh(p["a"]) * 0.5, (1,)).mean(), x)
    assert not grads["b"].any()
    assert {g.dtype.name for g in grads.values()} == {"float32"}


def test_its_example():
    assert doctest.testmod(tape).attempted == 3
    assert not doctest.testmod(tape).failed
