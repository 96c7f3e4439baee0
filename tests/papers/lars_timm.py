"""LARS as timm 1.0.31 has it (timm/optim/lars.py), for one layer: an array is a list of numbers.

    r_t = trust ||w_t|| / (||g_t|| + weight_decay ||w_t|| + eps)
    b_t = momentum b_{t-1} + r_t (g_t + weight_decay w_t)
    w_{t+1} = w_t - lr b_t

Named differences from You et al. 2017 (lars.py): lr stands outside of the momentum; eps; and where weight_decay is zero
r_t is one (always_adapt=False, timm's default), as where ||w_t|| or ||g_t|| is zero.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "timm 1.0.31, timm/optim/lars.py"
DEFAULTS = {
    "lr": 1.0,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "trust": 1e-3,
    "eps": 1e-8,
}


def norm(values):
    return sqrt(sum(value**2 for value in values))


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum, weight_decay, trust, eps):
    w, b = theta0, [mpf(0)] * len(theta0)
    for g in gradients:
        r = mpf(1)
        if weight_decay != 0 and norm(w) > 0 and norm(g) > 0:
            r = trust * norm(w) / (norm(g) + weight_decay * norm(w) + eps)
        b = [momentum * x + r * (y + weight_decay * a) for x, y, a in zip(b, g, w, strict=True)]
        w = [a - lr * x for a, x in zip(w, b, strict=True)]
        yield w
