"""Adafactor as optax 0.2.8 has it with factored=False (optax/_src/factorized.py, scale_by_factored_rms).

adafactor_optax.py's, where V_t is kept whole: V_t = beta V_{t-1} + (1 - beta) (G_t^2 + eps1), beta = 1 - t^-decay_rate.
"""

from mpmath import mpf, sqrt

from .adafactor_optax import DEFAULTS as DEFAULTS
from .exact import exact
from .matrices import combined, each, rms

CITATION = "optax 0.2.8, optax/_src/factorized.py, scale_by_factored_rms"


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, decay_rate, momentum, eps1, eps2, clip, weight_decay):
    x = theta0
    v = m = combined((mpf(0), theta0))
    for t, g in enumerate(gradients, 1):
        rest = mpf(t) ** -decay_rate
        v = combined((1 - rest, v), (rest, each(lambda a: a**2 + eps1, g)))
        u = each(lambda a, b: a / sqrt(b), g, v)
        scale = lr * max(eps2, rms(x)) / max(1, rms(u) / clip)
        m = combined((momentum, m), ((1 - momentum) * scale, u))
        x = combined((1 - weight_decay, x), (mpf(-1), m))
        yield x
