"""Heavy-ball momentum. Polyak 1964, equation 9; in the form of Sutskever et al. 2013 (ICML), equations 1 and 2.

The learning rate is folded into the velocity, as in both papers.

Shapes: theta, g, v alike.   Units: [g] = loss/[theta]; v in [theta]; lr in [theta]/[g]; momentum is a pure number.
"""

from gradstep.rule import rule


def scalars(lr=1e-2, momentum=0.9):
    return dict(lr=lr, momentum=momentum)


@rule(scalars, state="v", units={"lr": "theta/g"}, search=0.3)
def momentum(theta, g, v, lr, momentum):
    v = momentum * v - lr * g
    theta = theta + v
    return theta, g, v
