"""What a step did, in norms: of the gradients, of the change and of the parameters after it, for each group too."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from gradstep.reduction import joined

METERS = 3  # sums that a metered step keeps of each block
BlockSums = Sequence[Sequence[float]]  # of one tensor: a list for each meter


@dataclass(frozen=True)
class Diagnostics:
    """Norms of one step, taken in the pass that made it.

    Each is the root of a sum of squares of real and imaginary parts, widened to float64 before anything is done with
    them. The sums go in one order, so that the bits are the same for any engine and number of threads; where one
    overflows or has a NaN in it, the norm is infinite or NaN. What is frozen counts in nothing.

    Attributes
    ----------
    grad_norm
        Of the gradients as they were handed in, before any stage.
    update_norm
        Of the change: parameters after the step minus before, in the numbers that the rule takes and gives. So for
        16-bit parameters it is the change of the master copy, or else the one before rounding.
    param_norm
        Of the parameters after the step, in the same numbers.
    groups
        The same for each group of parameters, by its patterns; ``""`` is the group of all others.
    """

    grad_norm: float
    update_norm: float
    param_norm: float
    groups: Mapping[str, "Diagnostics"] = field(default_factory=dict[str, "Diagnostics"])

    @property
    def update_ratio(self) -> float:
        """``update_norm / param_norm``: 0 where nothing moved, infinite where something moved to zero."""
        if self.update_norm == 0.0:
            return 0.0
        return self.update_norm / self.param_norm if self.param_norm else math.inf


def metered(theta: Any, g: Any, after: Any) -> tuple[Any, Any, Any]:
    """What the meters sum, for operands of any kind that hold float64: theta before and after, and the gradient."""
    change = after - theta
    return g * g, change * change, after * after


def summed(tensors: Sequence[BlockSums], groups: Sequence[int], labels: Sequence[str]) -> Diagnostics:
    """The norms from the block sums of each tensor and the number of its group."""
    own: list[list[BlockSums]] = [[] for _ in labels]
    for sums, group in zip(tensors, groups, strict=True):
        own[group].append(sums)
    each = dict(zip(labels, map(_norms, own), strict=True))
    whole = each[labels[0]] if len(labels) == 1 else _norms(tensors)
    return Diagnostics(whole.grad_norm, whole.update_norm, whole.param_norm, each)


def _norms(tensors: Sequence[BlockSums]) -> Diagnostics:
    grad, update, param = (math.sqrt(joined(chain.from_iterable(x[k] for x in tensors))) for k in range(METERS))
    return Diagnostics(grad, update, param)
