"""Muon as optax 0.2.8 has it (optax/contrib/_muon.py), for a matrix of two axes, the first the one that is summed over.

    B_t = beta B_{t-1} + (1 - beta) G_t
    U_t = beta B_t / (1 - beta^(t+1)) + (1 - beta) G_t / (1 - beta^t)           (nesterov)
    X   of U_t / (||U_t|| + eps) by Jordan's five steps
    theta_t = theta_{t-1} - lr (sqrt(max(1, columns / rows)) X + weight_decay theta_{t-1})

Named differences from muon.py: both terms of U_t are corrected, the first with the next power; the sides' quotient is
the other way round.
"""

from mpmath import mpf, sqrt

from .exact import exact
from .matrices import combined, newton_schulz, norm

CITATION = "optax 0.2.8, optax/contrib/_muon.py"
DEFAULTS = {
    "lr": 0.02,  # optax has no default
    "momentum": 0.95,
    "weight_decay": 0.0,
    "eps": 1e-8,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum, weight_decay, eps):
    theta, buffer = theta0, combined((mpf(0), theta0))
    scale = sqrt(max(mpf(1), mpf(len(theta[0])) / len(theta)))
    for t, g in enumerate(gradients, 1):
        buffer = combined((momentum, buffer), (1 - momentum, g))
        u = combined((momentum / (1 - momentum ** (t + 1)), buffer), ((1 - momentum) / (1 - momentum**t), g))
        x = newton_schulz(u, norm(u) + eps)
        theta = combined((1 - lr * weight_decay, theta), (-lr * scale, x))
        yield theta
