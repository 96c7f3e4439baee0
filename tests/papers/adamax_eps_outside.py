"""Adamax with epsilon added to the maximum: Keras' Adamax, keras/src/optimizers/adamax.py.

    m_t     = m_{t-1} + (1 - beta1) (g_t - m_{t-1})
    u_t     = max(beta2 u_{t-1}, |g_t|)
    theta_t = theta_{t-1} - lr m_t / ((1 - beta1^t) (u_t + eps))

Named difference
- Keras computes beta1^t, and 1 minus it, in the dtype of the parameter; here they are exact.
"""

from mpmath import mpf

from .exact import exact

CITATION = "Keras 3.15, keras/src/optimizers/adamax.py, Adamax.update_step"
DEFAULTS = {
    "lr": 1e-3,  # Keras, as all four
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-7,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps):
    theta, m, u = theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        m = m + (1 - beta1) * (g - m)
        u = max(beta2 * u, abs(g))
        theta = theta - lr * m / ((1 - beta1**t) * (u + eps))
        yield theta
