"""Gradient descent. Cauchy 1847; Robbins & Monro 1951, equation 6, for noisy gradients.

Shapes: theta, g alike.   Units: [g] = loss/[theta]; lr in [theta]/[g].
"""

from gradstep.rule import rule


def scalars(lr=1e-2):
    return dict(lr=lr)


@rule(scalars, units={"lr": "theta/g"})
def sgd(theta, g, lr):
    theta = theta - lr * g
    return theta, g
