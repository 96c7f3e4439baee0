"""Tensors, which engines work on, and the protocol of an engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, Protocol

import numpy as np

from gradstep.array.namespaces import (
    as_reals,
    compute_dtype,
    dtype_name,
    is_low,
    namespace,
    pieces,
    refuse_masked,
    to_numpy,
)
from gradstep.array.rows import Rows
from gradstep.array.storage import Layout, tensor_number
from gradstep.array.tree import is_array
from gradstep.engine.meters import Columns, Ranges
from gradstep.errors import GradstepTypeError, GradstepValueError, NonFiniteError
from gradstep.form.chain import Row, Sums

_SHAPE, _DTYPE = attrgetter("shape"), attrgetter("dtype")


@dataclass(eq=False)
class Tensor:
    """A parameter with its state.

    Attributes
    ----------
    slots
        ``slots[part][slot]``: arrays of its shape, or of a rule's own shapes, stored as ``layout`` says.
    row
        Of the scalar table.
    layout
        How all of it is stored; None: every slot in the dtype of the computation.
    scales
        For each slot in blocks, in order, the scales of its blocks.
    master
        The float32 copy of the parameter, or None.
    """

    name: str
    value: Any
    slots: tuple[tuple[Any, ...], ...]
    row: int
    layout: Layout | None = None
    scales: tuple[Any, ...] = ()
    master: Any = None

    @property
    def dtype(self) -> str:
        """The real dtype in which it is updated."""
        return compute_dtype(self.value, self.name)

    @cached_property
    def number(self) -> int:
        """The number from which its random bits come, beside seed and update."""
        return tensor_number(self.name)

    @cached_property
    def storage(self) -> Layout:
        """The layout in which it is stored."""
        if self.layout is not None:
            return self.layout
        dtype = dtype_name(self.value) if is_low(self.value) else self.dtype
        return Layout(dtype, (None,) * len(self.flat))

    @property
    def flat(self) -> list[Any]:
        """All slots in order."""
        return [x for own in self.slots for x in own]


class Engine(Protocol):
    """One step: ``load`` or ``take``, ``look``, ``measure`` for each reduction, ``apply``; or all of it by ``step``.

    A gradient is good when no element is NaN or beyond the program's limit for its dtype.
    """

    kind: str

    @property
    def is_writing(self) -> bool:
        """True where arrays are being written one after the other: a signal handler finds some old and some new."""
        ...

    def finish(self) -> None:
        """Write the rest of what :meth:`apply` has begun to write, where an exception has come out of it."""
        ...

    @property
    def applied(self) -> int:
        """Updates made; right also where an interrupt came out of :meth:`step` or :meth:`apply`."""
        ...

    def step(self, grads: tuple[Any, ...], table: list[Row], t: int, guard: bool, /) -> bool:
        """Do update ``t`` at once, if the gradients are the usual kind and good; else change nothing, and say so."""
        ...

    def take(self, grads: tuple[Any, ...], /) -> bool:
        """Take the gradients of this step if they are the usual kind: plain arrays that need no further look."""
        ...

    def load(self, grads: Sequence[Any]) -> None:
        """Take the gradients of this step, of any kind; each fits its tensor in shape and dtype."""
        ...

    def forget(self) -> None:
        """Know nothing of gradients that were taken: the step was broken off."""
        ...

    def keep_apart(self, arrays: Sequence[Any]) -> None:
        """Copy gradients that lie in these arrays too, before anything is written: another engine writes them."""
        ...

    def ready(self, table: list[Row], t: int) -> None:
        """Do all of :meth:`apply` that may fail, so that it only writes.

        Raises
        ------
        GradstepValueError
            When an array that a step writes lies elsewhere than before.
        """
        ...

    def look(self) -> bool:
        """Return whether all gradients are good."""
        ...

    def measure(self, part: int, table: list[Row], t: int) -> tuple[Sums, bool]:
        """Sums of what the reducing stage ``part`` measures, and, at the first such stage, whether all are good.

        ``t`` is the update that they are for: random numbers depend on it.
        For each tensor, or once where they are summed together, the sum of each that is measured, which is not finite
        where it is too large. A stage of whole arrays has none: it is run, and what it gives is kept aside until
        :meth:`apply`.
        """
        ...

    def apply(self, table: list[Row], t: int) -> None:
        """Write parameters and state of update ``t``; nothing is written before."""
        ...

    def metered(self) -> tuple[Columns, Ranges]:
        """Return what :mod:`gradstep.engine.meters` asks for of the last update, and where each tensor's sums stand."""
        ...


