"""AdaBelief, rectified: the authors' adabelief-pytorch 0.2 with rectify=True, their default.

adabelief.py's m_t and s_t (epsilon stored in s_t), and RAdam's rectification (Liu et al. 2020, arXiv:1908.03265):

    rho_inf = 2 / (1 - beta2) - 1,   rho_t = rho_inf - 2 t beta2^t / (1 - beta2^t)
    theta_t = theta_{t-1} - alpha mhat_t                                            where rho_t < 5
    r_t     = sqrt((1 - beta2^t) (rho_t - 4) (rho_t - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho_t))
    theta_t = theta_{t-1} - alpha r_t mhat_t / (sqrt(s_t) + epsilon)                 otherwise

so that epsilon stands beside the root of the average that is not corrected.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Zhuang et al. 2020, arXiv:2010.07468, the authors' code with rectify=True"
DEFAULTS = {
    "lr": 1e-3,
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-16,
    "eps_root": 1e-16,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, eps_root):
    theta, m, s = theta0, mpf(0), mpf(0)
    top = 2 / (1 - beta2) - 1
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * (g - m) ** 2 + eps_root
        m_hat = m / (1 - beta1**t)
        rho = top - 2 * t * beta2**t / (1 - beta2**t)
        if rho >= 5:
            r = sqrt((1 - beta2**t) * (rho - 4) / (top - 4) * (rho - 2) / (top - 2) * top / rho)
            theta = theta - lr * r * m_hat / (sqrt(s) + eps)
        else:
            theta = theta - lr * m_hat
        yield theta
