"""Nesterov's momentum with the learning rate outside of the buffer: torch's SGD(nesterov=True), torch/optim/sgd.py.

    b_t     = momentum b_{t-1} + g_t,   b_0 = 0
    theta_t = theta_{t-1} - lr (g_t + momentum b_t)

Named differences: none. (torch asks for a dampening of zero here.)
"""

from mpmath import mpf

from .exact import exact

CITATION = "torch 2.13, torch/optim/sgd.py, _single_tensor_sgd"
DEFAULTS = {
    "lr": 1e-3,  # torch
    "momentum": 0.9,  # the custom (torch defaults to 0)
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum):
    theta, b = theta0, mpf(0)
    for g in gradients:
        b = momentum * b + g
        theta = theta - lr * (g + momentum * b)
        yield theta
