"""MARS as timm has it: the first gradient is not corrected.

Shapes: theta, g, last alike.   Units: last, max_norm in [g]; gamma, beta1 are pure numbers.
"""

from gradstep.rule import NonNegative, shared, stage
from gradstep.stages.mars import corrected, shortened, square


def weights(t, beta1=shared, gamma: NonNegative = 0.025):
    return dict(gain=gamma * beta1 / (1 - beta1) if t > 1 else 0.0)


@stage(shortened, early=weights, reduce=square, over="tensor", state="last", bounds="max_norm", clips="factor", power=2,
       units={"max_norm": "g"})
def mars_timm(theta, g, last, gain, factor):
    """timm 1.0.31, Mars: there is no gradient before the first. Units as mars."""
    c = factor * corrected(g, last, gain)
    return theta, c, g
