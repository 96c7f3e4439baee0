"""LARS as optax and timm have it: other norms, and lr in another place.

Shapes: theta, g, v alike.   Units: [g] = loss/[theta]; weight_decay in [g]/[theta]; momentum, trust are pure numbers;
others as each says.
"""

from gradstep.rule import NonNegative, Positive, rule
from gradstep.rules.lars import squared, squared_gradient
from gradstep.vocabulary import sqrt

PULLS = {"first_step_descends": "the decay pulls towards zero, whatever the gradient"}


def decay(weight_decay=0.0):
    return dict(weight_decay=weight_decay)


def optax_scalars(size, length, lr=1.0, momentum=0.9, trust: Positive = 1e-3, eps: NonNegative = 0.0):
    return dict(rate=lr * trust * sqrt(size) / (sqrt(length) + eps) if size > 0 and length > 0 else lr,
                momentum=momentum)


def squared_sum(theta, g, weight_decay):
    return (g + weight_decay * theta) * (g + weight_decay * theta)


@rule(optax_scalars, early=decay, reduce={"size": squared, "length": squared_sum}, over="tensor", state="v", power=2,
      units={"weight_decay": "g/theta", "eps": "g"}, exceptions=PULLS)
def lars_optax(theta, g, v, weight_decay, rate, momentum):
    """optax 0.2.8, lars: the norm of gradient and decay together. Units: v in [theta]; lr a pure number; eps in [g]."""
    v = momentum * v + rate * (g + weight_decay * theta)
    theta = theta - v
    return theta, g, v


@rule(optax_scalars, early=decay, reduce={"size": squared, "length": squared_sum}, over="tensor", state="v", power=2,
      units={"weight_decay": "g/theta", "eps": "g"}, exceptions=PULLS)
def lars_optax_nesterov(theta, g, v, weight_decay, rate, momentum):
    """optax 0.2.8, lars with nesterov=True: looks ahead by the velocity. Units as lars_optax."""
    u = rate * (g + weight_decay * theta)
    v = momentum * v + u
    theta = theta - (u + momentum * v)
    return theta, g, v


def timm_scalars(size, length, lr=1.0, momentum=0.0, weight_decay=0.0, trust: Positive = 1e-3, eps=1e-8):
    norm, against = sqrt(size), sqrt(length)
    adapts = weight_decay > 0 and norm > 0 and against > 0
    return dict(ratio=trust * norm / (against + weight_decay * norm + eps) if adapts else 1.0,
                lr=lr, momentum=momentum, weight_decay=weight_decay)


@rule(timm_scalars, reduce={"size": squared, "length": squared_gradient}, over="tensor", state="v", power=2,
      units={"weight_decay": "g/theta", "eps": "g"},
      exceptions={**PULLS, "units": "without a decay, lr has another unit"})
def lars_timm(theta, g, v, ratio, lr, momentum, weight_decay):
    """timm 1.0.31, Lars: lr stands outside of the momentum, and without a decay there is no ratio."""
    v = momentum * v + ratio * (g + weight_decay * theta)
    theta = theta - lr * v
    return theta, g, v
