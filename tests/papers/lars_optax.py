"""LARS as optax 0.2.8 has it (optax/_src/alias.py, lars), for one layer: an array is a list of numbers.

    u_t = g_t + weight_decay w_t
    b_t = momentum b_{t-1} + lr r_t u_t,   r_t = trust ||w_t|| / (||u_t|| + eps)
    w_{t+1} = w_t - b_t,   or, with nesterov, w_t - (momentum b_t + lr r_t u_t)

Named differences from You et al. 2017 (lars.py): the norm of the sum, where the paper has the sum of the norms; eps.
r_t is one where ||w_t|| or ||u_t|| is zero.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "optax 0.2.8, optax/_src/alias.py, lars"
DEFAULTS = {
    "lr": 1.0,  # optax has no default
    "momentum": 0.9,
    "weight_decay": 0.0,
    "trust": 1e-3,
    "eps": 0.0,
}


def norm(values):
    return sqrt(sum(value**2 for value in values))


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum, weight_decay, trust, eps, nesterov=0):
    w, b = theta0, [mpf(0)] * len(theta0)
    for g in gradients:
        u = [x + weight_decay * y for x, y in zip(g, w, strict=True)]
        r = mpf(1) if norm(w) == 0 or norm(u) == 0 else trust * norm(w) / (norm(u) + eps)
        scaled = [lr * r * x for x in u]
        b = [momentum * x + y for x, y in zip(b, scaled, strict=True)]
        step = [momentum * x + y for x, y in zip(b, scaled, strict=True)] if nesterov else b
        w = [x - y for x, y in zip(w, step, strict=True)]
        yield w
