"""Yogi as optax 0.2.8 and pytorch_optimizer 4.1.0 have it (optax/_src/transform.py, scale_by_yogi): yogi.py's, with

- both averages divided by 1 - beta^t;
- m_0 = v_0 = initial_accumulator, so that a step is made where there is no gradient.
"""

from mpmath import sign, sqrt

from .exact import exact

CITATION = "optax 0.2.8, optax/_src/transform.py, scale_by_yogi"
DEFAULTS = {
    "lr": 1e-2,  # optax has no default
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-3,
    "initial_accumulator": 1e-6,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, initial_accumulator):
    theta, m, v = theta0, initial_accumulator, initial_accumulator
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = v - (1 - beta2) * sign(v - g**2) * g**2
        theta = theta - lr * m / (1 - beta1**t) / (sqrt(v / (1 - beta2**t)) + eps)
        yield theta
