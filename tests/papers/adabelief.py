"""AdaBelief. Zhuang et al. 2020 (NeurIPS), arXiv:2010.07468, Algorithm 2 without its projection.

    m_t     = beta1 m_{t-1} + (1 - beta1) g_t
    s_t     = beta2 s_{t-1} + (1 - beta2) (g_t - m_t)^2 + epsilon
    mhat_t  = m_t / (1 - beta1^t)
    shat_t  = s_t / (1 - beta2^t)
    theta_t = theta_{t-1} - alpha mhat_t / (sqrt(shat_t) + epsilon)

Named difference
- The paper's one epsilon is two numbers here: eps beside the root, eps_root in s_t.

s_t is stored with its epsilon, as in the paper and the authors' code, so that epsilons add up: to
epsilon / (1 - beta2) where g_t stays m_t.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Zhuang et al. 2020, arXiv:2010.07468, Algorithm 2"
DEFAULTS = {
    "lr": 1e-3,  # the authors' adabelief-pytorch 0.2, as all five (without rectify)
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-16,
    "eps_root": 1e-16,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, eps_root):
    alpha, theta, m, s = lr, theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * (g - m) ** 2 + eps_root
        m_hat = m / (1 - beta1**t)
        s_hat = s / (1 - beta2**t)
        theta = theta - alpha * m_hat / (sqrt(s_hat) + eps)
        yield theta
