"""Lookahead. Zhang et al. 2019 (NeurIPS 32), arXiv:1907.08610, Algorithm 1, around the rule before it.

Every k updates slow parameters go a share of the way to the fast ones, which go on from there. ``opt.averaged()``
reads the slow ones.

Shapes: theta, g, slow alike.   Units: slow in [theta]; share is a pure number; k is a number of updates.
"""

from typing import Annotated

from gradstep.rule import Domain, NonNegative, stage
from gradstep.vocabulary import where


def scalars(t, k: Annotated[float, Domain(1.0, whole=True)] = 5.0, share: NonNegative = 0.5):
    is_now = t % k < 1
    return dict(now=1.0 if is_now else 0.0, share=share)


def read(theta, slow):
    return slow


@stage(scalars, state="slow", start={"slow": "theta"}, read=read)
def lookahead(theta, g, slow, now, share):
    moved = slow + share * (theta - slow)
    slow = where(now > 0.5, moved, slow)
    theta = where(now > 0.5, moved, theta)
    return theta, g, slow
