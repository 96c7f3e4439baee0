"""Functions of the plane that optimizers are tried on: ``f(x)`` gives value and gradient.

``x`` has the coordinates along its first axis, and perhaps more axes: then all points of a grid are computed at once.
"""

from typing import Any

import numpy as np

ValueAndGrad = tuple[Any, np.ndarray]


def rosenbrock(x: np.ndarray) -> ValueAndGrad:
    """The curved valley of Rosenbrock 1960; minimum 0 at (1, 1)."""
    a, b = 1 - x[0], x[1] - x[0] * x[0]
    return a * a + 100 * b * b, np.array([-2 * a - 400 * x[0] * b, 200 * b])


def beale(x: np.ndarray) -> ValueAndGrad:
    """Beale 1958: a valley with steep corners; minimum 0 at (3, 0.5)."""
    a, b = x[0], x[1]
    parts = [(c - a + a * b**k, b**k - 1, k * a * b ** (k - 1)) for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))]
    value = sum(r * r for r, _, _ in parts)
    return value, np.array([sum(2 * r * da for r, da, _ in parts), sum(2 * r * db for r, _, db in parts)])


def rastrigin(x: np.ndarray) -> ValueAndGrad:
    """Rastrigin 1974: a bowl with a dimple around every whole number; minimum 0 at the origin."""
    turn = 2 * np.pi * x  # 10 - 10 cos(turn) is 20 sin(turn / 2)^2, which loses no digits near 0
    return (x * x + 20 * np.sin(turn / 2) ** 2).sum(axis=0), 2 * x + 20 * np.pi * np.sin(turn)


def himmelblau(x: np.ndarray) -> ValueAndGrad:
    """Himmelblau 1972: four minima, all of them 0."""
    a, b = x[0] * x[0] + x[1] - 11, x[0] + x[1] * x[1] - 7
    return a * a + b * b, np.array([4 * x[0] * a + 2 * b, 2 * a + 4 * x[1] * b])


def saddle(x: np.ndarray) -> ValueAndGrad:
    """A saddle at the origin between two minima, -1/4 at (0, 1) and (0, -1)."""
    a, square = x[0], x[1] * x[1]
    return a * a / 2 - square / 2 + square * square / 4, np.array([a, x[1] * (square - 1)])


def bowl(x: np.ndarray, matrix: np.ndarray) -> ValueAndGrad:
    """Half of x' A x for a symmetric matrix A; minimum 0 at the origin."""
    grad = np.tensordot(matrix, x, axes=1)
    return (x * grad).sum(axis=0) / 2, grad
