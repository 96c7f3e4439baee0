"""LaProp. Ziyin, Wang & Ueda 2020, arXiv:2002.04839, Algorithm 1.

    n_t     = nu n_{t-1} + (1 - nu) g_t^2
    m_t     = mu m_{t-1} + (1 - mu) g_t / (sqrt(n_t / c_n) + epsilon)
    theta_t = theta_{t-1} - lambda_t m_t / c_m,   c_n = 1 - nu^t,   c_m = 1 - mu^t

Here mu is beta1, nu is beta2.

Named differences
- lambda_t is constant. (The authors' code has it inside of m_t, which is the same then.)
- No decay.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Ziyin et al. 2020, arXiv:2002.04839, Algorithm 1"
DEFAULTS = {
    "lr": 4e-4,  # the authors' code, as all four
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-15,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps):
    mu, nu = beta1, beta2
    theta, m, n = theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        n = nu * n + (1 - nu) * g**2
        m = mu * m + (1 - mu) * g / (sqrt(n / (1 - nu**t)) + eps)
        theta = theta - lr * m / (1 - mu**t)
        yield theta
