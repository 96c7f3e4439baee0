"""Cautious steps with other masks and scalings of what is kept.

Shapes: before, theta, g alike.   Units: there is no hyperparameter.
"""

from gradstep.rule import stage, variant
from gradstep.stages.cautious import cautious, elements
from gradstep.vocabulary import where


@variant(cautious)
def cautious_mean(kept, elements):
    """timm, its cautious optimizers, and the authors' C-AdamW: the mask over its mean, at least 0.001."""
    return dict(scale=1 / max(kept / elements, 1e-3) if elements > 0 else 1.0)


def agreeing(before, theta, g):
    step = before - theta
    return where(step < 0.0, where(g < 0.0, elements(g), 0.0), where(g < 0.0, 0.0, elements(g)))


def over_kept(kept, elements):
    return dict(scale=elements / max(1.0, kept))


@stage(over_kept, reduce={"kept": agreeing, "elements": elements}, over="tensor", wraps=True,
       exceptions={"odd_symmetry": "zero has a sign, that of positive numbers"})
def cautious_heavyball(before, theta, g, scale):
    """HeavyBall 3.2.1, caution: what goes against the gradient's sign is undone; a gradient of zero has the sign +."""
    step = scale * (agreeing(before, theta, g) * (theta - before))
    theta = before + step
    return theta, g
