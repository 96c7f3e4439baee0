"""LAMB as Keras has it: a decay that has no part in the step.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; eps in [g]; lr, weight_decay, beta1,
beta2 are pure numbers.
"""

from gradstep.rule import rule
from gradstep.rules.lamb import scalars as adapted
from gradstep.vocabulary import sqrt


def averages(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7, weight_decay=0.0):
    return dict(mean=1 / (1 - beta1**t), unbias2=1 / sqrt(1 - beta2**t), eps=eps, shrink=lr * weight_decay,
                beta1=beta1, rest1=1 - beta1, beta2=beta2, rest2=1 - beta2)


def direction(g, m, v, mean, unbias2, eps, beta1, rest1, beta2, rest2):
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    return mean * m / (unbias2 * sqrt(v) + eps), m, v


def squared(theta, shrink):
    left = theta - shrink * theta
    return left * left


def squared_direction(g, m, v, mean, unbias2, eps, beta1, rest1, beta2, rest2):
    u, _, _ = direction(g, m, v, mean, unbias2, eps, beta1, rest1, beta2, rest2)
    return u * u


@rule(adapted, early=averages, reduce={"size": squared, "length": squared_direction}, over="tensor",
      state="m v", nonnegative="v", power=2, units={"eps": "g"},
      exceptions={"first_step_descends": "the decay pulls towards zero, whatever the gradient"})
def lamb_keras(theta, g, m, v, mean, unbias2, eps, shrink, beta1, rest1, beta2, rest2, rate):
    """Keras 3.15, Lamb: the decay comes first, and the norm is that of what it leaves. Units as above."""
    theta = theta - shrink * theta
    u, m, v = direction(g, m, v, mean, unbias2, eps, beta1, rest1, beta2, rest2)
    theta = theta - rate * u
    return theta, g, m, v
