"""FTRL-Proximal. McMahan et al. 2013 (KDD), Ad Click Prediction: a View from the Trenches, Algorithm 1.

    w_t   = 0                                                              where |z_{t-1}| <= lambda1
            -(z_{t-1} - sgn(z_{t-1}) lambda1) / ((beta + sqrt(n_{t-1})) / alpha + lambda2)     otherwise
    sigma = (sqrt(n_{t-1} + g_t^2) - sqrt(n_{t-1})) / alpha
    z_t   = z_{t-1} + g_t - sigma w_t
    n_t   = n_{t-1} + g_t^2

Here alpha is lr, lambda1 is l1, lambda2 is l2; what is given after each gradient is w_{t+1}.

Named difference
- w_1 is theta0. The paper's is zero, as z_0 = 0 says; z_0 stays zero here, so that theta0 enters with sigma alone.
"""

from mpmath import mpf, sign, sqrt

from .exact import exact

CITATION = "McMahan et al. 2013 (KDD), Algorithm 1"
DEFAULTS = {
    "lr": 0.05,  # river (the paper tunes alpha)
    "beta": 1.0,  # the paper, section 3.1: good enough
    "l1": 0.0,
    "l2": 0.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta, l1, l2):
    w, z, n = theta0, mpf(0), mpf(0)
    for g in gradients:
        sigma = (sqrt(n + g**2) - sqrt(n)) / lr
        z = z + g - sigma * w
        n = n + g**2
        w = mpf(0) if abs(z) <= l1 else -(z - sign(z) * l1) / ((beta + sqrt(n)) / lr + l2)
        yield w
