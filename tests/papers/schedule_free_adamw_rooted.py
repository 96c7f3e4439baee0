"""Schedule-free AdamW as pytorch_optimizer 4.1.0 has it (optimizer/schedulefree.py).

Named difference from Defazio et al. 2024 (schedule_free_adamw.py): the divisor is
sqrt(v_t / (1 - beta2^t) + eps_root) + epsilon; eps_root is 1e-15 there (apply_ams_bound of base/optimizer.py).
"""

from mpmath import mpf, sqrt

from . import schedule_free_adamw
from .exact import exact, ratio

CITATION = "pytorch_optimizer 4.1.0, optimizer/schedulefree.py"
DEFAULTS = {**schedule_free_adamw.DEFAULTS, "eps_root": 1e-15}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, eps_root, weight_decay, warmup):
    x, y, z, v, top, total = theta0, theta0, theta0, mpf(0), mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        gamma = lr * t / warmup if t < warmup else lr
        top = max(top, gamma)
        total = total + top**2
        c = ratio(top**2, total)
        v = beta2 * v + (1 - beta2) * g**2
        z = z - gamma * g / (sqrt(v / (1 - beta2**t) + eps_root) + eps) - gamma * weight_decay * y
        x = (1 - c) * x + c * z
        y = (1 - beta1) * z + beta1 * x
        yield y
