"""AdamaxW: Adamax (Kingma & Ba 2015, arXiv:1412.6980, Algorithm 2) with the decay of arXiv:1711.05101.

    m_t     = beta1 m_{t-1} + (1 - beta1) g_t
    u_t     = max(beta2 u_{t-1}, |g_t|)
    theta_t = theta_{t-1} - eta lambda theta_{t-1} - (eta / (1 - beta1^t)) m_t / u_t

Named differences
- Neither paper has the pair. The decay is put beside Adamax's step as line 12 of Algorithm 2 of the second paper
  (Loshchilov & Hutter 2019) puts it beside Adam's, times lr as in adamw.
- 0/0, while every gradient so far was zero, is a step of the decay alone.
"""

from mpmath import mpf

from .exact import exact, ratio

CITATION = "Kingma & Ba 2015, arXiv:1412.6980, Algorithm 2; Loshchilov & Hutter 2019, arXiv:1711.05101"
DEFAULTS = {
    "lr": 2e-3,  # Adamax' paper, as the next two
    "beta1": 0.9,
    "beta2": 0.999,
    "weight_decay": 1e-2,  # as adamw
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, weight_decay):
    theta, m, u = theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        u = max(beta2 * u, abs(g))
        theta = theta - lr * weight_decay * theta - lr / (1 - beta1**t) * ratio(m, u)
        yield theta
