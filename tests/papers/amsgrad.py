"""AMSGrad. Reddi, Kale & Kumar 2018 (ICLR), arXiv:1904.09237, Algorithm 2.

    m_t     = beta1_t m_{t-1} + (1 - beta1_t) g_t
    v_t     = beta2 v_{t-1} + (1 - beta2) g_t^2
    vhat_t  = max(vhat_{t-1}, v_t)
    x_{t+1} = Pi_F(x_t - alpha_t m_t / sqrt(vhat_t))

Named differences
- The feasible set F is the whole space: no projection. beta1_t and alpha_t are constant: schedules' business.
- The paper has no epsilon, and 0/0 while every gradient so far was zero. That quotient is a zero step here.

As in the paper there is no bias correction (torch, Keras and optax correct; they run another algorithm).
"""

from mpmath import mpf, sqrt

from .exact import exact, ratio

CITATION = "Reddi, Kale & Kumar 2018, arXiv:1904.09237, Algorithm 2"
DEFAULTS = {
    "lr": 1e-3,  # torch's Adam(amsgrad=True), as all three (the algorithm gives none; the experiments tune them)
    "beta1": 0.9,
    "beta2": 0.999,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2):
    alpha, x, m, v, v_hat = lr, theta0, mpf(0), mpf(0), mpf(0)
    for g in gradients:
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        v_hat = max(v_hat, v)
        x = x - alpha * ratio(m, sqrt(v_hat))
        yield x
