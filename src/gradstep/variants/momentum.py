"""Momentum with the learning rate outside of the buffer: torch 2.13's SGD; optax, MLX and TensorFlow 1 agree.

For a constant lr it is the folded form of the papers; a new lr rescales the whole buffer at once.

Shapes: theta, g, b alike.   Units: [g] = loss/[theta]; b in [g]; lr in [theta]/[g]; the others are pure numbers.
"""

from typing import Annotated

from gradstep.rule import Domain, rule

Share = Annotated[float, Domain(0.0, 1.0)]


def dampened(t, lr=1e-3, momentum=0.9, dampening: Share = 0.0, first_dampening: Share = 0.0):
    return dict(lr=lr, momentum=momentum, gain=1 - (dampening if t > 1 else first_dampening))


@rule(dampened, state="b", units={"lr": "theta/g"}, search=0.3)
def unfolded_momentum(theta, g, b, lr, momentum, gain):
    """torch 2.13, SGD with momentum: lr outside of the buffer. torch does not dampen the first gradient, MLX does.

    Units: [g] = loss/[theta]; b in [g]; lr in [theta]/[g]; momentum and both dampenings are pure numbers.
    """
    b = momentum * b + gain * g
    theta = theta - lr * b
    return theta, g, b


def plain(lr=1e-3, momentum=0.9):
    return dict(lr=lr, momentum=momentum)


@rule(plain, state="b", units={"lr": "theta/g"}, search=0.3)
def unfolded_nesterov(theta, g, b, lr, momentum):
    """torch 2.13, SGD with nesterov=True: lr outside of the buffer.

    Units: [g] = loss/[theta]; b in [g]; lr in [theta]/[g]; momentum is a pure number.
    """
    b = momentum * b + g
    theta = theta - lr * (g + momentum * b)
    return theta, g, b
