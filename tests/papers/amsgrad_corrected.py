"""AMSGrad with bias correction after the maximum: torch's Adam(amsgrad=True), torch/optim/adam.py.

    m_t     = m_{t-1} + (1 - beta1) (g_t - m_{t-1})
    v_t     = beta2 v_{t-1} + (1 - beta2) g_t^2
    vmax_t  = max(vmax_{t-1}, v_t)
    theta_t = theta_{t-1} - lr / (1 - beta1^t) m_t / (sqrt(vmax_t) / sqrt(1 - beta2^t) + eps)

Named differences: none.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "torch 2.13, torch/optim/adam.py, _single_tensor_adam"
DEFAULTS = {
    "lr": 1e-3,  # torch, as all four
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps):
    theta, m, v, v_max = theta0, mpf(0), mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        m = m + (1 - beta1) * (g - m)
        v = beta2 * v + (1 - beta2) * g**2
        v_max = max(v_max, v)
        theta = theta - lr / (1 - beta1**t) * m / (sqrt(v_max) / sqrt(1 - beta2**t) + eps)
        yield theta
