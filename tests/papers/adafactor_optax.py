"""Adafactor as optax 0.2.8 has it (optax/_src/alias.py, adafactor), where both axes are factored.

adafactor.py's R_t, C_t and Uhat_t; then, with d_t = max(0.001, RMS(X_{t-1})),

    M_t = momentum M_{t-1} + (1 - momentum) lr d_t Uhat_t
    X_t = X_{t-1} - M_t - weight_decay X_{t-1}

Named differences from Shazeer & Stern 2018: lr is not bounded by 1 / sqrt(t); momentum, of the finished step and
without correction (none: momentum 0); the decay is not multiplied by lr.
"""

from mpmath import mpf, sqrt

from .exact import exact
from .matrices import Factored, combined, each, rms

CITATION = "optax 0.2.8, optax/_src/alias.py, adafactor"
DEFAULTS = {
    "lr": 1.0,  # None
    "decay_rate": 0.8,
    "momentum": 0.0,  # None
    "eps1": 1e-30,
    "eps2": 1e-3,
    "clip": 1.0,
    "weight_decay": 0.0,  # None
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, decay_rate, momentum, eps1, eps2, clip, weight_decay):
    x, second, m = theta0, Factored(len(theta0), len(theta0[0])), combined((mpf(0), theta0))
    for t, g in enumerate(gradients, 1):
        second.add(each(lambda a: a**2 + eps1, g), 1 - mpf(t) ** -decay_rate)
        u = each(lambda a, v: a / sqrt(v), g, second.estimate())
        scale = lr * max(eps2, rms(x)) / max(1, rms(u) / clip)
        m = combined((momentum, m), ((1 - momentum) * scale, u))
        x = combined((1 - weight_decay, x), (mpf(-1), m))
        yield x
