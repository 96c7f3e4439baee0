"""Adan. Xie et al. 2022, arXiv:2208.06677, Algorithm 1, as the authors' code starts it (sail-sg/Adan, adan.py).

With 1 - beta of the paper called beta:

    m_k         = beta1 m_{k-1} + (1 - beta1) g_k
    v_k         = beta2 v_{k-1} + (1 - beta2) (g_k - g_{k-1})
    n_k         = beta3 n_{k-1} + (1 - beta3) (g_k + beta2 (g_k - g_{k-1}))^2
    theta_{k+1} = theta_k - eta / (sqrt(n_k) + epsilon) (m_k + beta2 v_k)

Named differences
- The three betas are the complements of the paper's, as in the authors' code.
- The averages start at zero and are divided by 1 - beta^k, and g_0 = g_1, as in the authors' code; the paper starts
  them at the first gradient and its square.
- epsilon stands beside the root, as in the authors' code.
- No restart and no decay (lambda = 0).
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Xie et al. 2022, arXiv:2208.06677, Algorithm 1"
DEFAULTS = {
    "lr": 1e-3,  # the authors' code, as all five
    "beta1": 0.98,
    "beta2": 0.92,
    "beta3": 0.99,
    "eps": 1e-8,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, beta3, eps):
    theta, m, v, n = theta0, mpf(0), mpf(0), mpf(0)
    for k, g in enumerate(gradients, 1):
        change = g - gradients[max(k - 2, 0)]
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * change
        n = beta3 * n + (1 - beta3) * (g + beta2 * change) ** 2
        eta = lr / (sqrt(n / (1 - beta3**k)) + eps)
        theta = theta - eta * (m / (1 - beta1**k) + beta2 * v / (1 - beta2**k))
        yield theta
