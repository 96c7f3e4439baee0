"""Bounds on parameters, by projection that does not poison the moments.

After an update, what has left the bounds is put onto them. Before one, where a parameter stands at a bound and its
gradient points out, that element of the gradient is set to zero: the averages of a rule do not fill with a force that
can move nothing, and the parameter leaves the bound as soon as the gradient turns.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from reprlib import repr as short
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.array.namespaces import copied, is_complex, put, to_numpy
from gradstep.array.tree import Nest
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.naming import as_float

Arrays = Sequence[NDArray[Any]]
Masters = Mapping[int, NDArray[Any]]  # float32 copies of parameters, by the parameters' numbers
_WAYS = (
    '(low, high), scipy.optimize.Bounds, a list of pairs (low, high) for an array of one axis, or {"pattern": bounds}'
)


class Box:
    """Bounds on the arrays of a nest.

    Parameters
    ----------
    bounds
        ``(low, high)`` for all: numbers, None for no bound, or arrays that broadcast; a list of such pairs, one for
        each element of an array of one axis, as SciPy has it, or SciPy's ``Bounds``; or a dict of these by name
        pattern, of which later ones win. For an array of two elements two lists may be either, and are refused.
    names, params
        Of the nest.
    free
        The names of those that are not frozen; others are left as they are.
    ascends
        Whether the gradient is followed upwards.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        For bounds of another form or shape, or between which there is no number, a pattern that matches nothing, and
        parameters that are no real NumPy arrays.
    """

    def __init__(
        self, bounds: Any, names: Sequence[str], params: Sequence[Any], free: Container[str], ascends: bool = False
    ) -> None:
        self.ascends = ascends
        self.sides: list[tuple[int, NDArray[Any], NDArray[Any]]] = []
        by_name = _by_name(bounds, names)
        for k, (name, x) in enumerate(zip(names, params, strict=True)):
            if name not in by_name or name not in free:
                continue
            if not isinstance(x, np.ndarray) or is_complex(x):
                raise GradstepTypeError(f"bounds: parameter {name!r} must be a real NumPy array to have bounds.")
            low, high = (_wide(name, x, side) for side in _sides(name, x, by_name[name]))
            if bool(np.any(low > high)):
                raise GradstepValueError(f"bounds: the lower bound of {name!r} must be at most the upper one.")
            low, high = _inward(low, x.dtype, np.inf), _inward(high, x.dtype, -np.inf)
            if bool(np.any(low > high) or np.any(low == np.inf) or np.any(high == -np.inf)):
                raise GradstepValueError(f"bounds: no {x.dtype} lies between the bounds of {name!r}.")
            self.sides.append((k, low, high))
        self.bounded = sum(params[k].size for k, _, _ in self.sides)

    def clip(self, params: Arrays, masters: Masters) -> None:
        """Move numbers that are outside onto the bounds, in place; ``masters``: float32 copies of some parameters."""
        for k, low, high in self.sides:
            np.clip(params[k], low, high, out=params[k])
            if k in masters:
                np.clip(masters[k], low, high, out=masters[k])

    def held(self, params: Arrays, grads: Sequence[Any]) -> tuple[list[Any], float]:
        """Return the gradients, zero where they point out of a bound that is reached, and the share of such elements.

        Gradients that do not fit are left to the optimizer, which has the words for it.
        """
        out, blocked = list(grads), 0
        for k, low, high in self.sides:
            x, g = params[k], grads[k]
            if not isinstance(g, np.ndarray | np.generic) or g.shape != x.shape:
                continue
            is_low, is_high = x <= low, x >= high
            if not (is_low.any() or is_high.any()):
                continue
            down: Any = np.negative(g) if self.ascends else g
            outward = (is_low & (down > 0)) | (is_high & (down < 0))
            if n := int(np.count_nonzero(outward)):
                blocked += n
                out[k] = np.where(outward, np.zeros((), g.dtype), g)
        return out, blocked / max(1, self.bounded)


class Constraints:
    """All that holds parameters where they may be: bounds, and a user's function that has the last word.

    Parameters
    ----------
    bounds
        As :class:`Box` takes them, or None.
    project
        A function that changes the nest ``params`` in place, or None.
    params, nest, leaves
        The parameters, their form and their arrays.
    state
        That of the optimizer, by name: float32 copies of parameters in fewer bits follow what has moved.
    ascends
        As for :class:`Box`.
    """

    def __init__(
        self,
        bounds: Any,
        project: Callable[[Any], Any] | None,
        params: Any,
        nest: Nest,
        leaves: Sequence[Any],
        state: Mapping[str, Mapping[str, Any]],
        ascends: bool = False,
    ) -> None:
        if project is not None and not callable(project):
            raise GradstepTypeError(f"project must be a function, not {project!r}.")
        self.box = None if bounds is None else Box(bounds, nest.names, leaves, state, ascends)
        self.project, self.params, self.leaves = project, params, leaves
        own = [state.get(name, {}) for name in nest.names]
        self.masters: Masters = {k: slots["master"] for k, slots in enumerate(own) if "master" in slots}
        self.done: int | None = None  # the last t for which they have been applied

    def apply(self, t: int) -> None:
        """Move parameters to where they may be, once for each t: all of them, or none is projected.

        Raises
        ------
        GradstepTypeError
            When the function gives new arrays instead of changing those that are there.
        """
        if self.done == t:
            return
        if self.box is not None:
            self.box.clip(self.leaves, self.masters)
        if self.project is not None:
            self._project(self.project, t)
        self.done = t

    def _project(self, function: Callable[[Any], Any], t: int) -> None:
        before = [copied(x) for x in self.leaves]
        try:
            given = function(self.params)
            if self._is_new(given):
                raise GradstepTypeError(
                    "project must change the parameters in place (x[...] = ...), not give new ones."
                )
            for k, master in self.masters.items():
                np.copyto(master, self.leaves[k], where=self.leaves[k] != before[k])
            self.done = t
        except BaseException:
            if self.done != t:
                for x, old in zip(self.leaves, before, strict=True):
                    put(x, to_numpy(old))
            raise

    def _is_new(self, given: Any) -> bool:
        if isinstance(given, np.ndarray):
            return not any(isinstance(x, np.ndarray) and np.may_share_memory(given, x) for x in self.leaves)
        return isinstance(given, Mapping) and given is not self.params


def _by_name(bounds: Any, names: Sequence[str]) -> dict[str, Any]:
    """The bounds of each name that has some."""
    if not isinstance(bounds, Mapping):
        return dict.fromkeys(names, bounds)
    out: dict[str, Any] = {}
    for pattern, own in bounds.items():
        matching = [name for name in names if fnmatchcase(name, str(pattern))]
        if not matching:
            raise GradstepValueError(f"bounds: {pattern!r} matches no parameter; there are {', '.join(names[:8])}.")
        out |= dict.fromkeys(matching, own)
    return out


def _sides(name: str, x: NDArray[Any], bounds: Any) -> tuple[tuple[str, Any], tuple[str, Any]]:
    """Return the lower and the upper bound of an array as they were handed in."""
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):  # scipy.optimize.Bounds
        return ("lower", bounds.lb), ("upper", bounds.ub)
    if isinstance(bounds, str) or not isinstance(bounds, Iterable):
        raise GradstepTypeError(f"bounds must be {_WAYS}, not {bounds!r}.")
    given = bounds if isinstance(bounds, tuple) else list(bounds)
    pairs = x.ndim == 1 and len(given) == len(x) and all(_is_pair(own) for own in given)
    sides = len(given) == 2 and all(_fits(own, x) for own in given)
    if pairs and sides:
        sides = isinstance(given, tuple) and all(isinstance(own, np.ndarray) for own in given)
        if not sides and not _are_pairs(given):
            raise GradstepValueError(
                f"bounds: {short(given)} may be two pairs (low, high) or a lower and an upper bound, for {name!r} has "
                f"two elements; write [(low, high), (low, high)], scipy.optimize.Bounds(lower, upper) or "
                f"(numpy.array(lower), numpy.array(upper))."
            )
        pairs = not sides
    if sides:
        return ("lower", given[0]), ("upper", given[1])
    if pairs:
        return (
            ("lower", [-np.inf if low is None else low for low, _ in given]),
            ("upper", [np.inf if high is None else high for _, high in given]),
        )
    if len(given) == 2 and not all(_is_pair(own) for own in given):
        return ("lower", given[0]), ("upper", given[1])  # one of which does not fit, as will be said
    raise GradstepValueError(
        f"bounds: {short(given)} has {len(given)} entries, and {name!r} has the shape {x.shape}; write {_WAYS}."
    )


def _is_pair(own: Any) -> bool:
    return (isinstance(own, tuple | list) and len(own) == 2) or (isinstance(own, np.ndarray) and own.shape == (2,))


def _fits(own: Any, x: NDArray[Any]) -> bool:
    """Return True for what may be one side of the bounds of an array: a number, None, or numbers that broadcast."""
    try:
        wide = np.broadcast_to(_numbers(0.0 if own is None else own), x.shape)
    except (TypeError, ValueError):
        return False
    return not np.isnan(wide).any()  # as a None among numbers is


def _numbers(x: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(x, np.float64)
    except OverflowError:  # an integer beyond all floats, which bounds nothing
        return np.vectorize(as_float, otypes=[np.float64])(np.asarray(x, object))


def _are_pairs(given: Any) -> bool:
    """Return True for pairs as SciPy's users write them, tuples, unless they would leave no room to anything."""
    return all(isinstance(own, tuple) for own in given) and any(low != high for low, high in given)


def _wide(name: str, x: NDArray[Any], side: tuple[str, Any]) -> NDArray[np.float64]:
    """One bound in float64."""
    which, given = side
    none = -np.inf if which == "lower" else np.inf
    try:
        wide = _numbers(none if given is None else given)
        np.broadcast_to(wide, x.shape)
    except (TypeError, ValueError):
        raise GradstepTypeError(
            f"bounds: the {which} bound of {name!r} must be a number, None, or an array that fits the shape {x.shape}."
        ) from None
    if bool(np.isnan(wide).any()):
        raise GradstepValueError(f"bounds: the {which} bound of {name!r} must not be NaN.")
    return wide


def _inward(wide: NDArray[np.float64], dtype: np.dtype[Any], inward: float) -> NDArray[Any]:
    """A bound in the parameter's dtype, rounded inwards, so that no number of that dtype lies beyond it."""
    with np.errstate(over="ignore"):
        near = wide.astype(dtype)
        beyond = near < wide if inward > 0 else near > wide
        return np.where(beyond, np.nextafter(near, np.asarray(inward, dtype)), near)
