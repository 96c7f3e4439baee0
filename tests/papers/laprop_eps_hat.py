"""LaProp as pytorch_optimizer 4.1.0 has it (optimizer/laprop.py, and apply_ams_bound of base/optimizer.py).

Named difference from Ziyin et al. 2020 (laprop.py): the divisor is (sqrt(n_t + eps_root) + epsilon) / sqrt(1 - nu^t);
eps_root is 1e-15 there.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "pytorch_optimizer 4.1.0, optimizer/laprop.py"
DEFAULTS = {
    "lr": 4e-4,
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-15,
    "eps_root": 1e-15,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, eps_root):
    mu, nu = beta1, beta2
    theta, m, n = theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        n = nu * n + (1 - nu) * g**2
        m = mu * m + (1 - mu) * g * sqrt(1 - nu**t) / (sqrt(n + eps_root) + eps)
        theta = theta - lr * m / (1 - mu**t)
        yield theta
