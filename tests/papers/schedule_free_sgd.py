"""Schedule-free SGD. Defazio et al. 2024 (NeurIPS), arXiv:2405.15682, equations 3-5, with the weights of Algorithm 1.

    y_t     = (1 - beta) z_t + beta x_t                      (the gradient g_t is taken at y_t)
    z_{t+1} = z_t - gamma_t g_t
    x_{t+1} = (1 - c_{t+1}) x_t + c_{t+1} z_{t+1},   c_{t+1} = gamma_t^2 / sum_{i<=t} gamma_i^2
    gamma_t = gamma min(1, t / T_warmup),   t = 1, 2, ...

Here beta is beta1, gamma is lr, T_warmup is warmup (zero: none); z_1 = x_1 = theta0. What is given is y, where the next
gradient is taken.

Named differences
- The weights are the squares of the largest gamma so far, as in the authors' code (schedulefree/
  sgd_schedulefree_reference.py, weight_lr_power 2, r 0), which is the same while gamma_t does not fall.
- lr = 0 gives 0/0: c is zero, as in the authors' code.
"""

from mpmath import mpf

from .exact import exact, ratio

CITATION = "Defazio et al. 2024, arXiv:2405.15682, equations 3-5"
DEFAULTS = {
    "lr": 1.0,  # the authors' code, as all three
    "beta1": 0.9,
    "warmup": 0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, warmup):
    x, z, top, total = theta0, theta0, mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        gamma = lr * t / warmup if t < warmup else lr
        top = max(top, gamma)
        total = total + top**2
        c = ratio(top**2, total)
        z = z - gamma * g
        x = (1 - c) * x + c * z
        yield (1 - beta1) * z + beta1 * x
