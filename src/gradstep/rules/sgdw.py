"""SGDW: momentum with decoupled weight decay. Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 1.

The decay is lr * weight_decay * theta, as libraries have it: the paper's lambda is that product.

Shapes: theta, g, v alike.   Units: [g] = loss/[theta]; v in [theta]; lr in [theta]/[g]; weight_decay in [g]/[theta];
momentum is a pure number.
"""

from gradstep.rule import rule


def scalars(lr=1e-2, momentum=0.9, weight_decay=1e-4):
    return dict(shrink=lr * weight_decay, lr=lr, momentum=momentum)


@rule(scalars, state="v", units={"lr": "theta/g", "weight_decay": "g/theta"}, search=0.3,
      exceptions={"first_step_descends": "decoupled decay pulls towards zero, whatever the gradient"})
def sgdw(theta, g, v, shrink, lr, momentum):
    v = momentum * v - lr * g
    theta = theta - shrink * theta
    theta = theta + v
    return theta, g, v
