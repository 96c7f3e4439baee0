"""Bounds on parameters, by projection that does not poison the moments.

After an update, what has left the bounds is put onto them. Before one, where a parameter stands at a bound and its
gradient points out, that element of the gradient is set to zero: the averages of a rule do not fill with a force that
can move nothing, and the parameter leaves the bound as soon as the gradient turns.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.arrays import is_complex
from gradstep.errors import GradstepTypeError, GradstepValueError

Arrays = Sequence[NDArray[Any]]
_WAYS = 'a pair (low, high), a list of pairs for an array of one axis, or {"pattern": (low, high)}'


class Box:
    """Bounds on the arrays of a nest.

    Parameters
    ----------
    bounds
        ``(low, high)`` for all: numbers, None for no bound, or arrays that broadcast; a list of such pairs, one for
        each element of the only array, as SciPy has it, or SciPy's ``Bounds``; or a dict of pairs by name pattern.
    names, params
        Of the nest.
    ascends
        Whether the gradient is followed upwards.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        For bounds of another form or shape, a lower bound above the upper one, a pattern that matches nothing, and
        parameters that are no real NumPy arrays.
    """

    def __init__(self, bounds: Any, names: Sequence[str], params: Sequence[Any], ascends: bool = False) -> None:
        self.sign = -1.0 if ascends else 1.0
        self.sides: list[tuple[int, NDArray[Any], NDArray[Any]]] = []
        pairs = _by_name(bounds, names, params)
        for k, (name, x) in enumerate(zip(names, params, strict=True)):
            if (pair := pairs.get(name)) is None:
                continue
            if not isinstance(x, np.ndarray) or is_complex(x):
                raise GradstepTypeError(f"bounds: parameter {name!r} must be a real NumPy array to have bounds.")
            low, high = (_side(name, side, x, which) for side, which in zip(pair, ("low", "high"), strict=True))
            if bool(np.any(low > high)):
                raise GradstepValueError(f"bounds: the lower bound of {name!r} is above the upper one.")
            self.sides.append((k, low, high))
        self.bounded = sum(params[k].size for k, _, _ in self.sides)

    def clip(self, params: Arrays, masters: Mapping[int, NDArray[Any]] | None = None) -> None:
        """Put what is outside onto the bounds, in place; ``masters``: copies of some that have more bits."""
        for k, low, high in self.sides:
            np.clip(params[k], low, high, out=params[k])
            if masters and k in masters:
                np.clip(masters[k], low, high, out=masters[k])

    def held(self, params: Arrays, grads: Sequence[Any]) -> tuple[list[Any], float]:
        """The gradients with zeros where they point out of a bound that is reached, and the share of such elements.

        Gradients that do not fit are left to the optimizer, which has the words for it.
        """
        out, blocked = list(grads), 0
        for k, low, high in self.sides:
            x, g = params[k], grads[k]
            if not isinstance(g, np.ndarray) or g.shape != x.shape:
                continue
            down = self.sign * g
            outward = ((x <= low) & (down > 0)) | ((x >= high) & (down < 0))
            if n := int(np.count_nonzero(outward)):
                blocked += n
                out[k] = np.where(outward, np.zeros((), g.dtype), g)
        return out, blocked / max(1, self.bounded)


def _by_name(bounds: Any, names: Sequence[str], params: Sequence[Any]) -> dict[str, tuple[Any, Any]]:
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):  # SciPy's
        bounds = (bounds.lb, bounds.ub)
    if isinstance(bounds, Mapping):
        out: dict[str, tuple[Any, Any]] = {}
        for pattern, pair in bounds.items():
            matching = [name for name in names if fnmatchcase(name, str(pattern))]
            if not matching:
                raise GradstepValueError(f"bounds: {pattern!r} matches no parameter; there are {', '.join(names[:8])}.")
            out |= dict.fromkeys(matching, _pair(pair))
        return out
    if isinstance(bounds, tuple) and len(bounds) == 2 and not any(isinstance(x, tuple | list) for x in bounds):
        return dict.fromkeys(names, _pair(bounds))
    if isinstance(bounds, Sequence) and not isinstance(bounds, str):
        if len(names) != 1 or params[0].ndim != 1 or len(bounds) != params[0].shape[0]:
            raise GradstepValueError(
                f"bounds: a list of {len(bounds)} pairs is for one array of that many elements; write {_WAYS}."
            )
        pairs = [_pair(pair) for pair in bounds]
        low = np.array([-np.inf if pair[0] is None else pair[0] for pair in pairs], np.float64)
        high = np.array([np.inf if pair[1] is None else pair[1] for pair in pairs], np.float64)
        return {names[0]: (low, high)}
    raise GradstepTypeError(f"bounds must be {_WAYS}, not {bounds!r}.")


def _pair(pair: Any) -> tuple[Any, Any]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise GradstepTypeError(f"bounds: {pair!r} is no pair (low, high).")
    return pair[0], pair[1]


def _side(name: str, side: Any, x: NDArray[Any], which: str) -> NDArray[Any]:
    """One bound in the parameter's dtype, rounded inwards, so that no number of that dtype lies beyond it."""
    inward = np.inf if which == "low" else -np.inf
    try:
        wide = np.asarray(-inward if side is None else side, np.float64)
        np.broadcast_to(wide, x.shape)
    except (TypeError, ValueError):
        raise GradstepTypeError(
            f"bounds: the {which} bound of {name!r} must be a number, None, or an array that fits the shape {x.shape}."
        ) from None
    if bool(np.isnan(wide).any()):
        raise GradstepValueError(f"bounds: the {which} bound of {name!r} must not be NaN.")
    with np.errstate(over="ignore"):
        near = wide.astype(x.dtype)
        beyond = near < wide if which == "low" else near > wide
        return np.where(beyond, np.nextafter(near, np.asarray(inward, x.dtype)), near)
