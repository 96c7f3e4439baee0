"""AMSGrad without bias correction: optax.amsgrad(bias_correction_mu=False, bias_correction_nu=False).

    m_t     = (1 - beta1) g_t + beta1 m_{t-1}
    v_t     = (1 - beta2) g_t^2 + beta2 v_{t-1}
    vmax_t  = max(vmax_{t-1}, v_t)
    theta_t = theta_{t-1} - lr m_t / (sqrt(vmax_t + eps_root) + eps)

Named differences: none.

With eps = eps_root = 0 it is the paper's AMSGrad.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "optax 0.2.8, optax/_src/transform.py, scale_by_amsgrad(bias_correction_mu=False, bias_correction_nu=False)"
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
    for g in gradients:
        m = (1 - beta1) * g + beta1 * m
        v = (1 - beta2) * g**2 + beta2 * v
        v_max = max(v_max, v)
        theta = theta - lr * m / (sqrt(v_max + eps_root) + eps)
        yield theta
