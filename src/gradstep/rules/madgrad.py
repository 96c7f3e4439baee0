"""MADGRAD. Defazio & Jelassi 2021, arXiv:2101.11075, Algorithm 1, as the authors' code has it.

Dual averaging from the start x0, divided by a cube root. eps is added to the rate too, as in the code.

Shapes: theta, g, s, v, x0 alike.   Units: as the cube root has it, lr is in [theta]^(3/2) [g]^(1/2); eps is added to
lr and to the root, so that it has no unit; momentum is a pure number.
"""

from gradstep.rule import rule
from gradstep.vocabulary import cbrt, sqrt


def scalars(t, lr=1e-2, momentum=0.9, eps=1e-6):
    weight = (lr + eps) * sqrt(float(t)) if lr else 0.0
    return dict(weight=weight, rest=1 - momentum, eps=eps)


@rule(scalars, state="s v x0", nonnegative="v", start={"x0": "theta"}, power=2,
      exceptions={"units": "eps is added to the rate and to a root, which have other units"})
def madgrad(theta, g, s, v, x0, weight, rest, eps):
    v = v + weight * (g * g)
    s = s + weight * g
    z = x0 - s / (cbrt(v) + eps)
    theta = theta + rest * (z - theta)
    return theta, g, s, v, x0
