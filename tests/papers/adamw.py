"""AdamW. Loshchilov & Hutter 2019 (ICLR), arXiv:1711.05101, Algorithm 2 with the decoupled decay (line 12).

    m_t     = beta1 m_{t-1} + (1 - beta1) g_t
    v_t     = beta2 v_{t-1} + (1 - beta2) g_t^2
    mhat_t  = m_t / (1 - beta1^t)
    vhat_t  = v_t / (1 - beta2^t)
    theta_t = theta_{t-1} - eta_t (alpha mhat_t / (sqrt(vhat_t) + epsilon) + lambda theta_{t-1})

Named difference
- The paper's decay per step is eta_t lambda, free of alpha. Here the schedule multiplier eta_t is part of lr, and the
  decay is lr * weight_decay (torch, optax and Keras do so): eta_t = 1, alpha = lr, lambda = lr * weight_decay. Both
  terms are taken at theta_{t-1}.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2"
DEFAULTS = {
    "lr": 1e-3,  # the paper's line 1, as the next three
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 1e-2,  # torch (the paper tunes lambda)
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, weight_decay):
    eta, alpha, lambda_ = 1, lr, lr * weight_decay
    theta, m, v = theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        theta = theta - eta * (alpha * m_hat / (sqrt(v_hat) + eps) + lambda_ * theta)
        yield theta
