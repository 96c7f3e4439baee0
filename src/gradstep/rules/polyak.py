"""SGD with Polyak's step. Loizou et al. 2021 (AISTATS 24), arXiv:2002.10542, SPS_max with c = 1; Polyak 1987.

``opt.step(grads, loss=f)``: f is the loss at the parameters, f_min the least that it can be. The step is what would
bring a linear loss to f_min, and no longer than lr times the gradient.

Shapes: theta, g alike; loss is a number.   Units: [g] = loss/[theta]; lr in [theta]/[g]; f_min in loss; eps in [g]^2.
"""

import math
from typing import Annotated

from gradstep.rule import Domain, NonNegative, rule

Finite = Annotated[float, Domain(-math.inf)]


def scalars(length, loss, lr=1.0, f_min: Finite = 0.0, eps: NonNegative = 0.0):
    length = length + eps
    return dict(rate=min(lr, max(0.0, loss - f_min) / length) if length > 0 else 0.0)


def squared_gradient(g):
    return g * g


@rule(scalars, takes="loss", reduce={"length": squared_gradient}, over="all", power=2,
      units={"loss": "theta*g", "lr": "theta/g", "f_min": "theta*g", "eps": "g*g"})
def polyak(theta, g, rate):
    theta = theta - rate * g
    return theta, g
