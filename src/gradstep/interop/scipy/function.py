"""Arguments of SciPy's ``minimize`` in this library's form: ``fun`` and ``jac`` as one function, and bounds."""

from collections.abc import Callable
from reprlib import repr as short
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds

from gradstep.array.tree import BARE
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.loop.bounds import Box
from gradstep.loop.user import number

Sides = tuple[NDArray[Any], NDArray[Any]]


class FunAndJac:
    """``fun`` and ``jac`` as one function, each called once for each point, with copies of it.

    Parameters
    ----------
    fun, jac, args
        As minimize hands them on. Where ``jac`` is no function, gradients are differences.
    sides
        Lower and upper bounds, which differences keep within, or None.

    Attributes
    ----------
    calls
        Of ``fun``.
    now, before
        The last point, and the one before, each with its value; None where there is none.
    """

    def __init__(
        self, fun: Callable[..., Any], jac: Any, args: tuple[Any, ...] = (), sides: Sides | None = None
    ) -> None:
        self.fun, self.jac, self.args, self.sides = fun, jac, args, sides
        self.calls = 0
        self.now: tuple[NDArray[Any], float] | None = None
        self.before: tuple[NDArray[Any], float] | None = None

    def __call__(self, x: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Value and gradient, in the dtype of ``x``."""
        value = self.value(x)
        given: Any = self.jac(x.copy(), *self.args) if callable(self.jac) else self.differences(x, value)
        if given is None:
            raise GradstepTypeError("jac gave None; it must give the gradient, an array like x.")
        self.before, self.now = self.now, (x.copy(), value)
        g = np.atleast_1d(given)
        with np.errstate(over="ignore"):  # a number beyond the dtype becomes infinite, and is refused
            return value, g if np.iscomplexobj(g) else g.astype(x.dtype)

    def value(self, x: NDArray[Any]) -> float:
        """Call ``fun`` alone."""
        self.calls += 1
        given = self.fun(x.copy(), *self.args)
        if isinstance(given, tuple):
            raise GradstepTypeError("fun gave a tuple; if that is the value and the gradient, minimize needs jac=True.")
        return number(given.item() if isinstance(given, np.ndarray) and given.size == 1 else given, "fun")

    def differences(self, x: NDArray[Any], value: float) -> NDArray[np.float64]:
        """The gradient by forward differences, or backward ones where a bound is too near."""
        low, high = self.sides or (-np.inf, np.inf)
        h = np.sqrt(np.finfo(x.dtype).eps) * np.maximum(1, np.abs(x))
        ahead, behind = np.minimum(h, high - x), np.minimum(h, x - low)
        there = np.clip(np.where(ahead >= behind, x + ahead, x - behind), low, high)
        out = np.zeros(x.shape)
        for k in np.flatnonzero(there != x):  # elsewhere the bounds leave no room
            y = x.copy()
            y[k] = there[k]
            out[k] = (self.value(y) - value) / float(there[k] - x[k])
        return out


def sides(bounds: Any, x: NDArray[Any]) -> Sides:
    """Lower and upper bounds in the dtype of ``x``, from ``Bounds`` or pairs of any kind.

    Raises
    ------
    GradstepValueError
        For another number of pairs than there are elements, and what are no pairs.
    """
    if not isinstance(bounds, Bounds):
        pairs: list[tuple[Any, ...]] = [tuple(p) if np.iterable(p) else (p,) for p in bounds]
        if len(pairs) != len(x) or any(len(pair) != 2 for pair in pairs):
            raise GradstepValueError(
                f"bounds: there must be a pair (low, high) for each of the {len(x)} elements of x0, or "
                f"scipy.optimize.Bounds, not {short(bounds)}."
            )
        make: Any = Bounds
        low = np.array([-np.inf if pair[0] is None else pair[0] for pair in pairs])
        bounds = make(low, np.array([np.inf if pair[1] is None else pair[1] for pair in pairs]))
    _, low, high = Box(bounds, [BARE], [x], [BARE]).sides[0]
    return low, high
