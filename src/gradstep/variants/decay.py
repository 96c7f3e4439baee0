"""Weight decay as ADOPT's authors have it: the first update only looks at the gradient.

Shapes: theta, g alike.   Units: lr * weight_decay is a pure number.
"""

from gradstep.rule import shared, variant
from gradstep.stages.decay import decay


@variant(decay)
def decay_from_second(t, lr=shared, weight_decay=1e-2):
    """Taniguchi et al. 2024, arXiv:2411.02853, the authors' code with decouple=True; timm 1.0.31, Adopt."""
    return dict(shrink=lr * weight_decay if t > 1 else 0.0)
