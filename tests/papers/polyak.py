"""The stochastic Polyak step. Loizou et al. 2021 (AISTATS), arXiv:2002.10542, SPS_max, section 2.1, with c = 1.

    gamma_k = min((f(x_k) - f*) / ||g_k||^2, gamma_b)
    x_{k+1} = x_k - gamma_k g_k

Here gamma_b is lr, f* is f_min; the norm is that of all arrays together, a list of numbers here. loss has f(x_k) for
each gradient.

Named differences
- epsilon is added to ||g_k||^2, as in optax 0.2.8 (there, as here, zero unless given).
- A gradient of zero moves nothing; the paper divides by zero.
- A loss below f_min moves nothing (optax's "sps+"): in the paper there is none.
"""

from mpmath import mpf

from .exact import exact

CITATION = "Loizou et al. 2021, arXiv:2002.10542, SPS_max"
DEFAULTS = {
    "lr": 1.0,  # optax, as all three (the paper tunes gamma_b)
    "f_min": 0.0,
    "eps": 0.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, loss, lr, f_min, eps):
    x = theta0
    for f, g in zip(loss, gradients, strict=True):
        square = sum(number**2 for number in g) + eps
        gamma = min(max(f - f_min, 0) / square, lr) if square > 0 else mpf(0)
        x = [a - gamma * b for a, b in zip(x, g, strict=True)]
        yield x
