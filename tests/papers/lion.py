"""Lion. Chen et al. 2023, arXiv:2302.06675, Algorithm 2.

    c_t         = beta1 m_{t-1} + (1 - beta1) g_t
    theta_t     = theta_{t-1} - eta_t (sign(c_t) + lambda theta_{t-1})
    m_t         = beta2 m_{t-1} + (1 - beta2) g_t

Named differences
- lambda = 0: decoupled decay is a stage of its own here.
- eta_t is constant.
"""

from mpmath import mpf, sign

from .exact import exact

CITATION = "Chen et al. 2023, arXiv:2302.06675, Algorithm 2"
DEFAULTS = {"lr": 1e-4, "beta1": 0.9, "beta2": 0.99}  # the authors' code; the paper's section 4.2 has the betas


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2):
    theta, m = theta0, mpf(0)
    for g in gradients:
        c = beta1 * m + (1 - beta1) * g
        theta = theta - lr * sign(c)
        m = beta2 * m + (1 - beta2) * g
        yield theta
