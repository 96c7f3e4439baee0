"""AdamW: Adam with decoupled weight decay. Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2.

The decay is lr * weight_decay * theta, as torch, optax and Keras have it: the paper's lambda is that product.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g];
weight_decay in 1/[theta]; beta1, beta2 are pure numbers.
"""

from gradstep.rule import rule
from gradstep.vocabulary import sqrt


def scalars(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2):
    return dict(shrink=lr * weight_decay, rate=lr / (1 - beta1**t), eps=eps, beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


@rule(scalars, state="m v", nonnegative="v", power=2, units={"lr": "theta", "eps": "g", "weight_decay": "1/theta"},
      exceptions={"first_step_descends": "decoupled decay pulls towards zero, whatever the gradient"})
def adamw(theta, g, m, v, shrink, rate, eps, beta1, rest1, beta2, rest2, unbias2):
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    theta = theta - shrink * theta
    theta = theta - rate * m / (unbias2 * sqrt(v) + eps)
    return theta, g, m, v
