"""Muon as Moonshot has it. Liu et al. 2025, arXiv:2502.16982, section 2.2, equation (4), and MoonshotAI/Moonlight.

    B_t = momentum B_{t-1} + G_t,   U_t = G_t + momentum B_t
    theta_t = theta_{t-1} - lr (0.2 sqrt(max(rows, columns)) X + weight_decay theta_{t-1})

with X of U_t / (||U_t|| + eps) by Jordan's five steps.
"""

from . import muon_keras
from .exact import exact

CITATION = "Liu et al. 2025, arXiv:2502.16982, equation (4)"
DEFAULTS = {
    "lr": 1e-3,  # the authors' code, as all four
    "momentum": 0.95,
    "weight_decay": 0.1,
    "eps": 1e-7,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum, weight_decay, eps):
    hyper = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "eps": eps}
    return muon_keras.trajectory(theta0, gradients, rms_rate=0.2, **hyper)
