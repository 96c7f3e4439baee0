"""Schedule-free SGD as optax 0.2.8 has it (optax/contrib/_schedule_free.py, schedule_free_sgd).

With u_t = g_t (schedule_free_adamw_optax.py has another), the rates of a warm-up of T steps are

    gamma_t = lr min(1, (t - 1) / T)    by which z goes: the base optimizer counts from 0
    w_t     = (lr min(1, t / T))^2            the weight: its wrapper counts from 1
    z_{t+1} = z_t - gamma_t u_t
    x_{t+1} = (1 - c) x_t + c z_{t+1},   c = w_t / sum_{i<=t} w_i,   x_t = (y_t - (1 - b1) z_t) / b1
    y_{t+1} = b1 x_{t+1} + (1 - b1) z_{t+1}

What is given is y, where the next gradient is taken. weight_lr_power is 2; b1 is beta1, T is warmup (0: none).
"""

from mpmath import mpf

from .exact import exact, ratio

CITATION = "optax 0.2.8, optax/contrib/_schedule_free.py"
DEFAULTS = {"lr": 1.0, "beta1": 0.9, "warmup": 0}


def path(theta0, steps, lr, beta1, warmup):
    """y after each step; ``steps`` gets y and gives u."""

    def rate(count):
        return lr * min(mpf(1), count / warmup) if warmup else lr

    x = y = z = theta0
    weights = mpf(0)
    for t, step in enumerate(steps, 1):
        weight = rate(t) ** 2
        weights = weights + weight
        c = ratio(weight, weights)
        z = z - rate(t - 1) * step(y)
        x = (1 - c) * x + c * z
        y = beta1 * x + (1 - beta1) * z
        yield y


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, warmup):
    return path(theta0, [lambda _, g=g: g for g in gradients], lr, beta1, warmup)
