"""Adam without bias correction: MLX's Adam as it comes (bias_correction=False), mlx/optimizers/optimizers.py.

    m_t     = beta1 m_{t-1} + (1 - beta1) g_t
    v_t     = beta2 v_{t-1} + (1 - beta2) g_t^2
    theta_t = theta_{t-1} - lr m_t / (sqrt(v_t) + eps)

Named differences: none.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "MLX 0.32, mlx/optimizers/optimizers.py, Adam.apply_single"
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
        v = beta2 * v + (1 - beta2) * g**2
        theta = theta - lr * m / (sqrt(v) + eps)
        yield theta
