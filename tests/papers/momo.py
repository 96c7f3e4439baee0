"""MoMo. Schaipp et al. 2024 (ICML), arXiv:2305.07583, Algorithm 1, with lambda = 0 and D = the identity.

    fbar_k  = beta fbar_{k-1} + (1 - beta) f(x_k)
    gamma_k = beta gamma_{k-1} + (1 - beta) <g_k, x_k>
    d_k     = beta d_{k-1} + (1 - beta) g_k
    h_k     = fbar_k + <d_k, x_k> - gamma_k
    tau_k   = min(alpha, max(h_k - f*, 0) / ||d_k||^2)
    x_{k+1} = x_k - tau_k d_k

Before the first step the averages are f(x_1), <g_1, x_1> and g_1. Here alpha is lr, f* is f_min; the products are those
of all arrays together, a list of numbers here. loss has f(x_k) for each gradient.

Named differences: where d_k is zero nothing moves, as in the authors' code and optax 0.2.8; the paper divides by zero.
"""

from mpmath import mpf

from .exact import exact

CITATION = "Schaipp et al. 2024, arXiv:2305.07583, Algorithm 1"
DEFAULTS = {
    "lr": 1.0,  # the authors' code and optax, as all three
    "f_min": 0.0,
    "beta": 0.9,
}


def product(p, q):
    return sum(a * b for a, b in zip(p, q, strict=True))


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, loss, lr, f_min, beta):
    x, f_bar, gamma, d = theta0, None, None, None
    for f, g in zip(loss, gradients, strict=True):
        inner = product(g, x)
        if d is None:
            f_bar, gamma, d = f, inner, g
        f_bar = beta * f_bar + (1 - beta) * f
        gamma = beta * gamma + (1 - beta) * inner
        d = [beta * a + (1 - beta) * b for a, b in zip(d, g, strict=True)]
        h = f_bar + product(d, x) - gamma
        tau = min(lr, max(h - f_min, 0) / product(d, d)) if product(d, d) > 0 else mpf(0)
        x = [a - tau * b for a, b in zip(x, d, strict=True)]
        yield x
