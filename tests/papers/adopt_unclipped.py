"""ADOPT without its clipping. Taniguchi et al. 2024 (NeurIPS), arXiv:2411.02853, Algorithm 2.

This is adopt.py's with n_t whole:

    v_0     = g_0^2,   m_0 = 0                                     (the first gradient moves nothing)
    m_t     = beta1 m_{t-1} + (1 - beta1) g_t / max(sqrt(v_{t-1}), epsilon)
    theta_t = theta_{t-1} - alpha_t m_t
    v_t     = beta2 v_{t-1} + (1 - beta2) g_t^2

Named differences: adopt.py's.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Taniguchi et al. 2024, arXiv:2411.02853, Algorithm 2"
DEFAULTS = {
    "lr": 1e-3,  # the authors' code, as all four
    "beta1": 0.9,
    "beta2": 0.9999,
    "eps": 1e-6,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps):
    theta, m, v = theta0, mpf(0), gradients[0] ** 2
    yield theta
    for g in gradients[1:]:
        m = beta1 * m + (1 - beta1) * g / max(sqrt(v), eps)
        theta = theta - lr * m
        v = beta2 * v + (1 - beta2) * g**2
        yield theta
