"""Muon as MLX 0.32 has it (mlx/optimizers/optimizers.py, Muon), for a matrix of two axes.

    D_t = G_t + wd theta_{t-1},   V_t = momentum V_{t-1} + (1 - momentum) D_t
    U_t = (1 - momentum) D_t + momentum V_t, or V_t with nesterov=False
    theta_t = theta_{t-1} - lr sqrt(max(1, rows / columns)) X

with X of U_t / (||U_t|| + 1e-7) by Jordan's five steps.
"""

from mpmath import mpf, sqrt

from .exact import exact
from .matrices import combined, newton_schulz, norm

CITATION = "MLX 0.32, mlx/optimizers/optimizers.py, Muon"
DEFAULTS = {
    "lr": 0.02,  # what is given
    "momentum": 0.95,
    "weight_decay": 0.01,
    "eps": 1e-7,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum, weight_decay, eps, nesterov=1):
    theta, v = theta0, combined((mpf(0), theta0))
    scale = sqrt(max(mpf(1), mpf(len(theta0)) / len(theta0[0])))
    for g in gradients:
        d = combined((1, g), (weight_decay, theta))
        v = combined((momentum, v), (1 - momentum, d))
        u = combined((1 - momentum, d), (momentum, v)) if nesterov else v
        theta = combined((1, theta), (-lr * scale, newton_schulz(u, norm(u) + eps)))
        yield theta
