"""MARS: the gradient with a correction of its variance. Yuan et al. 2024, arXiv:2411.10438, Algorithm 2, approximate.

The gradient before stands for that of the parameters before on this batch, which would be another evaluation. In a
chain it comes before the rule, whose beta1 it takes: ``gs.chain(gs.decay(), gs.mars(), gs.adam(beta1=0.95))``. What it
gives is scaled to the norm max_norm where it is longer, for each array.

Shapes: theta, g, last alike.   Units: last, max_norm in [g]; gamma, beta1 are pure numbers.
"""

from typing import Annotated

from gradstep.rule import Domain, NonNegative, shared, stage
from gradstep.vocabulary import sqrt

Norm = Annotated[float, Domain(1e-150)]


def weights(beta1=shared, gamma: NonNegative = 0.025):
    return dict(gain=gamma * beta1 / (1 - beta1))


def shortened(total, max_norm: Norm = 1.0):
    norm = sqrt(total)
    return dict(factor=max_norm / norm if norm > max_norm else 1.0)


def corrected(g, last, gain):
    return g + gain * (g - last)


def square(g, last, gain):
    c = corrected(g, last, gain)
    return c * c


@stage(shortened, early=weights, reduce=square, over="tensor", state="last", bounds="max_norm", clips="factor", power=2,
       units={"max_norm": "g"})
def mars(theta, g, last, gain, factor):
    c = factor * corrected(g, last, gain)
    return theta, c, g
