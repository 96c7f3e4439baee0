"""NAdamW. Dahl et al. 2023, arXiv:2306.07179 (AlgoPerf), its NAdamW baseline; timm's nadamw is the same.

    m_t     = beta1 m_{t-1} + (1 - beta1) g_t
    v_t     = beta2 v_{t-1} + (1 - beta2) g_t^2
    mhat_t  = (beta1 m_t + (1 - beta1) g_t) / (1 - beta1^t)
    vhat_t  = v_t / (1 - beta2^t)
    theta_t = (1 - eta lambda) theta_{t-1} - eta mhat_t / (sqrt(vhat_t) + epsilon)

Named differences: none. (It is the Nesterov momentum of Dozat 2016 with a constant mu, whose two terms are both
corrected with t, not with t + 1 and t.)
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Dahl et al. 2023, arXiv:2306.07179 (AlgoPerf), the NAdamW baseline"
DEFAULTS = {
    "lr": 1e-3,  # timm's NAdamW, as all five
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 1e-2,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, weight_decay):
    theta, m, v = theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = (beta1 * m + (1 - beta1) * g) / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        theta = (1 - lr * weight_decay) * theta - lr * m_hat / (sqrt(v_hat) + eps)
        yield theta
