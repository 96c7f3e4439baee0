"""Averaged SGD. Polyak & Juditsky 1992, with the decay and the step of torch 2.13, torch/optim/asgd.py.

    theta_t   = (1 - lambd eta_t) theta_{t-1} - eta_t g_t
    eta_{t+1} = lr / (1 + lambd lr t)^alpha,   eta_1 = lr

Named differences
- This is the sequence that is stepped; the average of it, ax_t = ax_{t-1} + mu_t (theta_t - ax_{t-1}), with
  mu_t = 1 / max(1, t - 1 - t0), does not enter it. t0 is of the average alone.
- The step and the decay are torch's (after Bottou's code and Xu 2011, arXiv:1107.2490), not the paper's.
"""

from .exact import exact

CITATION = "Polyak & Juditsky 1992; torch 2.13, torch/optim/asgd.py"
DEFAULTS = {
    "lr": 1e-2,  # torch, as all four
    "lambd": 1e-4,
    "alpha": 0.75,
    "t0": 1e6,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, lambd, alpha, t0):
    del t0  # of the average alone
    theta, eta = theta0, lr
    for t, g in enumerate(gradients, 1):
        theta = (1 - lambd * eta) * theta - eta * g
        eta = lr / (1 + lambd * lr * t) ** alpha
        yield theta
