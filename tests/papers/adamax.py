"""Adamax. Kingma & Ba 2015 (ICLR), arXiv:1412.6980, Algorithm 2 (section 7.1).

    m_t     = beta1 m_{t-1} + (1 - beta1) g_t
    u_t     = max(beta2 u_{t-1}, |g_t|)
    theta_t = theta_{t-1} - (alpha / (1 - beta1^t)) m_t / u_t

Named difference
- The paper has no epsilon, and 0/0 while every gradient so far was zero. That quotient is a zero step here.
"""

from mpmath import mpf

from .exact import exact, ratio

CITATION = "Kingma & Ba 2015, arXiv:1412.6980, Algorithm 2"
DEFAULTS = {
    "lr": 2e-3,  # the paper, as all three
    "beta1": 0.9,
    "beta2": 0.999,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2):
    alpha, theta, m, u = lr, theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        u = max(beta2 * u, abs(g))
        theta = theta - alpha / (1 - beta1**t) * ratio(m, u)
        yield theta
