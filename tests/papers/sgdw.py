"""SGDW. Loshchilov & Hutter 2019 (ICLR), arXiv:1711.05101, Algorithm 1 with the decoupled decay (line 9).

    m_t     = beta1 m_{t-1} + eta_t alpha g_t
    theta_t = theta_{t-1} - m_t - eta_t lambda theta_{t-1}

Named differences
- The paper's decay per step is eta_t lambda, free of alpha. Here it is lr * weight_decay: eta_t = 1, alpha = lr,
  lambda = lr * weight_decay.
- beta1 is called momentum.
"""

from mpmath import mpf

from .exact import exact

CITATION = "Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 1"
DEFAULTS = {
    "lr": 1e-2,  # the paper tunes it
    "momentum": 0.9,  # the paper's experiments
    "weight_decay": 1e-4,  # the paper tunes lambda
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum, weight_decay):
    eta, alpha, lambda_ = 1, lr, lr * weight_decay
    theta, m = theta0, mpf(0)
    for g in gradients:
        m = momentum * m + eta * alpha * g
        theta = theta - m - eta * lambda_ * theta
        yield theta
