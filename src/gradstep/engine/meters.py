"""Norms of a step: of the gradients, of the update and of the parameters after it, for each group too."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gradstep.array.reduction import joined

METERS = 3  # sums that a metered step keeps of each block
Columns = Sequence[list[float]]  # for each meter the sums of blocks
Ranges = Sequence[tuple[int, int]]  # where in a column the blocks of each tensor stand


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
    """Return the terms that are summed for each element, as float64, of theta before and after and the gradient."""
    change = after - theta
    return g * g, change * change, after * after


def summed(columns: Columns, ranges: Ranges, groups: Sequence[int], labels: Sequence[str]) -> Diagnostics:
    """The norms from the block sums of all tensors, and the number of each one's group."""
    whole = _norms(columns)
    if len(labels) == 1:
        return Diagnostics(whole.grad_norm, whole.update_norm, whole.param_norm, {labels[0]: whole})
    own: list[list[list[float]]] = [[[] for _ in columns] for _ in labels]
    for (begin, end), group in zip(ranges, groups, strict=True):
        for mine, sums in zip(own[group], columns, strict=True):
            mine += sums[begin:end]
    each = dict(zip(labels, map(_norms, own), strict=True))
    return Diagnostics(whole.grad_norm, whole.update_norm, whole.param_norm, each)


def _norms(columns: Columns) -> Diagnostics:
    grad, update, param = (math.sqrt(joined(sums)) for sums in columns)
    return Diagnostics(grad, update, param)
