"""Rprop. Riedmiller & Braun 1993 (ICNN), in the form iRprop- of Igel & Huesken 2003 (Neurocomputing 50), as torch's.

    if g_{t-1} g_t > 0:   Delta_t = min(eta+ Delta_{t-1}, Delta_max)
    if g_{t-1} g_t < 0:   Delta_t = max(eta- Delta_{t-1}, Delta_min),   g_t = 0
    otherwise             Delta_t = Delta_{t-1}
    theta_t = theta_{t-1} - sign(g_t) Delta_t

Here lr is Delta_0, shrink is eta-, grow is eta+, least is Delta_min, most is Delta_max. g_0 = 0; a g_t that was set to
zero is zero in the next product too.

Named differences
- Every Delta_t is kept in [least, most], as in torch 2.13 (torch/optim/rprop.py): also the first.
- The signs are compared, not the sign of a product, which a small pair of gradients makes zero in floating point.
"""

from mpmath import mpf, sign

from .exact import exact

CITATION = "Riedmiller & Braun 1993; Igel & Huesken 2003, iRprop-"
DEFAULTS = {
    "lr": 1e-2,  # torch, as all five (the paper's Delta_0 is 0.1)
    "shrink": 0.5,
    "grow": 1.2,
    "least": 1e-6,
    "most": 50.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, shrink, grow, least, most):
    theta, delta, last = theta0, lr, mpf(0)
    for g in gradients:
        if sign(last) * sign(g) > 0:
            delta = grow * delta
        elif sign(last) * sign(g) < 0:
            delta, g = shrink * delta, mpf(0)
        delta = min(max(delta, least), most)
        theta = theta - sign(g) * delta
        last = g
        yield theta
