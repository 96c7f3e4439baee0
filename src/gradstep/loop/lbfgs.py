"""L-BFGS: descent along directions that are made of the last steps, each as long as a line search finds."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradstep.array.namespaces import copied, dtype_name, duplicate, put, to_numpy
from gradstep.array.reduction import block_sums, joined
from gradstep.array.tree import Nest
from gradstep.errors import CheckpointError, GradstepTypeError, GradstepValueError
from gradstep.loop.line_search import Trial, search
from gradstep.loop.stop import Reason, Stop, any_of, evaluations
from gradstep.naming import is_like, real, whole

Flat = NDArray[Any]  # all numbers of the parameters that are not frozen, one after the other
LINE = "line/"
_FORM = {"method": str, "t": int, "pairs": int}
_ROUNDINGS = 100  # of the value: a promised decrease of fewer is none
_SINGLE = np.finfo(np.float32)
_CALMER = 0.5  # of the squared norm of the gradient


@dataclass(frozen=True)
class lbfgs:  # noqa: N801 - reads as a rule: gs.Run(f, x0, gs.lbfgs(memory=20))
    """Limited-memory BFGS, the method of a run or of :func:`gradstep.minimize` on a deterministic objective.

    The direction is the gradient times an estimate of the inverse Hessian, made of the last ``memory`` changes of
    parameters and gradients by two loops (Algorithm 7.4); its length is found by a line search for the strong Wolfe
    conditions (Algorithms 3.5 and 3.6). The first step is tried with the length 1.

    Source: Nocedal 1980; Liu & Nocedal 1989; the algorithms' numbers are those of Nocedal & Wright 2006, *Numerical
    Optimization*, second edition.

    Parameters
    ----------
    memory
        Steps that are kept, each in two arrays of the size of the parameters; at least 1.
    c1, c2
        Of the Wolfe conditions: ``0 < c1 < c2 < 1``.
    max_search
        Evaluations in one line search, at least 1.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        For what is out of range.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> run = gs.Run(lambda x: (float(x @ x) ** 2, 4 * (x @ x) * x), np.array([3.0, 4.0]), "lbfgs", grad_norm=1e-9)
    >>> for step in run: pass
    >>> run.reason.kind, run.evaluations < 50
    ('converged', True)
    """

    memory: int = 10
    c1: float = 1e-4
    c2: float = 0.9
    max_search: int = 25

    def __post_init__(self) -> None:
        for name in ("memory", "max_search"):
            whole(f"lbfgs: {name}", getattr(self, name), least=1)
        if not 0 < real("lbfgs: c1", self.c1) < real("lbfgs: c2", self.c2) < 1:
            raise GradstepValueError(f"lbfgs: 0 < c1 < c2 < 1 is needed, not c1={self.c1} and c2={self.c2}.")


def method_of(rule: Any, hyper: Mapping[str, Any]) -> lbfgs | None:
    """Return the method that a run's rule is, with its numbers; None for a rule or stage.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        For numbers that it does not take.
    """
    if not (rule == "lbfgs" or rule is lbfgs or isinstance(rule, lbfgs)):
        return None
    if "lr" in hyper:
        raise GradstepTypeError("lbfgs has no lr: its line search finds the length of each step.")
    known = lbfgs.__dataclass_fields__
    if unknown := sorted(hyper.keys() - known.keys()):
        raise GradstepTypeError(f"lbfgs: unknown hyperparameter {unknown[0]!r}; known: {', '.join(known)}.")
    if not isinstance(rule, lbfgs):
        return lbfgs(**hyper)
    if hyper:
        raise GradstepTypeError(f"{min(hyper)} is given beside lbfgs(...); give it inside: gs.lbfgs({min(hyper)}=...).")
    return rule


def refuse(given: Mapping[str, Any]) -> None:
    """Refuse what makes no sense with a line search; ``given`` are the arguments of a run that have been given.

    Raises
    ------
    GradstepValueError
        With the reason.
    """
    reasons = {
        "batches": "compares values, and with batches they may be random; take a rule, such as adam",
        "rng": "compares values, and with rng they may be random; take a rule, such as adam, or, if the "
        "generator only makes the data, pass it under another name",
        "bounds": "has no bounds; take a rule, such as adam, or scipy.optimize.minimize(method='L-BFGS-B')",
        "project": "would leave its line by project=; take a rule, such as adam",
        "on_plateau": "has no learning rate that could be lowered",
        **dict.fromkeys(
            ("state_dtype", "master", "rounding"), "keeps its memory in the dtype of the parameters; leave it out"
        ),
    }
    for name, reason in reasons.items():
        if given.get(name) is not None:
            raise GradstepValueError(f"{name}: lbfgs {reason}.")
    for pattern, own in (given.get("groups") or {}).items():
        if own != "freeze":
            raise GradstepValueError(f'groups: lbfgs moves all parameters together; {pattern!r} can be "freeze" alone.')


class Pair(NamedTuple):
    """A step that was made, and by how much the gradient changed."""

    s: Flat
    y: Flat


class Point(NamedTuple):
    """The point at which the last direction was taken, with the pairs from before it."""

    t: int
    x: Flat
    g: Flat
    pairs: tuple[Pair, ...]


class Known(NamedTuple):
    """A point that a line search has evaluated."""

    t: int
    leaves: Sequence[Any]
    value: float
    grads: Any


class Found(NamedTuple):
    """The end of a line search.

    Attributes
    ----------
    direction
        A nest like the parameters: the gradient times the estimate; None where no lower point was found.
    alpha
        The step along its negative.
    evaluations
        Calls of the objective, less the one at the point that was taken: it counts where that is looked at.
    is_flat
        Whether no more than a rounding of the value can be gained here.
    """

    direction: Any
    alpha: float
    evaluations: int
    is_flat: bool = False

    def reason(self, most: int, made: int) -> Reason:
        """Return the reason to end where no lower point was found.

        Parameters
        ----------
        most
            Evaluations that were left before the search.
        made
            All evaluations.
        """
        if self.evaluations >= most:
            return Reason("budget", f"{made} evaluations are made")
        if self.is_flat:
            return Reason("converged", "the value can decrease by no more than its rounding error")
        return Reason(
            "stalled",
            "the line search found no lower value along the gradient; gs.check_gradient says whether it is right",
        )


class LineDescent:
    """L-BFGS on the parameters of a run.

    Parameters
    ----------
    method
        Its numbers.
    nest, leaves
        The parameters.
    active
        The places of those that are not frozen.
    sign
        -1 where the value is to be made large.
    evaluate
        Gives value and gradients, a nest, for arrays like ``leaves``.

    Raises
    ------
    GradstepTypeError
        For parameters that are neither float32 nor float64.
    """

    def __init__(
        self,
        method: lbfgs,
        nest: Nest,
        leaves: Sequence[Any],
        active: Sequence[int],
        sign: float,
        evaluate: Callable[[list[Any]], tuple[float, Any]],
    ) -> None:
        self.method, self.nest, self.leaves, self.active = method, nest, leaves, active
        self.sign, self.evaluate = sign, evaluate
        for k in active:
            if dtype_name(leaves[k]) not in ("float32", "float64"):
                raise GradstepTypeError(
                    f"lbfgs is for parameters of float32 and float64, and {nest.names[k]!r} is {dtype_name(leaves[k])}."
                )
        self.dtype = np.result_type(*(dtype_name(leaves[k]) for k in active)) if active else np.dtype(np.float64)
        self._last: Point | None = None
        self._known: Known | None = None

    def known(self, t: int) -> tuple[float, Any] | None:
        """Return value and gradients at the current parameters, where the last line search has evaluated them."""
        known = self._known
        if known is None or known.t != t or not all(map(_same, known.leaves, self.leaves)):
            return None
        return known.value, known.grads

    def search(self, t: int, value: float, grads: Any, most: int) -> Found:
        """Find the next step from the current parameters, at which objective and gradients are these.

        Parameters
        ----------
        most
            Evaluations that are left.
        """
        x, g = self._flat(self.leaves), self.gradient(grads)
        pairs = self._pairs(t, x, g)
        made, is_flat, rounding = 0, False, self._rounding(value)
        for kept in (pairs, ()) if pairs else ((),):  # where what was kept leads nowhere: along the gradient, once
            d = _times_inverse_hessian(kept, g)
            slope, allowed = -_dot(d, g), min(self.method.max_search, most - made)
            is_flat = is_flat or 0 <= -slope <= _ROUNDINGS * rounding
            if allowed < 1 or not -math.inf < slope < 0:
                continue
            start = Trial(0.0, self.sign * value, slope)
            line = _Line(self, t + 1, d, start, _CALMER * _dot(g, g) if is_flat else 0.0)
            end = search(line, start, 1.0 if kept else 1 / math.sqrt(-slope), self.method.c2, allowed)
            made += line.evaluations
            if end is not None:
                self._last, self._known = Point(t, x, g, kept), end.found
                return Found(self.nested(self.sign * d), end.alpha, made - 1)
            if is_flat:
                break
        return Found(None, 0.0, made, is_flat)

    def to_save(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return arrays by their names in a file, and the rest for its manifest."""
        last = self._last
        if last is None:
            return {}, {"method": "lbfgs", "t": -1, "pairs": 0}
        arrays = {f"{LINE}x": last.x, f"{LINE}g": last.g}
        for k, pair in enumerate(last.pairs):
            arrays |= {f"{LINE}s.{k}": pair.s, f"{LINE}y.{k}": pair.y}
        return arrays, {"method": "lbfgs", "t": last.t, "pairs": len(last.pairs)}

    def read(self, data: Any, arrays: Mapping[str, Any]) -> Point | None:
        """Return what has been saved, for :meth:`take`.

        Raises
        ------
        CheckpointError
            When it does not fit.
        """
        if not is_like(data, _FORM) or data["method"] != "lbfgs" or not 0 <= data["pairs"] <= len(arrays):
            raise CheckpointError("it was not made by lbfgs")
        if data["t"] < 0:
            return None
        names = ["x", "g", *(f"{key}.{k}" for k in range(data["pairs"]) for key in "sy")]
        found = [arrays.get(f"{LINE}{name}") for name in names]
        n = sum(math.prod(self.leaves[k].shape) for k in self.active)
        for name, own in zip(names, found, strict=True):
            if own is None or own.shape != (n,) or own.dtype != self.dtype:
                raise CheckpointError(f"the memory of lbfgs, {name!r}, is missing, or of another shape or dtype")
        x, g, *rest = (np.array(own, self.dtype) for own in found)
        return Point(data["t"], x, g, tuple(map(Pair, rest[::2], rest[1::2]))[-self.method.memory :])

    def take(self, last: Point | None) -> None:
        """Go on from what :meth:`read` gave."""
        self._last, self._known = last, None

    def _rounding(self, value: float) -> float:
        """Return by how much a value is rounded: to float32, where it and the parameters are of float32."""
        is_single = self.dtype == np.float32 and abs(value) <= _SINGLE.max and float(np.float32(value)) == value
        return abs(value) * float(_SINGLE.eps if is_single else np.finfo(np.float64).eps)

    def _pairs(self, t: int, x: Flat, g: Flat) -> tuple[Pair, ...]:
        """Return the pairs up to here: those before, and the last step where the curvature along it is positive."""
        last = self._last
        if last is None or t not in (last.t, last.t + 1):
            return ()
        if t == last.t:  # its search was broken off
            return last.pairs
        pair = Pair(x - last.x, g - last.g)
        enough = float(np.finfo(np.float64).eps) * abs(_dot(last.g, pair.s))
        kept = (*last.pairs, pair) if enough < _dot(pair.s, pair.y) < math.inf else last.pairs
        return kept[-self.method.memory :]

    def _flat(self, leaves: Sequence[Any]) -> Flat:
        own = [np.asarray(to_numpy(leaves[k]), self.dtype).reshape(-1) for k in self.active]
        return np.concatenate(own) if own else np.zeros(0, self.dtype)

    def gradient(self, grads: Any) -> Flat:
        """Return the gradients of the value that is made small, one after the other."""
        return self.sign * self._flat(self.nest.leaves(grads, "gradients"))

    def nested(self, flat: Flat) -> Any:
        """Return a nest of numbers that stand one after the other; frozen parameters have none."""
        out, begin = [None] * len(self.leaves), 0
        for k in self.active:
            like = self.leaves[k]
            own = flat[begin : begin + math.prod(like.shape)].reshape(tuple(like.shape)).astype(dtype_name(like))
            begin += own.size
            out[k] = copied(like)
            put(out[k], own)
        return self.nest.build(out)


