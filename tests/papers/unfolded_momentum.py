"""Momentum with the learning rate outside of the buffer: torch's SGD(momentum=...), torch/optim/sgd.py.

    b_1     = (1 - first_dampening) g_1
    b_t     = momentum b_{t-1} + (1 - dampening) g_t        (t > 1)
    theta_t = theta_{t-1} - lr b_t

Named differences
- torch's buffer starts as a copy of the first gradient, whatever the dampening: first_dampening = 0. MLX damps from a
  buffer of zeros at every step: first_dampening = dampening.
- With momentum = 0 torch and MLX keep no buffer and do not damp; here the formula holds for every momentum.
"""

from mpmath import mpf

from .exact import exact

CITATION = "torch 2.13, torch/optim/sgd.py, _single_tensor_sgd"
DEFAULTS = {
    "lr": 1e-3,  # torch, as the two dampenings
    "momentum": 0.9,  # the custom (torch defaults to 0)
    "dampening": 0.0,
    "first_dampening": 0.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum, dampening, first_dampening):
    theta, b = theta0, mpf(0)
    for t, g in enumerate(gradients, 1):
        damped = first_dampening if t == 1 else dampening
        b = momentum * b + (1 - damped) * g
        theta = theta - lr * b
        yield theta
