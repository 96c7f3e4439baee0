"""Adam. Kingma & Ba 2015 (ICLR), arXiv:1412.6980, Algorithm 1.

    m_t     = beta1 m_{t-1} + (1 - beta1) g_t
    v_t     = beta2 v_{t-1} + (1 - beta2) g_t^2
    mhat_t  = m_t / (1 - beta1^t)
    vhat_t  = v_t / (1 - beta2^t)
    theta_t = theta_{t-1} - alpha mhat_t / (sqrt(vhat_t) + epsilon)

Named differences: none. (The reordering that section 2 offers, with an "epsilon hat", is another place for epsilon.)
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1"
DEFAULTS = {
    "lr": 1e-3,  # the paper, as all four
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps):
    alpha, theta, m, v = lr, theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        theta = theta - alpha * m_hat / (sqrt(v_hat) + eps)
        yield theta
