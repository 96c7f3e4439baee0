"""Addresses of the arrays that a step writes: NumPy lets an array get other memory while it is in use."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradstep.array.memory import address, owner
from gradstep.engine.tensor import Tensor
from gradstep.errors import GradstepValueError
from gradstep.form.chain import Program

_FORM = attrgetter("shape", "strides", "dtype")


class Place(NamedTuple):
    """An array that a step writes, or that owns its memory, as it was when the optimizer was made."""

    what: str
    array: NDArray[Any]
    address: int
    form: tuple[tuple[int, ...], tuple[int, ...], np.dtype[Any]] | None  # None: of an owner, whatever its form
    nbytes: int


class Places:
    """Remembers where NumPy arrays lie, to refuse a step that would write where they no longer are.

    Parameters
    ----------
    program, tensors
        What an engine runs, on which arrays; those of other namespaces are theirs to watch.
    """

    def __init__(self, program: Program, tensors: Sequence[Tensor]) -> None:
        self.rows = [_place(f"parameter {x.name!r}", x.value) for x in tensors if isinstance(x.value, np.ndarray)]
        keys = [key for own in program.slots for key in own]
        for x in tensors:
            own = [*zip(keys, x.flat, strict=True)] if isinstance(x.value, np.ndarray) else []
            own += [(f"scales of {key}", y) for key, y in zip(keys, x.scales, strict=False)]
            own += [] if x.master is None else [("master", x.master)]
            self.rows += [_place(f"state {key} of {x.name!r}", y) for key, y in own]
        roots = {id(x.array) for x in self.rows}
        for row in list(self.rows):
            root = owner(row.array)
            if id(root) not in roots:
                roots.add(id(root))
                self.rows.append(Place(f"memory of {row.what}", root, address(root), None, root.nbytes))

    def check(self) -> None:
        """Refuse arrays that lie elsewhere than before, or in another form.

        Raises
        ------
        GradstepValueError
            With the name of the first of them.
        """
        for row in self.rows:
            x = row.array
            if address(x) != row.address or (row.form is None and x.nbytes < row.nbytes):
                raise GradstepValueError(
                    f"{row.what} was given other memory since the optimizer was made (by __setstate__ or resize); "
                    f"nothing was changed. Make a new optimizer."
                )
            if row.form is not None and _FORM(x) != row.form:
                shape, strides, dtype = row.form
                raise GradstepValueError(
                    f"{row.what} was {dtype}{list(shape)} with strides {strides} when the optimizer was made, and is "
                    f"{x.dtype}{list(x.shape)} with strides {x.strides} now; nothing was changed. Make a new optimizer."
                )


def _place(what: str, x: NDArray[Any]) -> Place:
    return Place(what, x, address(x), _FORM(x), x.nbytes)