class Fit:
    """Shapes and dtypes of gradients: plain arrays that all fit are seen at once, others one by one."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.names, self.values = [x.name for x in tensors], [x.value for x in tensors]
        self.is_plain = {*map(type, self.values)} == {np.ndarray}
        self.shapes, self.dtypes = list(map(_SHAPE, self.values)), list(map(_DTYPE, self.values))

    def check(self, grads: Sequence[Any]) -> None:
        """Refuse gradients that do not fit, as :func:`check_gradient` does, and parameters that changed in place.

        Raises
        ------
        GradstepValueError
            When a parameter has another shape or dtype than when the optimizer was made.
        """
        if list(map(_SHAPE, self.values)) != self.shapes or list(map(_DTYPE, self.values)) != self.dtypes:
            self._refuse_changes()
        usual = (
            self.is_plain
            and {*map(type, grads)} == {np.ndarray}
            and list(map(_SHAPE, grads)) == self.shapes
            and list(map(_DTYPE, grads)) == self.dtypes
        )
        if not usual:
            for name, x, g in zip(self.names, self.values, grads, strict=True):
                check_gradient(name, g, x)

    def _refuse_changes(self) -> None:
        for name, x, shape, dtype in zip(self.names, self.values, self.shapes, self.dtypes, strict=True):
            if (x.shape, x.dtype) != (shape, dtype):
                raise GradstepValueError(
                    f"parameter {name!r} was {dtype}{list(shape)} when the optimizer was made, and is "
                    f"{x.dtype}{list(x.shape)} now; make a new optimizer."
                )


def check_gradient(name: str, g: Any, parameter: Any) -> None:
    """Refuse a gradient that is not there, or does not fit its parameter.

    Raises
    ------
    GradstepTypeError
        For another kind of array or another dtype.
    GradstepValueError
        For another shape, or ``None``.
    """
    if g is None:
        raise GradstepValueError(f"gradients: {name!r} is missing; there must be one for every parameter not frozen.")
    if type(g) is Rows:
        g.check(name, parameter)
        return
    check_alike(f"gradient {name!r}", g, parameter)


def check_alike(
    what: str, x: Any, parameter: Any, dtype: str | None = None, shape: tuple[int, ...] | None = None
) -> None:
    """Refuse an array of another namespace, shape or dtype than its parameter; ``what`` names it in the error.

    ``dtype`` and ``shape`` are what it should have where that is not the parameter's.
    """
    if not is_array(x):
        hint = "; write numpy.array(...) around it" if isinstance(x, list | tuple | float | int) else ""
        raise GradstepTypeError(f"{what} is of type {type(x).__name__}, not an array{hint}.")
    mine, theirs = (namespace(y).__name__ for y in (parameter, x))
    if mine != theirs:
        raise GradstepTypeError(
            f"{what} is of type {type(x).__name__}, its parameter of type {type(parameter).__name__}; convert one of "
            f"them."
        )
    refuse_masked(what, x)
    if shape is not None and shape != tuple(parameter.shape) and tuple(x.shape) != shape:
        raise GradstepValueError(f"{what} has shape {tuple(x.shape)}, and should have {shape}.")
    if shape in (None, tuple(parameter.shape)) and tuple(x.shape) != tuple(parameter.shape):
        raise GradstepValueError(f"{what} has shape {tuple(x.shape)}, its parameter {tuple(parameter.shape)}.")
    if dtype is not None and dtype_name(x) != dtype:
        raise GradstepTypeError(f"{what} has dtype {dtype_name(x)}, and should have {dtype}.")
    if dtype is None and dtype_name(x) != dtype_name(parameter):
        raise GradstepTypeError(
            f"{what} has dtype {dtype_name(x)}, its parameter {dtype_name(parameter)}; convert one of them "
            f"(a dtype never changes silently)."
        )


def bad_gradient(name: str, g: Any, limit: float, what: str = "gradient") -> NonFiniteError:
    """The error for a gradient with an element that is not finite or larger than ``limit``."""
    index, g = g.summed() if type(g) is Rows else (None, g)
    host = to_numpy(g)
    begin, x = 0, host.dtype.type(0)
    with np.errstate(invalid="ignore"):
        for part in pieces(host):
            good = (np.abs(as_reals(part)) <= limit).reshape(part.size, -1).all(axis=1)
            if not good.all():
                first = int(np.argmin(good))
                begin, x = begin + first, part[first]
                break
            begin += part.size
    where = np.unravel_index(begin, host.shape)
    if index is not None:
        where = (index[where[0]], *where[1:])
    why = (
        "is not finite" if not np.isfinite(x) else f"is too large for this rule in {dtype_name(g)} (limit {limit:.3g})"
    )
    place = f"[{', '.join(map(str, where))}] = " if where else ""
    return NonFiniteError(f"{what} {name!r} {why}: {place}{x}; nothing was changed.")
