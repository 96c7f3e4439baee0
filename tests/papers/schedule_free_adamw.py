"""Schedule-free AdamW. Defazio et al. 2024 (NeurIPS), arXiv:2405.15682, Algorithm 1.

    y_t     = (1 - beta1) z_t + beta1 x_t                    (the gradient g_t is taken at y_t)
    v_t     = beta2 v_{t-1} + (1 - beta2) g_t^2
    gamma_t = gamma min(1, t / T_warmup)
    z_{t+1} = z_t - gamma_t g_t / (sqrt(v_t / (1 - beta2^t)) + epsilon) - gamma_t lambda y_t
    c_{t+1} = gamma_t^2 / sum_{i<=t} gamma_i^2
    x_{t+1} = (1 - c_{t+1}) x_t + c_{t+1} z_{t+1}

Here gamma is lr, T_warmup is warmup (zero: none); z_1 = x_1 = theta0. What is given is y, where the next gradient is
taken.

Named differences
- The paper's runs have sqrt(1 - beta2^t) as a factor of gamma_t, and so in the decay and the weights c (the authors'
  adamw_schedulefree_paper.py); here it corrects v_t alone, as in their adamw_schedulefree_reference.py.
- The weights are the squares of the largest gamma so far, as in the authors' code (weight_lr_power 2, r 0), which is
  the same while gamma_t does not fall.
- lr = 0 gives 0/0: c is zero, as in the authors' code.
"""

from mpmath import mpf, sqrt

from .exact import exact, ratio

CITATION = "Defazio et al. 2024, arXiv:2405.15682, Algorithm 1"
DEFAULTS = {
    "lr": 2.5e-3,  # the authors' code, as all six
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "warmup": 0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, weight_decay, warmup):
    x, y, z, v, top, total = theta0, theta0, theta0, mpf(0), mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        gamma = lr * t / warmup if t < warmup else lr
        top = max(top, gamma)
        total = total + top**2
        c = ratio(top**2, total)
        v = beta2 * v + (1 - beta2) * g**2
        z = z - gamma * g / (sqrt(v / (1 - beta2**t)) + eps) - gamma * weight_decay * y
        x = (1 - c) * x + c * z
        y = (1 - beta1) * z + beta1 * x
        yield y
