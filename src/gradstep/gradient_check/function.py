"""The function that is checked, seen as one of a flat vector of reals for each parameter."""

import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from gradstep.array.namespaces import (
    as_reals,
    compute_dtype,
    copied,
    dtype_name,
    largest,
    namespace,
    refuse_masked,
    to_numpy,
)
from gradstep.array.tree import flatten
from gradstep.checkpoint.rng import Rng, put_back, taken
from gradstep.engine.tensor import bad_gradient, check_gradient
from gradstep.errors import GradstepValueError, NonFiniteError
from gradstep.loop.user import Objective, is_foreign

Reals = NDArray[np.float64]
DOUBLE = float(np.finfo(np.float64).eps)
POWER = 0.45  # two ways to compute one number may differ by eps to this power


class RealFunction:
    """A function, the parameters at which it is checked, and its value and gradients there.

    Attributes
    ----------
    names, leaves
        The parameters: copies.
    origins, grads
        Parameters and gradients as reals; a complex number is two of them.
    nearby
        The gradients at other parameters not far away, for their size; zeros where there is no such thing.
    value
        What the function gives here, in the precision of :attr:`eps`.
    eps
        The precision in which it is called to measure: that of float64 wherever it takes that.
    narrow
        The precisions of gradients that came in fewer bits than their parameters; 0 elsewhere.
    """

    def __init__(
        self,
        objective: Objective,
        params: Any,
        batch: tuple[Any, ...],
        rng: Rng | None = None,
        listen: Callable[[], Any] | None = None,
    ) -> None:
        self.objective, self.batch, self._listen = objective, batch, listen
        self._rng: Rng = {} if rng is None else rng
        self._random = taken(self._rng)
        self.nest, leaves = flatten(params)
        self.names = self.nest.names
        if not leaves:
            raise GradstepValueError("there is no parameter to check; params holds no array.")
        for name, x in zip(self.names, leaves, strict=True):
            compute_dtype(x, name)
            refuse_masked(f"parameter {name!r}", x)
        self.leaves = [copied(x) for x in leaves]
        self.origins = [_flat(x) for x in self.leaves]
        for name, x in zip(self.names, self.origins, strict=True):
            if not np.isfinite(x).all():
                raise NonFiniteError(
                    f"parameter {name!r} is not finite; a gradient can be checked at finite ones only."
                )
        self.double = False  # until the function is known to take float64
        self.nearby = self._look_nearby()
        self.value, self.grads = self._look()
        self.eps = max(precision(x) for x in self.leaves)
        self._choose()

    def raw(self, k: int, reals: Any) -> Any:
        """Return the value that the user's function gives where parameter ``k`` has other (or complex) numbers."""
        self._again()
        return self.objective.function(self._params({k: reals}), *self.batch)[0]

    def scatter(self, k: int) -> float:
        """The most by which the gradient of parameter ``k`` differs between calls here whose generators go on.

        0 where the value differs as well: that has the same noise.
        """
        if any(value != self.value for value, _ in self._repeated):
            return 0.0
        return max(float(np.abs(grads[k] - self.grads[k]).max(initial=0.0)) for _, grads in self._repeated)

    @cached_property
    def _repeated(self) -> list[tuple[float, list[Reals]]]:
        """Values and gradients of two more calls here, which draw on."""
        asked = [self.objective(self._params({}), *self.batch) for _ in range(2)]
        return [(value, [_flat(g) for g in self.nest.leaves(grads, "gradients")]) for value, grads in asked]

    def at(self, moved: dict[int, Reals]) -> float:
        """Return the value where some parameters have other numbers; NaN where the function refuses them."""
        try:
            return self._asked(self._params(moved))[0]
        except Exception:  # noqa: BLE001, RUF100 - outside of its domain a function may do anything
            return np.nan

    def _asked(self, params: Any) -> tuple[float, Any]:
        self._again()
        return self.objective(params, *self.batch)

    def _again(self) -> None:
        """Put the generators back: each call draws the same numbers."""
        put_back(self._rng, self._random)
        if self._listen is not None:
            self._listen()

    def _params(self, moved: dict[int, Any]) -> Any:
        return self.nest.build([self._leaf(k, moved[k]) if k in moved else x for k, x in enumerate(self.still)])

    def rtol(self, k: int, noise: float) -> float:
        """Return the relative error that a right gradient of parameter ``k`` may have."""
        return self.precision(k, noise) ** POWER

    def precision(self, k: int, noise: float) -> float:
        """Return the precision in which the gradient of parameter ``k`` may have been computed, relative to it."""
        own = min(noise / abs(self.value), float(np.finfo(np.float32).eps)) if self.value else 0.0
        own = own if own > 1e3 * self.eps else 0.0  # a long sum's rounding, and not fewer digits
        return max(precision(self.leaves[k]), self.narrow[k], self.eps, own)

    def _leaf(self, k: int, reals: Any) -> Any:
        """Parameter ``k`` with other numbers, in its own dtype or in double precision, where it was in memory."""
        like = self.leaves[k]
        host = like if isinstance(like, np.ndarray | np.generic) else to_numpy(like)
        pairs = host.dtype.kind == "c"
        double = np.complex128 if pairs or reals.dtype.kind == "c" else np.float64
        out = np.empty_like(host, dtype=double if self.double else host.dtype)
        out[...] = (reals[0::2] + 1j * reals[1::2] if pairs else reals).reshape(host.shape)
        if host is like:
            return out
        return namespace(like).asarray(out, device=array_api_compat.device(like))

    def _look_nearby(self) -> list[Reals]:
        """Call elsewhere first: a gradient that is kept from one call to the next cannot be right after it."""
        rng = np.random.default_rng(0)
        there = {k: x + 0.05 * sizes(x) * rng.uniform(-1, 1, x.shape) for k, x in enumerate(self.origins)}
        zeros = [np.zeros_like(x) for x in self.origins]
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                params = self.nest.build([self._leaf(k, x) for k, x in there.items()])
                grads = self.nest.leaves(self._asked(params)[1], "gradients")
            found = [np.nan_to_num(np.abs(_flat(g)), nan=0.0, posinf=0.0) for g in grads]
        except Exception:  # noqa: BLE001, RUF100 - nothing is asked of it there
            return zeros
        return [size if size.shape == zero.shape else zero for size, zero in zip(found, zeros, strict=True)]

    def _look(self) -> tuple[float, list[Reals]]:
        """Check value and gradients at the parameters, and that a second call gives the same."""
        name = self.objective.name
        value, grads = self._call()
        again, others = self._call()
        alike = max(precision(x) for x in self.leaves) ** 0.75
        what = "value" if abs(value - again) > alike * abs(value) else ""
        for leaf, g, other in zip(self.names, grads, others, strict=True):
            if not what and norm(g - other) > alike * (norm(g) + norm(other)):
                what = f"gradient {leaf!r}"
        if what:
            raise GradstepValueError(
                f"{name} gives another {what} when it is called again with the same parameters: it is random, or keeps "
                f"something from one call to the next; make it give the same to be checked, or name the generator "
                f"that it draws from, rng."
            )
        return value, grads

    def _call(self) -> tuple[float, list[Reals]]:
        name, leaves = self.objective.name, self.leaves
        value, grads = self._asked(self.nest.build(leaves))
        for leaf, x, before in zip(self.names, leaves, self.origins, strict=True):
            if not np.array_equal(_flat(x), before):
                raise GradstepValueError(f"{name} changes parameter {leaf!r} in place; let it work on a copy.")
        if not np.isfinite(value):
            raise NonFiniteError(
                f"the value that {name} gives is {value}; a gradient can be checked where it is finite."
            )
        found = self.nest.leaves(grads, "gradients")
        self.narrow = [precision(g) if is_foreign(g, x) else 0.0 for g, x in zip(found, leaves, strict=True)]
        found = [_as_like(g, x) if is_foreign(g, x) else g for g, x in zip(found, leaves, strict=True)]
        for leaf, g, x in zip(self.names, found, leaves, strict=True):
            check_gradient(leaf, g, x)
            if not np.isfinite(_flat(g)).all():
                raise bad_gradient(leaf, g, largest("float64"))
        return value, [_flat(g) for g in found]

    def _measure_in(self, double: bool) -> None:
        """Measure in double precision, or in that of the parameters."""
        self.double = double
        self.still = [self._leaf(k, x) for k, x in enumerate(self.origins)]

    def _choose(self) -> None:
        """Choose double precision where the function takes it and gives the same value."""
        self._measure_in(True)
        value = self.at({})
        if abs(value - self.value) <= self.eps**POWER * abs(self.value):
            self.value, self.eps = value, DOUBLE
        else:
            self._measure_in(False)


