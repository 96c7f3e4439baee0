"""Weight decay as a proximal step. Xie et al. 2022, arXiv:2208.06677, Algorithm 1, line 8, which is Adan's default.

It comes behind the rule: ``gs.chain(gs.adan(), gs.proximal_decay(weight_decay=0.02))``.

Shapes: theta, g alike.   Units: lr * weight_decay is a pure number.
"""

from gradstep.rule import shared, stage


def scalars(lr=shared, weight_decay=1e-2):
    return dict(share=1 / (1 + lr * weight_decay))


@stage(scalars)
def proximal_decay(theta, g, share):
    theta = share * theta
    return theta, g
