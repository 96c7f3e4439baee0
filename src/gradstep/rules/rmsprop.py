"""RMSprop. Tieleman & Hinton 2012, lecture 6.5; eps, which the lecture does not have, is added to the root.

Shapes: theta, g, v alike.   Units: [g] = loss/[theta]; v in [g]^2; lr in [theta]; eps in [g]; rho is a pure number.
"""

from gradstep.rule import Fraction, rule
from gradstep.vocabulary import sqrt


def scalars(lr=1e-3, rho: Fraction = 0.9, eps=1e-8):
    return dict(lr=lr, rho=rho, rest=1 - rho, eps=eps)


@rule(scalars, state="v", nonnegative="v", power=2, units={"lr": "theta", "eps": "g"}, search=0.3)
def rmsprop(theta, g, v, lr, rho, rest, eps):
    v = rho * v + rest * (g * g)
    theta = theta - lr * g / (sqrt(v) + eps)
    return theta, g, v
