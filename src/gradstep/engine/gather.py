"""Gradients to addresses: small arrays are copied together into one arena, large ones are used where they lie.

This is the ordinary path, in NumPy alone; every check that a gradient needs is made before.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.memory import Regions

SMALL = 1 << 14  # elements: below, copying costs less than asking for an address


class Gather:
    """Finds the address of each gradient of a step.

    Parameters
    ----------
    shapes
        Shapes of the gradients.
    dtype
        Their dtype, in native byte order.
    kept
        Where a step writes: a gradient that shares memory with that is copied first.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], dtype: np.dtype[Any], kept: Regions) -> None:
        self.dtype = dtype
        self.sizes = [int(np.prod(shape, dtype=np.int64)) for shape in shapes]
        self.small = [k for k, n in enumerate(self.sizes) if n <= SMALL]
        self.arena = np.empty(sum(self.sizes[k] for k in self.small), dtype)
        self.addresses = np.zeros(len(shapes), np.int64)
        at = address(self.arena)
        for k in self.small:
            self.addresses[k] = at
            at += self.sizes[k] * dtype.itemsize
        self.large = [k for k, n in enumerate(self.sizes) if n > SMALL]
        self.kept = kept
        self.held: list[NDArray[Any]] = []

    def __call__(self, grads: Sequence[NDArray[Any]]) -> None:
        """Fill ``addresses``; the arrays behind them stay alive until :meth:`release` or the next call."""
        self.release()  # a step that was refused did not come to it
        if self.small:
            small = [grads[k] for k in self.small] if self.large else grads
            np.concatenate(small, axis=None, out=self.arena, casting="equiv")
        for k in self.large:
            g = np.require(grads[k], self.dtype, ["C", "A"])
            at = address(g)
            if self.kept.touches(at, at + g.nbytes):
                g = g.copy()
                at = address(g)
            self.held.append(g)
            self.addresses[k] = at

    def release(self) -> None:
        """Let go of the gradients of a step."""
        self.held.clear()


def address(x: NDArray[Any]) -> int:
    """Where an array's first element lies."""
    return x.__array_interface__["data"][0]
