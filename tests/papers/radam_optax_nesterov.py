"""RAdam with NAdam's mean: optax.radam(nesterov=True), optax/_src/transform.py, scale_by_radam.

    m_t     = (1 - beta1) g_t + beta1 m_{t-1}
    v_t     = (1 - beta2) g_t^2 + beta2 v_{t-1}
    mhat_t  = beta1 m_t / (1 - beta1^(t+1)) + (1 - beta1) g_t / (1 - beta1^t)
    vhat_t  = v_t / (1 - beta2^t)
    rho_inf = 2 / (1 - beta2) - 1
    rho_t   = rho_inf - 2 t beta2^t / (1 - beta2^t)
    if rho_t >= threshold:
        r_t     = sqrt((rho_t - 4) (rho_t - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho_t))
        theta_t = theta_{t-1} - lr r_t mhat_t / (sqrt(vhat_t + eps_root) + eps)
    else:
        theta_t = theta_{t-1} - lr mhat_t

Named difference
- optax computes beta^t and rho_t in float32 unless JAX is told to use float64. rho_t is a small difference of large
  numbers, and with beta2 = 0.999 early steps are a percent off; here it is exact.

Between 2 and 4, where a lower threshold would let it in, rho_t gives no real r_t (optax: nan).
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "optax 0.2.8, optax/_src/transform.py, scale_by_radam(nesterov=True)"
DEFAULTS = {
    "lr": 1e-3,  # the custom (optax has no default)
    "beta1": 0.9,  # optax, as the next four
    "beta2": 0.999,
    "eps": 1e-8,
    "eps_root": 0.0,
    "threshold": 5.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, eps_root, threshold):
    theta, m, v = theta0, mpf(0), mpf(0)
    rho_inf = 2 / (1 - beta2) - 1
    for t, g in enumerate(gradients, 1):
        m = (1 - beta1) * g + beta1 * m
        v = (1 - beta2) * g**2 + beta2 * v
        m_hat = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        if rho >= threshold:
            r = sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
            theta = theta - lr * r * m_hat / (sqrt(v_hat + eps_root) + eps)
        else:
            theta = theta - lr * m_hat
        yield theta
