"""Ascent: what follows goes uphill."""

from gradstep.rule import stage


@stage(ascends=True)
def maximize(theta, g):
    """The gradient's sign turned, so that the rule after it maximises."""
    g = -g
    return theta, g
