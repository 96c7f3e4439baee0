"""ADOPT as pytorch_optimizer 4.1.0 has it (optimizer/adopt.py).

Named difference from adopt.py: the bound is that of the number of the update, which is two at the first that moves:
c_t = (t + 1)^(1/4) where adopt.py has t^(1/4).
"""

from mpmath import mpf, sqrt

from . import adopt
from .exact import exact

CITATION = "pytorch_optimizer 4.1.0, optimizer/adopt.py"
DEFAULTS = adopt.DEFAULTS


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, clip_exponent):
    theta, m, v = theta0, mpf(0), mpf(0)
    for number, g in enumerate(gradients, 1):
        if number == 1:
            v = g**2
        else:
            clip = mpf(number) ** clip_exponent
            n = min(max(g / max(sqrt(v), eps), -clip), clip)
            m = beta1 * m + (1 - beta1) * n
            theta = theta - lr * m
            v = beta2 * v + (1 - beta2) * g**2
        yield theta
