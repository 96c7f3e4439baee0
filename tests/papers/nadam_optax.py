"""NAdam with a constant momentum: optax.nadam, optax/_src/transform.py, scale_by_adam(nesterov=True).

    m_t     = (1 - beta1) g_t + beta1 m_{t-1}
    v_t     = (1 - beta2) g_t^2 + beta2 v_{t-1}
    mhat_t  = beta1 m_t / (1 - beta1^(t+1)) + (1 - beta1) g_t / (1 - beta1^t)
    vhat_t  = v_t / (1 - beta2^t)
    theta_t = theta_{t-1} - lr mhat_t / (sqrt(vhat_t + eps_root) + eps)

Named difference
- optax computes beta^t, and 1 minus it, in float32 unless JAX is told to use float64; here they are exact.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "optax 0.2.8, optax/_src/transform.py, scale_by_adam(nesterov=True)"
DEFAULTS = {
    "lr": 1e-3,  # the custom (optax has no default)
    "beta1": 0.9,  # optax, as the next three
    "beta2": 0.999,
    "eps": 1e-8,
    "eps_root": 0.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, eps_root):
    theta, m, v = theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        m = (1 - beta1) * g + beta1 * m
        v = (1 - beta2) * g**2 + beta2 * v
        m_hat = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        theta = theta - lr * m_hat / (sqrt(v_hat + eps_root) + eps)
        yield theta
