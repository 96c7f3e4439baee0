"""RAdam. Liu et al. 2020 (ICLR), arXiv:1908.03265, Algorithm 2.

    rho_inf = 2 / (1 - beta2) - 1
    v_t     = (1/beta2) v_{t-1} + (1 - beta2) g_t^2
    m_t     = beta1 m_{t-1} + (1 - beta1) g_t
    mhat_t  = m_t / (1 - beta1^t)
    rho_t   = rho_inf - 2 t beta2^t / (1 - beta2^t)
    if rho_t > 4 (the variance is tractable):
        l_t     = sqrt((1 - beta2^t) / v_t)
        r_t     = sqrt((rho_t - 4) (rho_t - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho_t))
        theta_t = theta_{t-1} - alpha_t r_t mhat_t l_t
    else:
        theta_t = theta_{t-1} - alpha_t mhat_t

Named differences
- The 1/beta2 in v_t is taken for a misprint of beta2 (the authors' code has beta2).
- eps, absent from the paper, is added to a root in the denominator, as in the authors' code; there it meets sqrt(v_t),
  here Adam's root: l_t = 1 / (sqrt(v_t / (1 - beta2^t)) + eps).
- The bound is the paper's rho_t > 4. The authors' code asks for rho_t >= 5, "more conservative" in its own words, and
  by default does not move at all below that.
- alpha_t is constant: a schedule's business.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Liu et al. 2020, On the Variance of the Adaptive Learning Rate and Beyond, arXiv:1908.03265, Algorithm 2"
DEFAULTS = {
    "lr": 1e-3,  # the authors' code, as all four (the algorithm gives none)
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps):
    alpha, theta, m, v = lr, theta0, mpf(0), mpf(0)
    rho_inf = 2 / (1 - beta2) - 1
    for t, g in enumerate(gradients, 1):
        v = beta2 * v + (1 - beta2) * g**2
        m = beta1 * m + (1 - beta1) * g
        m_hat = m / (1 - beta1**t)
        rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        if rho > 4:
            l = 1 / (sqrt(v / (1 - beta2**t)) + eps)  # noqa: E741
            r = sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
            theta = theta - alpha * r * m_hat * l
        else:
            theta = theta - alpha * m_hat
        yield theta
