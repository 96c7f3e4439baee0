"""Memory of arrays: checks that they can be written in place, and of overlaps."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import array_api_compat
import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import NDArray

from gradstep.array.namespaces import copied
from gradstep.errors import GradstepTypeError, GradstepValueError

_WRITEABLE = attrgetter("flags.writeable")
CACHE_LINE = 64  # bytes


def check_writable(names: Sequence[str], leaves: Sequence[Any]) -> None:
    """Refuse parameters that cannot be changed in place.

    Raises
    ------
    GradstepTypeError
        For immutable arrays (JAX, NumPy scalars).
    GradstepValueError
        For read-only arrays, and for arrays that overlap themselves or one another.
    """
    placed: list[tuple[int, int, str, NDArray[Any]]] = []
    seen: dict[int, str] = {}
    check_not_read_only(names, leaves)
    for name, leaf in zip(names, leaves, strict=True):
        if array_api_compat.is_jax_array(leaf) or isinstance(leaf, np.generic):
            raise GradstepTypeError(
                f"parameter {name!r} is a {type(leaf).__name__}, which cannot be changed in place; "
                f"use params, state = gs.update(tx, params, grads, state), or hand in numpy.array(...)."
            )
        if (first := seen.setdefault(id(leaf), name)) != name:
            raise _shared(first, name)
        x = numpy_place(leaf)
        if x is None or not x.size:
            continue
        if _overlaps_itself(x):
            raise GradstepValueError(f"parameter {name!r} has elements that share memory; hand in a copy.")
        placed.append((*byte_bounds(x), name, x))
    placed.sort(key=lambda row: row[:2])
    for k, (_, end, name, x) in enumerate(placed):
        j = k + 1
        while j < len(placed) and placed[j][0] < end:
            _, _, other, y = placed[j]
            if _share(x, y):
                raise _shared(name, other)
            j += 1


def check_not_read_only(names: Sequence[str], leaves: Sequence[Any]) -> None:
    """Refuse NumPy arrays that are marked read-only, as they may also be later on."""
    if {*map(type, leaves)} == {np.ndarray} and all(map(_WRITEABLE, leaves)):
        return  # the usual case first
    for name, x in zip(names, leaves, strict=True):
        if isinstance(x, np.ndarray) and not x.flags.writeable:
            raise GradstepValueError(f"parameter {name!r} is read-only; hand in a copy: numpy.array(...).")


def is_writable(x: Any) -> bool:
    """Return True for an array that can be changed in place."""
    return x.flags.writeable if isinstance(x, np.ndarray) else not array_api_compat.is_jax_array(x)


class Regions:
    """Regions of memory, to ask whether an array touches one of them."""

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        bounds = sorted(byte_bounds(x) for x in arrays if x.size)
        self.begins = [begin for begin, _ in bounds]
        self.ends = list(accumulate((end for _, end in bounds), max))  # strided arrays may interleave

    def touches(self, begin: int, end: int) -> bool:
        """Return True where a byte from ``begin`` up to ``end`` lies in one of the regions."""
        k = bisect_right(self.ends, begin)
        return k < len(self.begins) and self.begins[k] < end

    def touches_any(self, begins: NDArray[np.int64], ends: NDArray[np.int64]) -> bool:
        """Return True where any of many ranges that are not empty touches a region."""
        if not self.begins:
            return False
        after, first = self._tables
        inside = first[np.searchsorted(after, begins, side="right")] < ends
        return bool(np.any(inside & (begins < ends)))

    @cached_property
    def _tables(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The ends, and the begins with one more behind all."""
        return np.array(self.ends, np.int64), np.array([*self.begins, np.iinfo(np.int64).max], np.int64)


def apart(x: Any, regions: Regions) -> Any:
    """Return an array itself where it lies apart from regions of memory, else a copy."""
    y = numpy_place(x)
    return x if y is not None and not (y.size and regions.touches(*byte_bounds(y))) else copied(x)


def packed(arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Copy contiguous arrays into one piece of memory, each at a cache line's start.

    NumPy asks the system for large pages where a piece has 4 MiB or more, which arrays of one parameter rarely have
    alone: with them, an Adam step on a million elements takes a tenth less.
    """
    starts = list(accumulate((-(-x.nbytes // CACHE_LINE) * CACHE_LINE for x in arrays), initial=0))
    memory = at_cache_line(np.empty(starts[-1] + CACHE_LINE, np.uint8))
    out: list[NDArray[Any]] = []
    for x, begin in zip(arrays, starts, strict=False):
        copy = memory[begin : begin + x.nbytes].view(x.dtype).reshape(x.shape)
        copy[...] = x
        out.append(copy)
    return out


def at_cache_line(x: NDArray[Any]) -> NDArray[Any]:
    """An array of one axis from the first of its elements that begins a cache line on."""
    return x[-address(x) % CACHE_LINE // x.itemsize :]


def address(x: NDArray[Any]) -> int:
    """Return the address of an array's first element."""
    return x.__array_interface__["data"][0]


def owner(x: NDArray[Any]) -> NDArray[Any]:
    """Return the array that owns an array's memory: itself, or the one that it is a view of."""
    while isinstance(x.base, np.ndarray):
        x = x.base
    return x


def owners(arrays: Sequence[NDArray[Any]]) -> list[int] | None:
    """Return the addresses of the memory that NumPy allocated for ``arrays``, or ``None`` where it did not for some.

    An array that owns its memory shares it with none of ``arrays``, unless it is one of these addresses.
    """
    found: list[int] = []
    for root in map(owner, arrays):
        if root.base is not None or not root.flags.owndata:
            return None
        found.append(address(root))
    return found


def _shared(name: str, other: str) -> GradstepValueError:
    return GradstepValueError(f"parameters {name!r} and {other!r} share memory; hand in each array once.")


def numpy_place(x: Any) -> NDArray[Any] | None:
    """An array of NumPy's where ``x`` lies, never to be read (a tensor may be on a device); ``None`` if hidden."""
    if isinstance(x, np.ndarray):
        return x
    if not array_api_compat.is_torch_array(x):
        found = getattr(x, "__cuda_array_interface__", None)
        if found is None:
            return None
        size = int(found["typestr"][2:])
        keys = ("data", "shape", "strides")
        place = {**{key: found.get(key) for key in keys}, "typestr": f"|V{size}", "version": 3}
        return np.asarray(SimpleNamespace(__array_interface__=place)) if found["data"][0] else None
    size = x.element_size()
    place = {
        "data": (x.data_ptr(), False),
        "shape": tuple(x.shape),
        "strides": tuple(size * n for n in x.stride()),
        "typestr": f"|V{size}",
        "version": 3,
    }
    return np.asarray(SimpleNamespace(__array_interface__=place))


def _overlaps_itself(x: NDArray[Any]) -> bool:
    """Return True where two elements share bytes: each stride must step over all that the smaller ones span."""
    if x.size < 2 or x.flags.c_contiguous or x.flags.f_contiguous:
        return False
    reach = x.itemsize
    for stride, n in sorted((abs(s), n) for s, n in zip(x.strides, x.shape, strict=True) if n > 1):
        if stride < reach:
            return True
        reach += stride * (n - 1)
    return False


def _share(x: NDArray[Any], y: NDArray[Any]) -> bool:
    """Return True where two arrays may have a byte in common, or where that is too hard to find out."""
    effort: Any = 100_000
    try:
        return np.shares_memory(x, y, max_work=effort)
    except np.exceptions.TooHardError:
        return True
