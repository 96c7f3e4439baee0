"""Clipping of the gradient by value and by norm. Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, Algorithm 1.

A gradient within the bound is left as it is, bit for bit. Units: max_value and the norms in [g]. The squares of a norm
are numbers of float64: a bound so small that they would vanish is refused, a gradient so large that they would not be
finite too.
"""

from typing import Annotated

from gradstep.rule import Domain, Positive, stage
from gradstep.vocabulary import maximum, minimum, sqrt


def ends(max_value: Positive = 1.0):
    return dict(low=-max_value, high=max_value)


@stage(ends, bounds="max_value", units={"max_value": "g"})
def clip_by_value(theta, g, low, high):
    """Each element of g into [-max_value, max_value]. Units: max_value in [g]; default 1."""
    g = minimum(maximum(g, low), high)
    return theta, g


def square(g):
    return g * g


def shortened(total, max_norm: Annotated[float, Domain(1e-150)] = 1.0):
    norm = sqrt(total)
    return dict(factor=max_norm / norm if norm > max_norm else 1.0)


@stage(shortened, reduce=square, over="tensor", bounds="max_norm", clips="factor", units={"max_norm": "g"})
def clip_by_norm(theta, g, factor):
    """Each array's g scaled to the norm max_norm where it is longer. Pascanu et al. 2013, Algorithm 1."""
    g = factor * g
    return theta, g


@stage(shortened, reduce=square, over="all", bounds="max_norm", clips="factor", units={"max_norm": "g"})
def clip_by_global_norm(theta, g, factor):
    """All gradients scaled together to the norm max_norm where it is longer. Pascanu et al. 2013, Algorithm 1."""
    g = factor * g
    return theta, g
