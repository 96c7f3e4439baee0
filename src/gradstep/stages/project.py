"""Projections of the parameters onto a set, behind the rule: the nearest point of it, for each array by itself.

Projected gradient descent: Goldstein 1964; Levitin & Polyak 1966. What the rule has averaged goes on as if nothing had
been cut. Behind a rule that scales each element by itself, such as Adam, a box or the orthant is right; the nearest
point of a simplex or a ball is so for steps along the gradient, and Adam may come to rest elsewhere on it.

Shapes: theta, g alike.   Units: low, high, radius in [theta].
"""

import math
from typing import Annotated

from gradstep.rule import Domain, stage
from gradstep.vocabulary import abs, columns, maximum, mean, minimum, rows, sign, simplex, sqrt, where

Finite = Annotated[float, Domain(-math.inf)]
Radius = Annotated[float, Domain(1e-150)]


def ends(low: Finite = -1.0, high: Finite = 1.0):
    if low > high:
        raise ValueError(f"low = {low:g} is above high = {high:g}")
    return dict(low=low, high=high)


@stage(ends, units={"low": "theta", "high": "theta"},
       exceptions={"odd_symmetry": "its ends need not be opposite numbers"})
def project_box(theta, g, low, high):
    """Each element of theta into [low, high]. Units: low, high in [theta]."""
    theta = minimum(maximum(theta, low), high)
    return theta, g


@stage(exceptions={"odd_symmetry": "negative numbers are what it takes away"})
def project_nonnegative(theta, g):
    """Each element of theta that is below zero set to zero."""
    theta = maximum(theta, 0.0)
    return theta, g


def shortened(squares, radius: Radius = 1.0):
    norm = sqrt(squares)
    return dict(factor=radius / norm if norm > radius else 1.0)


def within(radius: Radius = 1.0):
    return dict(radius=radius)


@stage(within, whole=True, folds="first", units={"radius": "theta"})
def project_l1_ball(theta, g, radius):
    """Each array's theta to the nearest whose absolute values add up to radius, where they add up to more.

    Duchi et al. 2008 (ICML). Many elements become 0. Units: radius in [theta].
    """
    size = abs(theta)
    length = rows(theta) * columns(theta) * mean(size, "all")
    theta = where(length > radius, sign(theta) * simplex(size, radius), theta)
    return theta, g


@stage(within, whole=True, folds="first", units={"radius": "theta"},
       exceptions={"odd_symmetry": "negative numbers are what it takes away"})
def project_simplex(theta, g, radius):
    """Each array's theta to the nearest whose elements are not below zero and add up to radius.

    Held, Wolfe & Crowder 1974; Duchi et al. 2008 (ICML), figure 1. Units: radius in [theta].
    """
    theta = simplex(theta, radius)
    return theta, g


@stage(shortened, reduce={"squares": lambda theta: theta * theta}, over="tensor", units={"radius": "theta"})
def project_l2_ball(theta, g, factor):
    """Each array's theta scaled to the norm radius where it is longer. Units: radius in [theta]."""
    theta = factor * theta
    return theta, g
