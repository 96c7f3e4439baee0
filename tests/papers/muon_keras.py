"""Muon as Keras 3.15 has it (keras/src/optimizers/muon.py), for a matrix of two axes: Moonshot's (muon_moonlight.py).

    B_t = momentum B_{t-1} + G_t,   U_t = G_t + momentum B_t
    theta_t = theta_{t-1} - lr weight_decay theta_{t-1} - lr rms_rate sqrt(max(rows, columns)) X

with X of U_t / (||U_t|| + 1e-7) by Jordan's five steps.
"""

from mpmath import mpf, sqrt

from .exact import exact
from .matrices import combined, newton_schulz, norm

CITATION = "Keras 3.15, keras/src/optimizers/muon.py"
DEFAULTS = {
    "lr": 1e-3,
    "momentum": 0.95,
    "weight_decay": 0.004,
    "rms_rate": 0.2,
    "eps": 1e-7,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum, weight_decay, rms_rate, eps, nesterov=1):
    theta, buffer = theta0, combined((mpf(0), theta0))
    scale = lr * rms_rate * sqrt(mpf(max(len(theta), len(theta[0]))))
    for g in gradients:
        buffer = combined((momentum, buffer), (1, g))
        u = combined((1, g), (momentum, buffer)) if nesterov else buffer
        theta = combined((1 - lr * weight_decay, theta), (-scale, newton_schulz(u, norm(u) + eps)))
        yield theta
