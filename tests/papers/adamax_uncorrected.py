"""Adamax without bias correction: MLX's Adamax, mlx/optimizers/optimizers.py.

    m_t     = beta1 m_{t-1} + (1 - beta1) g_t
    v_t     = max(beta2 v_{t-1}, |g_t|)
    theta_t = theta_{t-1} - lr m_t / (v_t + eps)

Named differences: none.
"""

from mpmath import mpf

from .exact import exact

CITATION = "MLX 0.32, mlx/optimizers/optimizers.py, Adamax.apply_single"
DEFAULTS = {
    "lr": 1e-3,  # the custom (MLX has no default)
    "beta1": 0.9,  # MLX, as the next two
    "beta2": 0.999,
    "eps": 1e-8,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps):
    theta, m, v = theta0, mpf(0), mpf(0)
    for g in gradients:
        m = beta1 * m + (1 - beta1) * g
        v = max(beta2 * v, abs(g))
        theta = theta - lr * m / (v + eps)
        yield theta
