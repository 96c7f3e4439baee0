"""Shampoo. Gupta, Koren & Singer 2018 (ICML), arXiv:1802.09568, Algorithm 1; a vector by Algorithm 2 of order one.

    L_t = L_{t-1} + G_t G_t^T,   R_t = R_{t-1} + G_t^T G_t,   L_0 = epsilon I,   R_0 = epsilon I
    W_{t+1} = W_t - eta L_t^(-1/4) G_t R_t^(-1/4)

and of a vector, a matrix of one column, W_{t+1} = W_t - eta L_t^(-1/2) g_t.

Named differences: none.
"""

from mpmath import mpf

from .exact import exact
from .matrices import combined, identity, power, product, turned

CITATION = "Gupta et al. 2018, arXiv:1802.09568, Algorithm 1"
DEFAULTS = {
    "lr": 1.0,  # the paper tunes it
    "eps": 1e-4,  # the paper's experiments
}
BOUND = 1e-9  # L and R are all but singular at first, and the fourth root of their least eigenvalue has lost digits.


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, eps):
    w, left, right = theta0, identity(len(theta0), eps), identity(len(theta0[0]), eps)
    for g in gradients:
        left = combined((1, left), (1, product(g, turned(g))))
        right = combined((1, right), (1, product(turned(g), g)))
        if len(w[0]) == 1:
            step = product(power(left, mpf(-1) / 2), g)
        else:
            step = product(power(left, mpf(-1) / 4), g, power(right, mpf(-1) / 4))
        w = combined((1, w), (-lr, step))
        yield w
