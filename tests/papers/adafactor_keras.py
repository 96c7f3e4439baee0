"""Adafactor as Keras 3.15 has it (keras/src/optimizers/adafactor.py): adafactor.py's, behind the decay of Keras,

    X_{t-1} = X_{t-1} - lr weight_decay X_{t-1}

so that alpha_t is taken from the decayed parameters.
"""

from mpmath import mpf, sqrt

from .exact import exact
from .matrices import Factored, combined, each, rms

CITATION = "Keras 3.15, keras/src/optimizers/adafactor.py"
DEFAULTS = {
    "lr": 1e-3,
    "decay_rate": 0.8,
    "eps1": 1e-30,
    "eps2": 1e-3,
    "clip": 1.0,
    "weight_decay": 0.0,  # None
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, decay_rate, eps1, eps2, clip, weight_decay):
    x, second = theta0, Factored(len(theta0), len(theta0[0]))
    for t, g in enumerate(gradients, 1):
        x = each(lambda a: a - lr * weight_decay * a, x)
        alpha = max(eps2, rms(x)) * min(lr, 1 / sqrt(mpf(t)))
        second.add(each(lambda a: a**2 + eps1, g), 1 - mpf(t) ** -decay_rate)
        u = each(lambda a, v: a / sqrt(v), g, second.estimate())
        x = combined((mpf(1), x), (-alpha / max(1, rms(u) / clip), u))
        yield x
