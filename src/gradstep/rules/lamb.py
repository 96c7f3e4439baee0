"""LAMB. You et al. 2020 (ICLR), arXiv:1904.00962, Algorithm 2, with phi the identity.

Each array's step has the norm of lr times the array's own; where either norm is zero, their ratio counts as one.
eps is added to the corrected root, as in Adam. The weight decay is in the step, before its norm is taken.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; eps in [g]; weight_decay in 1/[theta];
lr, beta1, beta2 are pure numbers.
"""

from gradstep.rule import rule
from gradstep.vocabulary import sqrt


def averages(t, beta1=0.9, beta2=0.999, eps=1e-6, weight_decay=1e-2):
    return dict(mean=1 / (1 - beta1**t), unbias2=1 / sqrt(1 - beta2**t), eps=eps, weight_decay=weight_decay,
                beta1=beta1, rest1=1 - beta1, beta2=beta2, rest2=1 - beta2)


def scalars(size, length, lr=1e-3):
    return dict(rate=lr * sqrt(size) / sqrt(length) if size > 0 and length > 0 else lr)


def direction(theta, g, m, v, mean, unbias2, eps, weight_decay, beta1, rest1, beta2, rest2):
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    u = mean * m / (unbias2 * sqrt(v) + eps) + weight_decay * theta
    return u, m, v


def squared(theta):
    return theta * theta


def squared_direction(theta, g, m, v, mean, unbias2, eps, weight_decay, beta1, rest1, beta2, rest2):
    u, _, _ = direction(theta, g, m, v, mean, unbias2, eps, weight_decay, beta1, rest1, beta2, rest2)
    return u * u


@rule(scalars, early=averages, reduce={"size": squared, "length": squared_direction}, over="tensor",
      state="m v", nonnegative="v", power=2, units={"eps": "g", "weight_decay": "1/theta"},
      exceptions={"first_step_descends": "the decay pulls towards zero, whatever the gradient"})
def lamb(theta, g, m, v, mean, unbias2, eps, weight_decay, beta1, rest1, beta2, rest2, rate):
    u, m, v = direction(theta, g, m, v, mean, unbias2, eps, weight_decay, beta1, rest1, beta2, rest2)
    theta = theta - rate * u
    return theta, g, m, v
