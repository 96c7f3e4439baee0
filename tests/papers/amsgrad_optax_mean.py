"""AMSGrad with bias correction of the mean alone: optax.amsgrad(bias_correction_nu=False), optax/_src/transform.py.

    m_t     = (1 - beta1) g_t + beta1 m_{t-1}
    v_t     = (1 - beta2) g_t^2 + beta2 v_{t-1}
    vmax_t  = max(vmax_{t-1}, v_t)
    theta_t = theta_{t-1} - lr m_t / (1 - beta1^t) / (sqrt(vmax_t + eps_root) + eps)

Named difference
- optax computes beta1^t, and 1 minus it, in float32 unless JAX is told to use float64; here they are exact.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "optax 0.2.8, optax/_src/transform.py, scale_by_amsgrad(bias_correction_nu=False)"
DEFAULTS = {
    "lr": 1e-3,  # the custom (optax has no default)
    "beta1": 0.9,  # optax, as the next three
    "beta2": 0.999,
    "eps": 1e-8,
    "eps_root": 0.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, eps_root):
    theta, m, v, v_max = theta0, mpf(0), mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        m = (1 - beta1) * g + beta1 * m
        v = (1 - beta2) * g**2 + beta2 * v
        v_max = max(v_max, v)
        theta = theta - lr * m / (1 - beta1**t) / (sqrt(v_max + eps_root) + eps)
        yield theta
