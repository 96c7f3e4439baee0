"""Adagrad, diagonal. Duchi, Hazan & Singer 2011 (JMLR 12), Figure 1, with eps their delta.

Shapes: theta, g, s alike.   Units: [g] = loss/[theta]; s in [g]^2; lr in [theta]; eps in [g].
"""

from gradstep.rule import rule
from gradstep.vocabulary import sqrt


def scalars(lr=1e-2, eps=1e-10):
    return dict(lr=lr, eps=eps)


@rule(scalars, state="s", nonnegative="s", power=2, units={"lr": "theta", "eps": "g"}, search=10.0)
def adagrad(theta, g, s, lr, eps):
    s = s + g * g
    theta = theta - lr * g / (sqrt(s) + eps)
    return theta, g, s
