"""Simplified AdEMAMix. Morwani et al. 2025, arXiv:2502.02431, and the authors' code (DepenM/Simplified-AdEMAMix).

    m_t     = beta1 m_{t-1} + g_t
    nu_t    = beta2 nu_{t-1} + (1 - beta2) g_t^2
    theta_t = theta_{t-1} - eta (m_t + alpha g_t) / (sqrt(nu_t / (1 - beta2^t)) + epsilon)

Named differences
- beta1 is constant; the authors' code can warm it up.
- No decay (lambda = 0).

m_t is a sum, neither weighted by 1 - beta1 nor corrected, as in the authors' code by default.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Morwani et al. 2025, arXiv:2502.02431, and the authors' simplified_AdEMAMix.py"
DEFAULTS = {
    "lr": 1e-4,  # the authors' code, as all five
    "beta1": 0.99,
    "beta2": 0.95,
    "alpha": 0.0,
    "eps": 1e-8,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, alpha, eps):
    theta, m, nu = theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + g
        nu = beta2 * nu + (1 - beta2) * g**2
        theta = theta - lr * (m + alpha * g) / (sqrt(nu / (1 - beta2**t)) + eps)
        yield theta
