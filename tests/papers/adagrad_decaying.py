"""Adagrad as torch has it. torch 2.13, torch/optim/adagrad.py; the same for one element:

    s_0     = initial_accumulator
    s_t     = s_{t-1} + g_t^2
    theta_t = theta_{t-1} - lr / (1 + (t - 1) lr_decay) g_t / (sqrt(s_t) + eps)

With the defaults of initial_accumulator and lr_decay it is Duchi's rule (adagrad.py). Named differences: none.
"""

from mpmath import sqrt

from .exact import exact

CITATION = "torch 2.13, torch/optim/adagrad.py"
DEFAULTS = {
    "lr": 1e-2,  # torch (the paper tunes eta)
    "eps": 1e-10,  # torch (the paper asks for a small delta >= 0 and names no value)
    "initial_accumulator": 0.0,  # the paper's rule, and torch, as the next
    "lr_decay": 0.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, eps, initial_accumulator, lr_decay):
    delta, x = eps, theta0
    for t, g in enumerate(gradients, 1):
        eta = lr / (1 + (t - 1) * lr_decay)
        s = sqrt(initial_accumulator + sum(past**2 for past in gradients[:t]))
        H = delta + s
        x = x - eta * g / H
        yield x
