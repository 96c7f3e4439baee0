"""ADOPT. Taniguchi et al. 2024 (NeurIPS), arXiv:2411.02853, clipped, and the authors' code (iShohei220/adopt).

    v_0     = g_0^2,   m_0 = 0                                     (the first gradient moves nothing)
    n_t     = clip(g_t / max(sqrt(v_{t-1}), epsilon), c_t),   c_t = t^(1/4)
    m_t     = beta1 m_{t-1} + (1 - beta1) n_t
    theta_t = theta_{t-1} - alpha_t m_t
    v_t     = beta2 v_{t-1} + (1 - beta2) g_t^2

Named differences
- The paper's gradients start at g_0: here the first of the gradients is g_0, and theta after it is theta_0.
- The exponent of c_t is a number, clip_exponent.
- No decay, and alpha_t is constant.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Taniguchi et al. 2024, arXiv:2411.02853, clipped ADOPT"
DEFAULTS = {
    "lr": 1e-3,  # the authors' code, as all five
    "beta1": 0.9,
    "beta2": 0.9999,
    "eps": 1e-6,
    "clip_exponent": 0.25,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, clip_exponent):
    theta, m, v = theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients):
        if t == 0:
            v = g**2
        else:
            c = mpf(t) ** clip_exponent
            n = min(max(g / max(sqrt(v), eps), -c), c)
            m = beta1 * m + (1 - beta1) * n
            theta = theta - lr * m
            v = beta2 * v + (1 - beta2) * g**2
        yield theta
