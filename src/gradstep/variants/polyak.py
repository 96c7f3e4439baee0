"""Polyak's step as optax has it: a gradient that is scaled first, and a loss that may be below its least.

Shapes: theta, g alike; loss is a number.   Units: [g] = loss/[theta]; lr in [theta]/[g]; f_min in loss; eps in [g]^2;
scaling is a pure number.
"""

from gradstep.rule import NonNegative, rule, variant
from gradstep.rules.polyak import Finite, squared_gradient

LEAST = 2.0**-52  # of a squared norm that is divided by


def scalars(length, loss, lr=1.0, scaling: NonNegative = 1.0, f_min: Finite = 0.0, eps: NonNegative = 0.0):
    length = scaling * scaling * length + eps
    return dict(rate=scaling * min(lr, (loss - f_min) / length) if length > LEAST else 0.0)


@rule(scalars, takes="loss", reduce={"length": squared_gradient}, over="all", power=2,
      units={"loss": "theta*g", "lr": "theta/g", "f_min": "theta*g", "eps": "g*g"})
def polyak_optax(theta, g, rate):
    """optax 0.2.8, polyak_sgd: goes uphill where the loss is below f_min; the norm is of scaled gradients."""
    theta = theta - rate * g
    return theta, g


@variant(polyak_optax)
def polyak_optax_plus(length, loss, lr=1.0, scaling: NonNegative = 1.0, f_min: Finite = 0.0, eps: NonNegative = 0.0):
    """optax 0.2.8, polyak_sgd with variant="sps+": stays where the loss is below f_min."""
    return scalars(length, max(loss, f_min), lr, scaling, f_min, eps)
