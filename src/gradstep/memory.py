"""Checks of where arrays lie: what an optimizer may write in place, and what overlaps what."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import array_api_compat
import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import NDArray

from gradstep.errors import GradstepTypeError, GradstepValueError


def check_writable(names: Sequence[str], leaves: Sequence[Any]) -> None:
    """Refuse parameters that cannot be changed in place.

    Raises
    ------
    GradstepTypeError
        For immutable arrays (JAX, NumPy scalars).
    GradstepValueError
        For read-only arrays, and for arrays that overlap themselves or one another.
    """
    plain: list[tuple[int, int, str, NDArray[Any]]] = []
    for name, x in zip(names, leaves, strict=True):
        if array_api_compat.is_jax_array(x) or isinstance(x, np.generic):
            raise GradstepTypeError(
                f"parameter {name!r} is a {type(x).__name__}, which cannot be changed in place; "
                f"use params, state = gs.update(tx, params, grads, state), or hand in numpy.array(...)."
            )
        if not isinstance(x, np.ndarray):
            continue
        if not x.flags.writeable:
            raise GradstepValueError(f"parameter {name!r} is read-only; hand in a copy: numpy.array(...).")
        if _overlaps_itself(x):
            raise GradstepValueError(
                f"parameter {name!r} has elements that share memory; hand in a copy: numpy.array(...)."
            )
        if x.size:
            plain.append((*byte_bounds(x), name, x))
    plain.sort(key=lambda row: row[:2])
    for k, (_, end, name, x) in enumerate(plain):
        for begin, _, other, y in plain[k + 1 :]:
            if begin >= end:
                break
            if _share(x, y):
                raise GradstepValueError(f"parameters {name!r} and {other!r} share memory; hand in each array once.")


class Regions:
    """Disjoint regions of memory, to ask whether an array touches one of them."""

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        bounds = sorted(byte_bounds(x) for x in arrays if x.size)
        self.begins = [begin for begin, _ in bounds]
        self.ends = [end for _, end in bounds]

    def touches(self, begin: int, end: int) -> bool:
        """Whether a byte from ``begin`` up to ``end`` lies in one of the regions."""
        k = bisect_right(self.ends, begin)
        return k < len(self.begins) and self.begins[k] < end


def _overlaps_itself(x: NDArray[Any]) -> bool:
    """Whether two elements share bytes: each stride must step over all that the smaller ones span."""
    if x.size < 2 or x.flags.c_contiguous or x.flags.f_contiguous:
        return False
    reach = x.itemsize
    for stride, n in sorted((abs(s), n) for s, n in zip(x.strides, x.shape, strict=True) if n > 1):
        if stride < reach:
            return True
        reach += stride * (n - 1)
    return False


def _share(x: NDArray[Any], y: NDArray[Any]) -> bool:
    """Whether two arrays have a byte in common; where that is too hard to find out, they may."""
    effort: Any = 100_000
    try:
        return np.shares_memory(x, y, max_work=effort)
    except np.exceptions.TooHardError:
        return True
