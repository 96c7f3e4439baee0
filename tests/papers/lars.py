"""LARS. You, Gitman & Ginsburg 2017, arXiv:1708.03888, Algorithm 1, for one layer: an array is a list of numbers.

    lambda_l = eta ||w_t|| / (||g_t|| + beta ||w_t||)
    v_{t+1}  = m v_t + gamma lambda_l (g_t + beta w_t)
    w_{t+1}  = w_t - v_{t+1}

Here gamma is lr, m is momentum, beta is weight_decay, eta is trust.

Named differences
- gamma is constant: the paper's polynomial decay is a schedule's business.
- Where ||w_t|| or ||g_t|| is zero, lambda_l is one, as in the libraries; the paper's is zero, or eta / beta or 0/0.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "You et al. 2017, arXiv:1708.03888, Algorithm 1"
DEFAULTS = {
    "lr": 1.0,  # the paper tunes it
    "momentum": 0.9,  # the paper's experiments
    "weight_decay": 0.0,  # optax (the paper has 0.0005)
    "trust": 1e-3,  # the paper's experiments
}


def norm(values):
    return sqrt(sum(value**2 for value in values))


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum, weight_decay, trust):
    w, v = theta0, [mpf(0)] * len(theta0)
    for g in gradients:
        zero = norm(w) == 0 or norm(g) == 0
        local = mpf(1) if zero else trust * norm(w) / (norm(g) + weight_decay * norm(w))
        v = [momentum * a + lr * local * (b + weight_decay * x) for a, b, x in zip(v, g, w, strict=True)]
        w = [x - a for x, a in zip(w, v, strict=True)]
        yield w
