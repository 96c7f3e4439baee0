"""LARS. You, Gitman & Ginsburg 2017, arXiv:1708.03888, Algorithm 1.

Each array has a rate of its own, trust |theta| / (|g| + weight_decay |theta|), times lr; where theta or the
denominator is zero, lr alone. The rate is folded into the velocity.

Shapes: theta, g, v alike.   Units: [g] = loss/[theta]; v in [theta]; weight_decay in [g]/[theta]; lr, momentum, trust
are pure numbers.
"""

from gradstep.rule import Positive, rule
from gradstep.vocabulary import sqrt


def scalars(size, length, lr=1.0, momentum=0.9, weight_decay=0.0, trust: Positive = 1e-3):
    norm, against = sqrt(size), sqrt(length)
    against = against + weight_decay * norm
    return dict(rate=lr * trust * norm / against if norm > 0 and against > 0 else lr,
                momentum=momentum, weight_decay=weight_decay)


def squared(theta):
    return theta * theta


def squared_gradient(g):
    return g * g


@rule(scalars, reduce={"size": squared, "length": squared_gradient}, over="tensor", state="v", power=2,
      units={"weight_decay": "g/theta"},
      exceptions={"first_step_descends": "the decay pulls towards zero, whatever the gradient"})
def lars(theta, g, v, rate, momentum, weight_decay):
    v = momentum * v + rate * (g + weight_decay * theta)
    theta = theta - v
    return theta, g, v
