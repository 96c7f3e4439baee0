"""Momentum, the heavy ball. Polyak 1964, USSR Comput. Math. Math. Phys. 4(5); Sutskever et al. 2013 (ICML), eq. 1-2.

Sutskever et al., with epsilon the learning rate:

    v_{t+1}     = mu v_t - epsilon grad f(theta_t)      (1)
    theta_{t+1} = theta_t + v_{t+1}                     (2)

Polyak's own form, x_{n+1} = x_n - alpha grad f(x_n) + beta (x_n - x_{n-1}), is the same for constant coefficients.

Named difference
- mu is constant; the paper raises it over training: a schedule's business.
"""

from mpmath import mpf

from .exact import exact

CITATION = "Polyak 1964; Sutskever, Martens, Dahl & Hinton 2013 (ICML), equations 1-2"
DEFAULTS = {
    "lr": 1e-2,  # Keras' SGD (the paper tunes it)
    "momentum": 0.9,  # a value of mu_max that the paper tries, and the custom (torch and Keras default to 0)
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum):
    epsilon, mu = lr, momentum
    theta, v = theta0, mpf(0)
    for g in gradients:
        v = mu * v - epsilon * g
        theta = theta + v
        yield theta
