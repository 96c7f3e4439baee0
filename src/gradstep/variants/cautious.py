"""Cautious steps as the authors' AdamW and timm have them: what is kept grows by the share of all, a thousand at most.

Shapes: before, theta, g alike.   Units: there is no hyperparameter.
"""

from gradstep.rule import variant
from gradstep.stages.cautious import cautious


@variant(cautious)
def cautious_mean(kept, elements):
    """timm, its cautious optimizers, and the authors' C-AdamW: the mask over its mean, at least 0.001."""
    return dict(scale=1 / max(kept / elements, 1e-3) if elements > 0 else 1.0)
