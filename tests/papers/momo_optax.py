"""MoMo as optax 0.2.8 has it (optax/contrib/_momo.py, momo, without adapt_lower_bound): momo.py's, with a decay.

    h_k     = (1 + alpha lambda) (fbar_k - f* - gamma_k) + <d_k, x_k>
    tau_k   = min(alpha, max(h_k, 0) / ||d_k||^2),   0 where ||d_k||^2 <= 2^-52
    x_{k+1} = x_k - alpha lambda / (1 + alpha lambda) x_k - tau_k d_k

Here alpha is lr, lambda is weight_decay, f* is f_min (lower_bound).
"""

from mpmath import mpf

from .exact import exact
from .momo import product

CITATION = "optax 0.2.8, optax/contrib/_momo.py, momo"
DEFAULTS = {"lr": 1.0, "f_min": 0.0, "beta": 0.9, "weight_decay": 0.0}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, loss, lr, f_min, beta, weight_decay):
    x, f_bar, gamma, d = theta0, mpf(0), mpf(0), [mpf(0)] * len(theta0)
    for k, (f, g) in enumerate(zip(loss, gradients, strict=True)):
        kept = beta if k else mpf(0)
        f_bar = kept * f_bar + (1 - kept) * f
        gamma = kept * gamma + (1 - kept) * product(g, x)
        d = [kept * a + (1 - kept) * b for a, b in zip(d, g, strict=True)]
        h = (1 + lr * weight_decay) * (f_bar - f_min - gamma) + product(d, x)
        tau = mpf(0) if product(d, d) <= mpf(2) ** -52 else min(lr, max(h, 0) / product(d, d))
        kept = 1 - lr * weight_decay / (1 + lr * weight_decay)
        x = [kept * a - tau * b for a, b in zip(x, d, strict=True)]
        yield x
