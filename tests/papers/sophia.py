"""Sophia. Liu et al. 2023, arXiv:2305.14342, Algorithm 3, with the estimates of the Hessian's diagonal given.

    m_t = beta1 m_{t-1} + (1 - beta1) g_t
    h_t = beta2 h_{t-k} + (1 - beta2) hhat_t   where t mod k = 1, else h_{t-1}
    theta_{t+1} = theta_t - eta clip(m_t / max(gamma h_t, epsilon), 1)

curvature has hhat_t for each gradient; those of other t are not looked at.

Named difference: no decay (lambda = 0): it is another stage's business.
"""

from mpmath import mpf

from .exact import exact

CITATION = "Liu et al. 2023, arXiv:2305.14342, Algorithm 3"
DEFAULTS = {
    "lr": 1e-4,  # the authors' code, as the next two
    "beta1": 0.965,
    "beta2": 0.99,
    "gamma": 0.01,  # the paper, Sophia-H
    "eps": 1e-12,  # the paper, section 3.1
    "k": 10,  # the paper
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, curvature, lr, beta1, beta2, gamma, eps, k):
    theta, m, h = theta0, mpf(0), mpf(0)
    for t, (g, estimate) in enumerate(zip(gradients, curvature, strict=True), 1):
        m = beta1 * m + (1 - beta1) * g
        if (t - 1) % k == 0:
            h = beta2 * h + (1 - beta2) * estimate
        step = m / max(gamma * h, eps)
        theta = theta - lr * min(max(step, -1), 1)
        yield theta
