"""FTRL-Proximal. McMahan et al. 2013 (KDD), "Ad click prediction", Algorithm 1, without its logistic loss.

theta is a function of n and z alone: where it starts is forgotten, so start it at 0. Elements with |z| <= l1 are
exactly 0, and so is one that has had no gradient where beta and l2 are 0. Keep lr constant, for z has it in it.

Shapes: theta, g, n, z alike.   Units: [g] = loss/[theta]; z, beta, l1 in [g]; n in [g]^2; lr in [theta]; l2 in
[g]/[theta].
"""

from gradstep.rule import NonNegative, Positive, rule
from gradstep.vocabulary import maximum, minimum, sqrt, where


def scalars(lr: Positive = 0.05, beta: NonNegative = 1.0, l1: NonNegative = 0.0, l2: NonNegative = 0.0):
    return dict(inverse=1 / lr, offset=beta / lr + l2, high=l1, low=-l1)


@rule(scalars, state="n z", nonnegative="n", power=2, units={"lr": "theta", "beta": "g", "l1": "g", "l2": "g/theta"},
      exceptions={"first_step_descends": "the first parameters are forgotten",
                  "smaller_state": "parameters are made from z anew at each step, and would move by its rounding"})
def ftrl(theta, g, n, z, inverse, offset, high, low):
    grown = n + g * g
    z = z + g - (sqrt(grown) - sqrt(n)) * inverse * theta
    below = sqrt(grown) * inverse + offset
    theta = where(below > 0.0, (minimum(maximum(z, low), high) - z) / below, 0.0)
    return theta, g, grown, z
