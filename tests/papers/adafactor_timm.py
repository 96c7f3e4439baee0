"""Adafactor as fairseq, Hugging Face's transformers and timm 1.0.31 have it (timm/optim/adafactor.py), without lr.

adafactor.py's (lr is the bound of rho_t, 0.01), with momentum beta1 of the finished step, without correction, and

    X_t = X_{t-1} - alpha_t weight_decay X_{t-1} - M_t,   M_t = beta1 M_{t-1} + (1 - beta1) alpha_t Uhat_t
"""

from mpmath import mpf, sqrt

from .exact import exact
from .matrices import Factored, combined, each, rms

CITATION = "timm 1.0.31, timm/optim/adafactor.py"
DEFAULTS = {
    "lr": 1e-2,
    "decay_rate": 0.8,
    "beta1": 0.0,  # None
    "eps1": 1e-30,
    "eps2": 1e-3,
    "clip": 1.0,
    "weight_decay": 0.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, decay_rate, beta1, eps1, eps2, clip, weight_decay):
    x, second, m = theta0, Factored(len(theta0), len(theta0[0])), combined((mpf(0), theta0))
    for t, g in enumerate(gradients, 1):
        alpha = max(eps2, rms(x)) * min(lr, 1 / sqrt(mpf(t)))
        second.add(each(lambda a: a**2 + eps1, g), 1 - mpf(t) ** -decay_rate)
        u = each(lambda a, v: a / sqrt(v), g, second.estimate())
        m = combined((beta1, m), ((1 - beta1) * alpha / max(1, rms(u) / clip), u))
        x = combined((1 - alpha * weight_decay, x), (mpf(-1), m))
        yield x
