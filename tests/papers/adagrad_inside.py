"""Adagrad with epsilon inside of the root: Keras' Adagrad, keras/src/optimizers/adagrad.py; optax.adagrad is the same.

    s_t     = s_{t-1} + g_t^2,   s_0 = initial_accumulator
    theta_t = theta_{t-1} - lr g_t / sqrt(s_t + eps)

Named difference
- Where s_t = 0, optax takes no step instead of dividing. Since g_t is zero then, it matters for eps = 0 alone.
"""

from mpmath import sqrt

from .exact import exact

CITATION = "Keras 3.15, keras/src/optimizers/adagrad.py, Adagrad.update_step"
DEFAULTS = {
    "lr": 1e-3,  # Keras, as all three
    "eps": 1e-7,
    "initial_accumulator": 0.1,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, eps, initial_accumulator):
    theta, s = theta0, initial_accumulator
    for g in gradients:
        s = s + g**2
        theta = theta - lr * g / sqrt(s + eps)
        yield theta