def norm(x: Reals) -> float:
    """The Euclidean norm, without overflow."""
    size = float(np.max(np.abs(x), initial=0.0))
    return size * float(np.sqrt(np.sum(np.square(x / size)))) if 0 < size < np.inf else size


def sizes(x: Reals) -> Reals:
    """Return the size of each element, for a zero the size of the others; 1 where all are zero."""
    return np.where(x == 0, typical(x), np.abs(x))


def typical(x: Reals) -> float:
    """The root mean square of the elements that are not zero; 1 where all are."""
    return norm(x) / float(np.sqrt(np.count_nonzero(x))) if x.any() else 1.0


def precision(x: Any) -> float:
    """The spacing of an array's numbers, relative to them."""
    name = dtype_name(x)
    return 2.0**-7 if name == "bfloat16" else float(np.finfo(name).eps)


def _as_like(g: Any, x: Any) -> Any:
    """Return the gradient as NumPy's, in its parameter's dtype where its own has but fewer bits."""
    own = to_numpy(g)
    return own.astype(x.dtype) if own.dtype.kind == x.dtype.kind and own.dtype.itemsize < x.dtype.itemsize else own


def _flat(x: Any) -> Reals:
    """An array's reals, copied, one after the other."""
    return np.array(as_reals(to_numpy(x)), np.float64).reshape(-1)
