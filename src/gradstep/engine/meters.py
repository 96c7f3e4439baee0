"""Norms of a step, of gradients, update and parameters, and the elements that it left where they were; by group too."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gradstep.array.namespaces import is_complex
from gradstep.array.reduction import joined

METERS = 4  # sums that a metered step keeps of each block
Columns = Sequence[list[float]]  # for each meter the sums of blocks
Ranges = Sequence[tuple[int, int]]  # where in a column the blocks of each tensor stand


@dataclass(frozen=True)
class Diagnostics:
    """Norms of one step, taken in the pass that made it, and what it did not move.

    Each norm is the root of a sum of squares of real and imaginary parts, widened to float64 before anything is done
    with them. The sums go in one order, so that the bits are the same for any engine and number of threads; where one
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
    unmoved
        Numbers that stand as they stood though their gradient is not zero: the change rounds to nothing in the dtype
        that they are stored in (that of the master copy, where there is one), or the rule makes none, as Rprop does at
        times. A complex parameter is two numbers.
    elements
        Numbers in all, of which :attr:`unmoved` is a part.
    groups
        The same for each group of parameters, by its patterns; ``""`` is the group of all others.
    """

    grad_norm: float
    update_norm: float
    param_norm: float
    unmoved: int = 0
    elements: int = 0
    groups: Mapping[str, "Diagnostics"] = field(default_factory=dict[str, "Diagnostics"])

    @property
    def update_ratio(self) -> float:
        """``update_norm / param_norm``: 0 where nothing moved, infinite where something moved to zero."""
        if self.update_norm == 0.0:
            return 0.0
        return self.update_norm / self.param_norm if self.param_norm else math.inf

    @property
    def unmoved_share(self) -> float:
        """``unmoved / elements``, from 0 to 1; 0 where there are none."""
        return self.unmoved / self.elements if self.elements else 0.0


def metered(theta: Any, g: Any, after: Any) -> tuple[Any, Any, Any]:
    """Return the squares that are summed, of theta before and after and the gradient, all of them float64.

    The fourth meter counts, and each engine counts by itself: 1 where theta, as it is stored, is the same after the
    step though g is not 0.
    """
    change = after - theta
    return g * g, change * change, after * after


def summed(
    columns: Columns, ranges: Ranges, groups: Sequence[int], labels: Sequence[str], params: Sequence[Any]
) -> Diagnostics:
    """The norms from the block sums of all tensors, and the number of each one's group."""
    sizes = [math.prod(x.shape) * (1 + is_complex(x)) for x in params]
    whole = _norms(columns, sum(sizes))
    if len(labels) == 1:
        return replace(whole, groups={labels[0]: whole})
    elements = [0] * len(labels)
    for size, group in zip(sizes, groups, strict=True):
        elements[group] += size
    own: list[list[list[float]]] = [[[] for _ in columns] for _ in labels]
    for (begin, end), group in zip(ranges, groups, strict=True):
        for mine, sums in zip(own[group], columns, strict=True):
            mine += sums[begin:end]
    return replace(whole, groups=dict(zip(labels, map(_norms, own, elements), strict=True)))


def _norms(columns: Columns, elements: int) -> Diagnostics:
    *squares, unmoved = columns
    grad, update, param = (math.sqrt(joined(sums)) for sums in squares)
    return Diagnostics(grad, update, param, int(joined(unmoved)), elements)
