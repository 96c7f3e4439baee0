"""Schedule-free AdamW as Keras 3.15 has it (keras/src/optimizers/schedule_free_adamw.py).

That is schedule_free_adamw.py's, with

- c_{t+1} = 1 / t, so that steps of the warm-up weigh as much as later ones;
- x taken from y and z, (y - (1 - beta1) z) / beta1, which is the same in exact arithmetic;
- the decay y = y - lr weight_decay y before all else, of y alone.

What is given is y.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Keras 3.15, keras/src/optimizers/schedule_free_adamw.py"
DEFAULTS = {
    "lr": 2.5e-3,
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "warmup": 0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, weight_decay, warmup):
    y, z, v = theta0, theta0, mpf(0)
    for t, g in enumerate(gradients, 1):
        gamma = lr * t / warmup if t < warmup else lr
        y = y - lr * weight_decay * y
        x = (y - (1 - beta1) * z) / beta1
        v = beta2 * v + (1 - beta2) * g**2
        z = z - gamma * g / (sqrt(v / (1 - beta2**t)) + eps)
        x = x + (z - x) / t
        y = (1 - beta1) * z + beta1 * x
        yield y
