"""SM3 for matrices alone, where libraries remember a number for an index of each axis.

Shapes: theta, g, m alike; r has one column, c one row.   Units: [g] = loss/[theta]; r, c, eps in [g]^2; lr in [theta];
m, momentum are pure numbers.
"""

from gradstep.rule import variant
from gradstep.rules.sm3 import scalars, sm3


@variant(sm3, axes=2)
def sm3_of_matrices(lr=0.1, momentum=0.0, eps=1e-30):
    """pytorch_optimizer 4.1.0, SM3: an array of more axes is no stack of matrices there. Units as sm3."""
    return scalars(lr, momentum, eps)
