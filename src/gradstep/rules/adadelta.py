"""Adadelta. Zeiler 2012, arXiv:1212.5701, Algorithm 1; lr, which the paper does not have (1), scales the step alone.

Shapes: theta, g, s, u alike.   Units: [g] = loss/[theta]; s in [g]^2; u in the unit of eps, which stands beside both;
so the rule keeps no scale (the paper's own remark): with eps in [g]^2, lr is in [theta]/[g]; rho is a pure number.
"""

from gradstep.rule import Fraction, rule
from gradstep.vocabulary import sqrt


def scalars(lr=1.0, rho: Fraction = 0.95, eps=1e-6):
    return dict(lr=lr, rho=rho, rest=1 - rho, eps=eps)


@rule(scalars, state="s u", nonnegative="s u", power=2, units={"lr": "theta/g", "eps": "g*g"},
      search=3.0, finds_scale=True)
def adadelta(theta, g, s, u, lr, rho, rest, eps):
    s = rho * s + rest * (g * g)
    step = sqrt(u + eps) / sqrt(s + eps) * g
    u = rho * u + rest * (step * step)
    theta = theta - lr * step
    return theta, g, s, u
