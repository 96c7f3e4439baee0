"""Signum. Bernstein et al. 2018, arXiv:1802.04434, Algorithm 2.

Shapes: theta, g, m alike.   Units: [g] = loss/[theta]; m in [g]; lr in [theta]; beta1 is a pure number.
"""

from gradstep.rule import rule
from gradstep.vocabulary import sign


def scalars(lr=1e-4, beta1=0.9):
    return dict(lr=lr, beta1=beta1, rest1=1 - beta1)


@rule(scalars, state="m", units={"lr": "theta"}, search=0.1)
def signum(theta, g, m, lr, beta1, rest1):
    m = beta1 * m + rest1 * g
    theta = theta - lr * sign(m)
    return theta, g, m
