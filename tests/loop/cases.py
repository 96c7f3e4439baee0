"""Objectives that several files of tests share, each with its gradient written out."""

import numpy as np

SCALES = np.array([1.0, 3.0, 0.5])
TARGET = np.array([0.3, -1.2, 2.0])
DATA = {"x": np.random.default_rng(5).normal(size=(20, 3)), "y": np.random.default_rng(6).normal(size=20)}


def bowl(x):
    """A quadratic with its minimum at TARGET."""
    error = x - TARGET
    return float((SCALES * error * error).sum()), 2 * SCALES * error


def valley(x):
    """Rosenbrock's function, of any number of elements."""
    a, b = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    g = np.zeros_like(x)
    g[:-1] = -400 * x[:-1] * a - 2 * b
    g[1:] += 200 * a
    return float(np.sum(100 * a * a + b * b)), g


def fit(x, batch):
    """Mean square of a linear fit."""
    error = batch["x"] @ x - batch["y"]
    return float(error @ error) / len(error), 2 * batch["x"].T @ error / len(error)


def loss(x):
    """The same on all the data."""
    error = DATA["x"] @ x - DATA["y"]
    return float(error @ error)


def never(*_):
    """An objective that must not be called."""
    raise AssertionError("evaluated")
