"""FTRL as Keras 3.15 has it (keras/src/optimizers/ftrl.py), which is TensorFlow's.

    n_t   = n_{t-1} + g_t^2,   n_0 = initial_accumulator
    sigma = (sqrt(n_t) - sqrt(n_{t-1})) / lr
    z_t   = z_{t-1} + g_t + 2 shrinkage w_{t-1} - sigma w_{t-1}
    w_t   = (min(max(z_t, -l1), l1) - z_t) / ((sqrt(n_t) + beta) / lr + 2 l2)

Named differences from McMahan et al. 2013 (ftrl.py): n_0 is not zero, l2 counts twice, and shrinkage, which n_t does
not see. The learning_rate_power is -1/2, the default.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Keras 3.15, keras/src/optimizers/ftrl.py"
DEFAULTS = {
    "lr": 1e-3,
    "beta": 0.0,
    "l1": 0.0,
    "l2": 0.0,
    "shrinkage": 0.0,
    "initial_accumulator": 0.1,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta, l1, l2, shrinkage, initial_accumulator):
    w, z, n = theta0, mpf(0), initial_accumulator
    for g in gradients:
        before, n = n, n + g**2
        sigma = (sqrt(n) - sqrt(before)) / lr
        z = z + g + 2 * shrinkage * w - sigma * w
        w = (min(max(z, -l1), l1) - z) / ((sqrt(n) + beta) / lr + 2 * l2)
        yield w
