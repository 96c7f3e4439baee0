"""Adafactor as fairseq, Hugging Face's transformers and timm 1.0.31 have it with a rate (timm/optim/adafactor.py).

adafactor_timm.py's, but alpha_t is lr itself: neither bounded by 1 / sqrt(t) nor scaled by RMS(X).
"""

from mpmath import mpf, sqrt

from .exact import exact
from .matrices import Factored, combined, each, rms

CITATION = "timm 1.0.31, timm/optim/adafactor.py, with lr"
DEFAULTS = {
    "lr": 1e-3,  # what is given
    "decay_rate": 0.8,
    "beta1": 0.0,  # None
    "eps1": 1e-30,
    "clip": 1.0,
    "weight_decay": 0.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, decay_rate, beta1, eps1, clip, weight_decay):
    x, second, m = theta0, Factored(len(theta0), len(theta0[0])), combined((mpf(0), theta0))
    for t, g in enumerate(gradients, 1):
        second.add(each(lambda a: a**2 + eps1, g), 1 - mpf(t) ** -decay_rate)
        u = each(lambda a, v: a / sqrt(v), g, second.estimate())
        m = combined((beta1, m), ((1 - beta1) * lr / max(1, rms(u) / clip), u))
        x = combined((1 - lr * weight_decay, x), (mpf(-1), m))
        yield x
