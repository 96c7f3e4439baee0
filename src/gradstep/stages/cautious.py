"""Cautious steps. Liang et al. 2024, arXiv:2411.16085, Algorithm 1.

What the rule before it did to an element is kept where it goes against the element's gradient, and undone elsewhere;
what is kept grows by the share that was undone, for each array by itself. A decay that has been done before the rule
stays: ``gs.chain(gs.decay(), gs.adam(lr=1e-3), gs.cautious)``.

Shapes: before, theta, g alike.
"""

from gradstep.rule import stage
from gradstep.vocabulary import sign, where


def elements(g):
    return 0.0 * g + 1.0


def kept(before, theta, g):
    return where(sign(theta - before) * g < 0.0, elements(g), 0.0)


def scalars(kept, elements):
    return dict(scale=elements / (kept + 1))


@stage(scalars, reduce={"kept": kept, "elements": elements}, over="tensor", wraps=True)
def cautious(before, theta, g, scale):
    step = where(sign(theta - before) * g < 0.0, theta - before, 0.0)
    theta = before + scale * step
    return theta, g
