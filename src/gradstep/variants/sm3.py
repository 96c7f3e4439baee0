"""SM3 as optax has it, where an array has two axes at most.

Shapes: theta, g, m alike; r has one column, c one row.   Units: [g] = loss/[theta]; r, c, eps in [g]^2; lr in [theta];
m, momentum are pure numbers.
"""

from gradstep.rule import variant
from gradstep.rules.sm3 import scalars, sm3


@variant(sm3, axes=2)  # of more, optax remembers the largest of each axis; the rule has a stack of matrices
def sm3_optax(lr=0.1, momentum=0.9, eps=1e-8):
    """optax 0.2.8, sm3: of more than two axes, which are refused, optax has another estimate. Units as sm3."""
    return scalars(lr, momentum, eps)
