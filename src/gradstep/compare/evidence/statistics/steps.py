"""Step functions: what a performance profile and a run-time ECDF both are."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep.compare.evidence.statistics.tables import Array, table


@dataclass(frozen=True)
class StepFunction:
    """A function that jumps to ``y[i]`` at ``x[i]`` and stays there; 0 before the first jump.

    Attributes
    ----------
    x
        float64 [jump], rising and finite; empty if nothing was ever reached.
    y
        float64 [jump], rising: the fraction reached at ``x`` (counting ``x`` itself). The last one is the fraction that
        is reached at all.
    """

    x: Array
    y: Array

    def at(self, x: Any) -> Array:
        """Its values at ``x``, of the shape of ``x``."""
        return np.concatenate([[0.0], self.y])[np.searchsorted(self.x, x, side="right")]


def cumulative(values: Any) -> StepFunction:
    """The empirical distribution of all ``values``, of any shape: at ``x`` the fraction of them that are ``x`` or less.

    Infinity counts among all, and is never reached.

    Raises
    ------
    GradstepValueError
        For no values, or NaN among them.
    """
    flat = table("values", values, "run", resampled=True).ravel()
    x, counts = np.unique(flat[flat < np.inf], return_counts=True)
    return StepFunction(x, np.cumsum(counts) / flat.size)
