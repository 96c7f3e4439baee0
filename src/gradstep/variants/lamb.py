"""LAMB as timm has it: without weight decay there is no ratio.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; eps in [g]; weight_decay in 1/[theta];
lr, beta1, beta2 are pure numbers.
"""

from gradstep.rule import variant
from gradstep.rules.lamb import lamb
from gradstep.rules.lamb import scalars as adapted


@variant(lamb)
def lamb_timm(size, length, lr=1e-3, weight_decay=1e-2):
    """timm 1.0.31, Lamb: where nothing decays, as biases and norms do not, a step is Adam's. Units as lamb."""
    return adapted(size, length, lr) if weight_decay > 0 else dict(rate=lr)
