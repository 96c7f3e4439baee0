"""Adamax with epsilon inside of the maximum: torch's Adamax, torch/optim/adamax.py; optax.adamax is the same.

    m_t     = m_{t-1} + (1 - beta1) (g_t - m_{t-1})
    u_t     = max(beta2 u_{t-1}, |g_t| + eps)
    theta_t = theta_{t-1} - lr / (1 - beta1^t) m_t / u_t

Named differences: none.
"""

from mpmath import mpf

from .exact import exact

CITATION = "torch 2.13, torch/optim/adamax.py, _single_tensor_adamax"
DEFAULTS = {
    "lr": 2e-3,  # torch, as all four
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps):
    theta, m, u = theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        m = m + (1 - beta1) * (g - m)
        u = max(beta2 * u, abs(g) + eps)
        theta = theta - lr / (1 - beta1**t) * m / u
        yield theta
