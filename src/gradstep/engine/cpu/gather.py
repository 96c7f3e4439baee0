"""Gradients to addresses in NumPy alone: small arrays are copied together, large ones are used where they lie.

This is the ordinary path, for everything that :mod:`gradstep.engine.cpu.reader` does not take; every check that a
gradient needs is made before.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.array.memory import Regions, address

SMALL = 1 << 14  # elements: below, copying costs less than asking for an address


class Gather:
    """Finds the address of each gradient of a step.

    Parameters
    ----------
    sizes
        Elements of each gradient.
    dtypes
        Their dtypes, in native byte order.
    kept
        Where a step writes: a gradient that shares memory with that is copied first.
    """

    def __init__(self, sizes: Sequence[int], dtypes: Sequence[np.dtype[Any]], kept: Regions) -> None:
        self.dtypes, self.kept = dtypes, kept
        self.large = [k for k, n in enumerate(sizes) if n > SMALL]
        self.arenas: list[tuple[list[int], NDArray[Any]]] = []
        self.addresses = np.zeros(len(sizes), np.int64)  # of the small ones, in the arena of their dtype
        for dtype in dict.fromkeys(dtypes):
            small = [k for k, n in enumerate(sizes) if n <= SMALL and dtypes[k] == dtype]
            arena = np.empty(sum(sizes[k] for k in small), dtype)
            at = address(arena)
            for k in small:
                self.addresses[k] = at
                at += sizes[k] * dtype.itemsize
            if small:
                self.arenas.append((small, arena))
        self.held: list[NDArray[Any]] = []

    def __call__(self, grads: Sequence[NDArray[Any]], found: NDArray[np.int64]) -> None:
        """Write the addresses into ``found``; the arrays there stay alive until :meth:`release` or the next call."""
        self.release()  # a step that was refused did not come to it
        found[:] = self.addresses
        for small, arena in self.arenas:
            some = grads if len(small) == len(grads) else [grads[k] for k in small]
            np.concatenate(some, axis=None, out=arena, casting="equiv")
        for k in self.large:
            g = np.require(grads[k], self.dtypes[k], ["C", "A"])
            at = address(g)
            if self.kept.touches(at, at + g.nbytes):
                g = g.copy()
                at = address(g)
            self.held.append(g)
            found[k] = at

    def release(self) -> None:
        """Let go of the gradients of a step."""
        self.held.clear()
