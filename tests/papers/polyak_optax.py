"""Polyak's step as optax 0.2.8 has it (optax/_src/alias.py, polyak_sgd; optax/_src/transform.py, scale_by_polyak).

sgd(scaling) comes first, so that u_k = scaling g_k is what the step is of:

    gamma_k = min((f(x_k) - f_min) / (||u_k||^2 + eps), lr),   0 where ||u_k||^2 + eps <= 2^-52
    x_{k+1} = x_k - gamma_k u_k

lr is max_learning_rate. gamma_k is below zero where f(x_k) is below f_min (variant="sps", the default).
"""

from mpmath import mpf

from .exact import exact

CITATION = "optax 0.2.8, optax/_src/transform.py, scale_by_polyak"
DEFAULTS = {"lr": 1.0, "scaling": 1.0, "f_min": 0.0, "eps": 0.0}


def steps(theta0, gradients, loss, lr, scaling, f_min, eps, bounded):
    x = theta0
    for f, g in zip(loss, gradients, strict=True):
        u = [scaling * number for number in g]
        square = sum(number**2 for number in u) + eps
        gap = max(f - f_min, 0) if bounded else f - f_min
        gamma = mpf(0) if square <= mpf(2) ** -52 else min(gap / square, lr)
        x = [a - gamma * b for a, b in zip(x, u, strict=True)]
        yield x


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, loss, lr, scaling, f_min, eps):
    return steps(theta0, gradients, loss, lr, scaling, f_min, eps, False)
