"""Yogi. Zaheer et al. 2018 (NeurIPS), Adaptive Methods for Nonconvex Optimization, Algorithm 2.

    m_t     = beta1 m_{t-1} + (1 - beta1) g_t
    v_t     = v_{t-1} - (1 - beta2) sign(v_{t-1} - g_t^2) g_t^2
    x_{t+1} = x_t - eta_t m_t / (sqrt(v_t) + epsilon)

Named differences
- v_0 is a number, initial_accumulator; the paper's experiments take it from the gradient of a large batch. m_0 = 0.
- eta_t is constant.

As in the paper, and unlike optax 0.2.8, neither average is corrected for its start.
"""

from mpmath import mpf, sign, sqrt

from .exact import exact

CITATION = "Zaheer et al. 2018 (NeurIPS), Algorithm 2"
DEFAULTS = {
    "lr": 1e-2,  # the paper's experiments
    "beta1": 0.9,  # the paper, as the next two
    "beta2": 0.999,
    "eps": 1e-3,
    "initial_accumulator": 1e-6,  # optax, whose m starts there too
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, initial_accumulator):
    x, m, v = theta0, mpf(0), initial_accumulator
    for g in gradients:
        m = beta1 * m + (1 - beta1) * g
        v = v - (1 - beta2) * sign(v - g**2) * g**2
        x = x - lr * m / (sqrt(v) + eps)
        yield x
