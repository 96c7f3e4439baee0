"""Adagrad. Duchi, Hazan & Singer 2011, JMLR 12, 2121-2159, Figure 1 (diagonal matrices, composite mirror descent).

    s_{t,i} = || g_{1:t,i} ||_2
    H_t     = delta I + diag(s_t)
    x_{t+1} = argmin_x { eta <g_t, x> + eta phi(x) + B_{psi_t}(x, x_t) },   psi_t(x) = 1/2 <x, H_t x>

Without a constraint and with phi = 0 the minimum is x_{t+1} = x_t - eta H_t^{-1} g_t. delta is called eps here, and
stands outside the root because the paper has it there.

Named differences: none with the defaults of the two hyperparameters that torch adds (torch/optim/adagrad.py):
- initial_accumulator, added to the sum of squares: s_t = sqrt(initial_accumulator + || g_{1:t} ||_2^2).
- lr_decay: eta is divided by 1 + (t - 1) lr_decay at step t.
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
