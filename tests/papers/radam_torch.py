"""RAdam with epsilon beside the uncorrected root: torch's RAdam, torch/optim/radam.py.

    m_t     = m_{t-1} + (1 - beta1) (g_t - m_{t-1})
    v_t     = beta2 v_{t-1} + (1 - beta2) g_t^2
    mhat_t  = m_t / (1 - beta1^t)
    rho_inf = 2 / (1 - beta2) - 1
    rho_t   = rho_inf - 2 t beta2^t / (1 - beta2^t)
    if rho_t > 5:
        l_t     = sqrt(1 - beta2^t) / (sqrt(v_t) + eps)
        r_t     = sqrt((rho_t - 4) (rho_t - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho_t))
        theta_t = theta_{t-1} - lr mhat_t l_t r_t
    else:
        theta_t = theta_{t-1} - lr mhat_t

Named differences: none.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "torch 2.13, torch/optim/radam.py, _single_tensor_radam"
DEFAULTS = {
    "lr": 1e-3,  # torch, as all four
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps):
    theta, m, v = theta0, mpf(0), mpf(0)
    rho_inf = 2 / (1 - beta2) - 1
    for t, g in enumerate(gradients, 1):
        m = m + (1 - beta1) * (g - m)
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        if rho > 5:
            l = sqrt(1 - beta2**t) / (sqrt(v) + eps)  # noqa: E741
            r = sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
            theta = theta - lr * m_hat * l * r
        else:
            theta = theta - lr * m_hat
        yield theta
