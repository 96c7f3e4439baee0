"""MoMo: momentum with a model of the loss. Schaipp et al. 2024 (ICML 41), arXiv:2305.07583, Algorithm 1.

``opt.step(grads, loss=f)``: d averages gradients, and three numbers average the loss, <d, theta> and <g, theta>: what
the lines that were seen so far say of the loss here. The step is what brings that to f_min, and no longer than lr
times d. Averages start at the first gradient.

Shapes: theta, g, d alike; loss is a number.   Units: [g] = loss/[theta]; d in [g]; lr in [theta]/[g]; f_min in loss;
beta is a pure number.
"""

import math
from typing import Annotated

from gradstep.rule import Domain, Fraction, rule

Finite = Annotated[float, Domain(-math.inf)]


def averages(t, beta: Fraction = 0.9):
    beta = beta if t > 1 else 0.0
    return dict(beta=beta, rest=1 - beta)


def scalars(along, length, ahead, loss, level, base, beta, rest, lr=1.0, f_min: Finite = 0.0):
    level = beta * level + rest * loss
    base = beta * base + rest * along
    gap = max(0.0, level + ahead - base - f_min)
    return dict(level=level, base=base, rate=min(lr, gap / length) if length > 0 else 0.0)


def along(theta, g):
    return theta * g


def squared(g, d, beta, rest):
    d = beta * d + rest * g
    return d * d


def ahead(theta, g, d, beta, rest):
    return theta * (beta * d + rest * g)


@rule(scalars, takes="loss", early=averages, reduce={"along": along, "length": squared, "ahead": ahead}, over="all",
      state="d", memory={"level": 0.0, "base": 0.0}, power=2,
      units={"loss": "theta*g", "lr": "theta/g",
      "f_min": "theta*g"},
      exceptions={"smaller_state": "the step is as long as a small difference of sums says, with d in them"})
def momo(theta, g, d, beta, rest, rate):
    d = beta * d + rest * g
    theta = theta - rate * d
    return theta, g, d