def evaluations_left(stop: Stop, made: int) -> int:
    """Return the evaluations that a run's stops leave."""
    several = stop.stops if isinstance(stop, any_of) else (stop,)
    return min([one.n for one in several if isinstance(one, evaluations)], default=sys.maxsize) - made


def last_point(line: LineDescent | None, data: Any, arrays: Mapping[str, Any]) -> Point | None:
    """Return what a file has for the line search of a run; None where neither has one.

    Raises
    ------
    CheckpointError
        When one alone has, or it does not fit.
    """
    if line is None:
        if data is not None:
            raise CheckpointError("it was made by lbfgs")
        return None
    return line.read(data, arrays)


class _Line:
    """Points ``x - alpha d``, evaluated.

    The value has to fall, and by the first of the Wolfe conditions. Near a minimum, where it is rounded by more than it
    could fall, it may also stay if the squared norm of the gradient comes down to ``calm``.
    """

    def __init__(self, own: LineDescent, t: int, d: Flat, start: Trial, calm: float) -> None:
        self.own, self.t, self.d, self.start, self.calm, self.evaluations = own, t, d, start, calm, 0
        self.steps = own.nest.leaves(own.nested(d), "directions")

    def __call__(self, alpha: float) -> Trial:
        own = self.own
        leaves = list(own.leaves)
        for k in own.active:
            x, d = to_numpy(own.leaves[k]), to_numpy(self.steps[k])
            with np.errstate(over="ignore", invalid="ignore"):
                there = x - x.dtype.type(alpha) * d  # as a step of sgd with this rate rounds it
            leaves[k] = duplicate(own.leaves[k])
            put(leaves[k], there)
        value, grads = own.evaluate(leaves)
        self.evaluations += 1
        given = [None if g is None else copied(g) for g in own.nest.leaves(grads, "gradients")]
        nest = own.nest.build(given)
        with np.errstate(over="ignore", invalid="ignore"):
            g = own.gradient(nest)
            slope, square = -_dot(self.d, g), _dot(g, g)
        if not all(map(math.isfinite, (value, slope, square))):
            return Trial(alpha, math.inf, math.nan)
        return Trial(
            alpha,
            own.sign * value,
            slope,
            self._falls(alpha, own.sign * value, square),
            Known(self.t, leaves, value, nest),
        )

    def _falls(self, alpha: float, value: float, square: float) -> bool:
        before = self.start.value
        if value == before:
            return square <= self.calm
        return value < before and value <= before + self.own.method.c1 * alpha * self.start.slope


def _times_inverse_hessian(pairs: Sequence[Pair], g: Flat) -> Flat:
    """Return H g by two loops (Algorithm 7.4), from the multiple of the identity of equation 7.20."""
    if not pairs:
        return g
    d, shares = g.copy(), list[float]()
    products = [_dot(s, y) for s, y in pairs]
    for (s, y), sy in zip(reversed(pairs), reversed(products), strict=True):
        shares.append(_dot(s, d) / sy)
        d -= g.dtype.type(shares[-1]) * y
    last = pairs[-1].y
    d *= g.dtype.type(products[-1] / _dot(last, last))
    for (s, y), sy, share in zip(pairs, products, reversed(shares), strict=True):
        d += g.dtype.type(share - _dot(y, d) / sy) * s
    return d


def _dot(a: Flat, b: Flat) -> float:
    """Return a sum of products in the library's fixed order, in float64."""
    return joined(block_sums(np.multiply(a, b, dtype=np.float64)))


def _same(a: Any, b: Any) -> bool:
    return bool(np.array_equal(to_numpy(a), to_numpy(b)))
