"""Nesterov's accelerated gradient. Nesterov 1983; Sutskever et al. 2013 (ICML), equations 3 and 4.

Theta is the point where the gradient is taken, one look ahead: Bengio et al. 2012, arXiv:1212.0901, equation 7.

Shapes: theta, g, v alike.   Units: [g] = loss/[theta]; v in [theta]; lr in [theta]/[g]; momentum is a pure number.
"""

from gradstep.rule import rule


def scalars(lr=1e-2, momentum=0.9):
    return dict(lr=lr, momentum=momentum)


@rule(scalars, state="v", units={"lr": "theta/g"}, search=0.3)
def nesterov(theta, g, v, lr, momentum):
    v = momentum * v - lr * g
    theta = theta + (momentum * v - lr * g)
    return theta, g, v
