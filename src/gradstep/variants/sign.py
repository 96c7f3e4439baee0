"""Descent by the sign of the gradient. Bernstein and others 2018, arXiv:1802.04434, Algorithm 1, as optax has it.

Shapes: theta, g alike.   Units: [g] = loss/[theta]; lr in [theta].
"""

from gradstep.rule import rule
from gradstep.vocabulary import sign


def scalars(lr=1e-3):
    return dict(lr=lr)


@rule(scalars, units={"lr": "theta"})
def sign_sgd(theta, g, lr):
    """optax 0.2.8, sign_sgd: every element goes by the learning rate, and stays where its gradient is zero.

    Units: [g] = loss/[theta]; lr in [theta].
    """
    theta = theta - lr * sign(g)
    return theta, g
