"""Schedule-free AdamW as optax 0.2.8 has it (optax/contrib/_schedule_free.py, schedule_free_adamw).

schedule_free_sgd_optax.py's with u_t = g_t / (sqrt(v_t / (1 - b2^t)) + eps) + weight_decay y_t.
"""

from mpmath import mpf, sqrt

from .exact import exact
from .schedule_free_sgd_optax import CITATION as CITATION
from .schedule_free_sgd_optax import path

DEFAULTS = {"lr": 2.5e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "warmup": 0}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, weight_decay, warmup):
    steps, v = [], mpf(0)
    for t, g in enumerate(gradients, 1):
        v = beta2 * v + (1 - beta2) * g**2
        u = g / (sqrt(v / (1 - beta2**t)) + eps)
        steps.append(lambda y, u=u: u + weight_decay * y)
    return path(theta0, steps, lr, beta1, warmup)
