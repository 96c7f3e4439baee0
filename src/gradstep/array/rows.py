"""Gradients of which only some rows are there, as of an embedding."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import is_jax_array
from numpy.typing import NDArray

from gradstep.array.namespaces import dtype_name, namespace, refuse_masked, to_numpy
from gradstep.array.tree import is_array
from gradstep.errors import GradstepTypeError, GradstepValueError


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a gradient; see :func:`rows`.

    Attributes
    ----------
    index
        Numbers of rows, in any order; several may be equal.
    values
        A row of the gradient for each.
    """

    index: NDArray[np.intp]
    values: Any

    def check(self, name: str, parameter: Any) -> None:
        """Refuse rows that do not fit a parameter.

        Raises
        ------
        GradstepTypeError, GradstepValueError
            For another kind of array, dtype or shape, and for an index beyond the parameter's rows.
        """
        x, shape = self.values, tuple(parameter.shape)
        if not shape:
            raise GradstepValueError(f"gradient {name!r} is gs.rows, and its parameter is a number, which has no rows.")
        mine, theirs = namespace(parameter).__name__, namespace(x).__name__
        if mine != theirs:
            raise GradstepTypeError(
                f"gradient {name!r} has rows of a {type(x).__name__}, but its parameter is a "
                f"{type(parameter).__name__}."
            )
        if dtype_name(x) != dtype_name(parameter):
            raise GradstepTypeError(
                f"gradient {name!r} has rows of dtype {dtype_name(x)}, its parameter {dtype_name(parameter)}; convert "
                f"one of them (a dtype never changes silently)."
            )
        if tuple(x.shape) != (len(self.index), *shape[1:]):
            raise GradstepValueError(
                f"gradient {name!r} has {len(self.index)} indices and values of shape {tuple(x.shape)}; they should "
                f"have {(len(self.index), *shape[1:])}, a row of the parameter for each index."
            )
        for bad in self.index[(self.index < 0) | (self.index >= shape[0])][:1]:
            raise GradstepValueError(
                f"gradient {name!r} has the index {bad}, and its parameter {shape[0]} rows: from 0 to {shape[0] - 1}."
            )

    def summed(self) -> tuple[NDArray[np.intp], Any]:
        """Return the different indices and their rows: as they come where all differ, else of equal ones the sum."""
        index, x = self.index, self.values
        ordered = np.sort(index)
        if (ordered[1:] != ordered[:-1]).all():
            return index, x
        order = np.argsort(index, kind="stable")
        is_first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        total, place = x[order[is_first]], ordered[is_first]
        target = np.cumsum(is_first) - 1
        with np.errstate(all="ignore"):  # the guard looks at what is not finite
            if isinstance(x, np.ndarray):
                np.add.at(total, target[~is_first], x[order[~is_first]])
                return place, total
            begins = np.flatnonzero(is_first)
            nth = np.arange(len(index)) - begins[target]
            for k in range(1, int(nth.max()) + 1):
                own = nth == k
                total = _added(total, target[own], x[order[own]])
        return place, total


def _added(x: Any, place: NDArray[np.intp], more: Any) -> Any:
    """Return ``x`` with rows added at different places; an array that may be written is written."""
    if is_jax_array(x):
        return x.at[place].add(more)
    x[place] += more
    return x


def rows(index: Any, values: Any) -> Rows:
    """Return a gradient of which only some rows are there; all others are zero and take no memory.

    Rules that leave alone what has no gradient (SGD, Adagrad), and those that say so of themselves (Adam, lazily, as
    ``torch.optim.SparseAdam``), move these rows of a parameter and of its state; others refuse it.

    Parameters
    ----------
    index
        Whole numbers from 0, one axis: rows of the parameter. Those of equal indices are added up in the parameter's
        dtype, from the first to the last.
    values
        For each index a row: shape ``(len(index), *parameter.shape[1:])``, dtype like the parameter.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        For an index that is no list of whole numbers, and values that are no array with a row for each.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> table = np.zeros((5, 2))
    >>> opt = gs.Optimizer(table, "sgd", lr=1.0)
    >>> opt.step(gs.rows([3, 1, 3], np.ones((3, 2))))
    >>> table[:, 0].tolist()
    [0.0, -1.0, 0.0, -2.0, 0.0]
    """
    found = np.asarray(to_numpy(index) if is_array(index) else index)
    if found.ndim != 1 or (found.dtype.kind not in "iu" and found.size):
        raise GradstepTypeError(
            f"gs.rows: index must be whole numbers on one axis, not {found.dtype}{list(found.shape)}."
        )
    if not is_array(values):
        raise GradstepTypeError(f"gs.rows: values are of type {type(values).__name__}, not an array.")
    refuse_masked("gs.rows: values", values)
    if not values.shape or values.shape[0] != len(found):
        raise GradstepValueError(
            f"gs.rows: values have shape {tuple(values.shape)}; there must be a row for each of {len(found)} indices."
        )
    if found.size and found.max() > np.iinfo(np.intp).max:
        raise GradstepValueError(f"gs.rows: there is no row {found.max()}.")
    return Rows(found.astype(np.intp), values)
