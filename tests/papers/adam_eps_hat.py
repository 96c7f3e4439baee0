"""Adam with epsilon beside the uncorrected root: Keras' Adam, keras/src/optimizers/adam.py.

    m_t     = m_{t-1} + (1 - beta1) (g_t - m_{t-1})
    v_t     = v_{t-1} + (1 - beta2) (g_t^2 - v_{t-1})
    alpha_t = lr sqrt(1 - beta2^t) / (1 - beta1^t)
    theta_t = theta_{t-1} - alpha_t m_t / (sqrt(v_t) + eps)

It is the reordering that Kingma & Ba 2015 offer in section 2, whose epsilon they write with a hat.

Named difference
- Keras computes beta^t, and 1 minus it, in the dtype of the parameter; here they are exact.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Keras 3.15, keras/src/optimizers/adam.py, Adam.update_step"
DEFAULTS = {
    "lr": 1e-3,  # Keras, as all four
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-7,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps):
    theta, m, v = theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        m = m + (1 - beta1) * (g - m)
        v = v + (1 - beta2) * (g**2 - v)
        alpha = lr * sqrt(1 - beta2**t) / (1 - beta1**t)
        theta = theta - alpha * m / (sqrt(v) + eps)
        yield theta
