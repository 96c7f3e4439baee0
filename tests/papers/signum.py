"""Signum. Bernstein et al. 2018 (ICML), arXiv:1802.04434, Algorithm 2.

    m_{k+1} = beta m_k + (1 - beta) g_k
    x_{k+1} = x_k - delta sign(m_{k+1})

Named differences: none. sign(0) = 0; beta is called beta1.
"""

from mpmath import mpf, sign

from .exact import exact

CITATION = "Bernstein et al. 2018, arXiv:1802.04434, Algorithm 2"
DEFAULTS = {
    "lr": 1e-4,  # the paper tunes delta; this is the custom for rules of signs
    "beta1": 0.9,  # the paper's experiments
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1):
    x, m = theta0, mpf(0)
    for g in gradients:
        m = beta1 * m + (1 - beta1) * g
        x = x - lr * sign(m)
        yield x
