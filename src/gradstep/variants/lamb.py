"""LAMB as timm and pytorch_optimizer have it: no ratio without a decay; other averages, and a bound of the norm.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; eps in [g]; weight_decay in 1/[theta];
lr, beta1, beta2 are pure numbers.
"""

from gradstep.rule import rule, variant
from gradstep.rules.lamb import lamb, squared
from gradstep.rules.lamb import scalars as adapted
from gradstep.vocabulary import sqrt


@variant(lamb)
def lamb_timm(size, length, lr=1e-3, weight_decay=1e-2):
    """timm 1.0.31, Lamb: where nothing decays, as biases and norms do not, a step is Adam's. Units as lamb."""
    return adapted(size, length, lr) if weight_decay > 0 else dict(rate=lr)


def averages(beta1=0.9, beta2=0.999, eps=1e-6):
    return dict(eps=eps, beta1=beta1, rest1=1 - beta1, beta2=beta2, rest2=1 - beta2)


def bounded(t, size, length, lr=1e-3, beta1=0.9, eps=1e-6):
    ratio = min(sqrt(size), 10.0) / (sqrt(length) + eps) if size > 0 and length > 0 else 1.0
    return dict(rate=lr * ratio / (1 - beta1**t))


def direction(g, m, v, eps, beta1, rest1, beta2, rest2):
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    return m / (sqrt(v) + eps), m, v


def squared_direction(g, m, v, eps, beta1, rest1, beta2, rest2):
    u, _, _ = direction(g, m, v, eps, beta1, rest1, beta2, rest2)
    return u * u


@rule(bounded, early=averages, reduce={"size": squared, "length": squared_direction}, over="tensor",
      state="m v", nonnegative="v", power=2, units={"eps": "g"},
      exceptions={"units": "eps is added to a root and to a norm, which have other units"})
def lamb_bounded(theta, g, m, v, eps, beta1, rest1, beta2, rest2, rate):
    """pytorch_optimizer 4.1.0, Lamb: v is not corrected, the norm of theta counts as 10 at most. Units as lamb."""
    u, m, v = direction(g, m, v, eps, beta1, rest1, beta2, rest2)
    theta = theta - rate * u
    return theta, g, m, v
