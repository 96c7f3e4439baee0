"""Gradients of a scaled loss. Micikevicius et al. 2018, arXiv:1710.03740, section 3.2."""

from gradstep.rule import Positive, stage


def scalars(loss_scale: Positive = 1.0):
    return dict(unscale=1 / loss_scale)


@stage(scalars)
def unscale(theta, g, unscale):
    """The gradient divided by the factor that the loss was scaled with, a pure number; before clipping and the rule."""
    g = unscale * g
    return theta, g
