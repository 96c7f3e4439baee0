"""Adamax. Kingma & Ba 2015, arXiv:1412.6980, Algorithm 2.

The paper has no eps: where no gradient has come yet, 0/0 counts as a step of zero.

Shapes: theta, g, m, u alike.   Units: [g] = loss/[theta]; m, u in [g]; lr in [theta]; beta1, beta2 are pure numbers.
"""

from gradstep.rule import rule
from gradstep.vocabulary import abs, maximum, where


def scalars(t, lr=2e-3, beta1=0.9, beta2=0.999):
    return dict(rate=lr / (1 - beta1**t), beta1=beta1, rest1=1 - beta1, beta2=beta2)


@rule(scalars, state="m u", nonnegative="u", units={"lr": "theta"}, search=2.0)
def adamax(theta, g, m, u, rate, beta1, rest1, beta2):
    m = beta1 * m + rest1 * g
    u = maximum(beta2 * u, abs(g))
    theta = theta - rate * where(u > 0.0, m / u, 0.0)
    return theta, g, m, u
