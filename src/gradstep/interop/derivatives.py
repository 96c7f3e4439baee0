"""The host's half of a step under JAX's transformations: a callback, and what its results are differentiated by.

Scalars come from the host in float64, and their derivatives too: by a hyperparameter that JAX hands over, and by a
sum over arrays such as a norm. They are central differences, right to some ten digits (six in a second derivative);
all else of a step is differentiated by JAX itself. This module is loaded where JAX traces.
"""
# JAX is not installed where types are checked.
# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUntypedFunctionDecorator=false, reportFunctionMemberAccess=false

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradstep.array.namespaces import as_reals, to_numpy
from gradstep.errors import GradstepValueError
from gradstep.form.chain import Program, program, run, terms
from gradstep.form.rule import Stage

_STEP = 2.0**-17  # of a difference, relative: its square and the rounding of float64 over it are both some 1e-11
Given = dict[str, Any]


def scalars(host: Callable[..., Any], form: Any, stage: Stage, t: Any, memory: Given, hyper: Given, arrays: Any) -> Any:
    """Return what ``host`` gives for the other arguments: numbers of the shape and dtype in ``form``, and bits.

    Parameters
    ----------
    host
        ``(t, memory, hyper, arrays) -> (numbers, memory)``.
    form
        Shape and dtype of both.
    stage, t, memory, hyper, arrays
        As :func:`gradstep.interop.traced.step` has them; ``arrays`` has theta, g and the state of each parameter.
    """

    @jax.custom_jvp
    def call(t: Any, memory: Given, hyper: Given, arrays: Any) -> Any:
        return jax.pure_callback(host, form, t, memory, hyper, arrays, vmap_method="sequential")

    @partial(call.defjvp, symbolic_zeros=True)
    def rule(primals: Any, tangents: Any) -> Any:  # pyright: ignore[reportUnusedFunction]
        leaves, tree = jax.tree.flatten(primals[2:])
        moved = jax.tree.leaves(tangents[2:], is_leaf=_is_zero)
        active = [k for k, x in enumerate(moved) if not _is_zero(x)]

        def of_active(*values: Any) -> Any:
            every = list(leaves)
            for k, x in zip(active, values, strict=True):
                every[k] = x
            return _table(stage, form[0], *primals[:2], *jax.tree.unflatten(tree, every))

        numbers, bits = call(*primals)
        _, tangent = jax.jvp(of_active, [leaves[k] for k in active], [moved[k] for k in active])
        return (numbers, bits), (tangent, jax.tree.map(lambda x: np.zeros(x.shape, jax.dtypes.float0), bits))

    wide = {key: jnp.asarray(x, jax.dtypes.canonicalize_dtype(float)) for key, x in hyper.items()}
    return call(t, memory, wide, arrays)


def _is_zero(x: Any) -> bool:
    return isinstance(x, jax.custom_derivatives.SymbolicZero)


def _table(stage: Stage, form: Any, t: Any, memory: Given, hyper: Given, arrays: Sequence[Any]) -> Any:
    """Return the numbers of all parts, a row for each row of ``form``, as JAX can differentiate them."""
    made = program(stage)
    rows: list[list[Any]] = [[] for _ in range(form.shape[0])]
    of_each = made.memory_of_each()
    kept = [{key: x[k] if key in of_each else x for key, x in memory.items()} for k in range(len(rows))]
    wide = [(as_reals(x), as_reals(g), [list(map(as_reals, own)) for own in slots]) for x, g, slots in arrays]
    of_row = [k if len(rows) > 1 else 0 for k in range(len(wide))]
    for i, part in enumerate(made.parts):
        sums: list[tuple[Any, ...]] = [() for _ in rows]
        if part.rule.measure:
            early = [_numbers(stage, i, True, form.dtype, t, own, hyper, ()) for own in kept]
            each = [_sums(made, i, x, [*rows[k], early[k]]) for k, x in zip(of_row, wide, strict=True)]
            total = tuple(map(sum, zip(*each, strict=True))) if part.rule.over == "all" else ()
            sums = [total] * len(rows) if total else each
        numbers = [
            _numbers(stage, i, False, form.dtype, t, own, hyper, summed) for own, summed in zip(kept, sums, strict=True)
        ]
        rows = [[*row, own] for row, own in zip(rows, numbers, strict=True)]
    return jnp.stack([jnp.concatenate(row) for row in rows])


def _sums(made: Program, i: int, x: Any, row: Sequence[Any]) -> tuple[Any, ...]:
    """Return the sums that part ``i`` takes of one parameter."""
    theta, g, slots = x
    theta, g, _, before = run(made.rules[:i], theta, g, slots, row[:i])
    return tuple(map(jnp.sum, terms(made.rules[i], [before, theta, g, *slots[i]], row[i], lambda y: y)))


def _numbers(
    stage: Stage, part: int, early: bool, dtype: Any, t: Any, memory: Given, hyper: Given, sums: Sequence[Any]
) -> Any:
    """Return one part's numbers."""
    names = tuple(sorted(hyper))
    own = _Part(stage, part, early, names)
    return _differentiable(own, own.size, dtype, (t, memory), (*(hyper[key] for key in names), *sums))


def _differentiable(f: Callable[..., Any], size: int, dtype: Any, known: Any, at: tuple[Any, ...]) -> Any:
    """Return ``f(known, at)``, ``size`` numbers from the host; its derivatives are those of each number in ``at``."""

    @jax.custom_jvp
    def call(known: Any, *at: Any) -> Any:
        out = jax.ShapeDtypeStruct((size,), dtype)
        return jax.pure_callback(lambda *x: np.asarray(f(*x), dtype), out, known, at, vmap_method="sequential")

    @partial(call.defjvp, symbolic_zeros=True)
    def rule(primals: Any, tangents: Any) -> Any:  # pyright: ignore[reportUnusedFunction]
        known, *at = primals
        tangent = jnp.zeros(size, dtype)
        for k, x in enumerate(tangents[1:]):
            if not _is_zero(x):
                tangent += _differentiable(_Slope(f, k), size, dtype, known, tuple(at)) * x.astype(dtype)
        return call(known, *at), tangent

    return call(known, *at)


@dataclass(frozen=True)
class _Part:
    """One part's numbers, of its hyperparameters by ``names`` and its sums; ``early``: those known before the sums."""

    stage: Stage
    part: int
    early: bool
    names: tuple[str, ...]

    @property
    def size(self) -> int:
        rule = program(self.stage).rules[self.part]
        return len(rule.early_numbers if self.early else rule.numbers)

    def __call__(self, known: Any, at: Sequence[Any]) -> np.ndarray:
        return np.array(list(self.both(known, at)[0].values()))

    def both(self, known: Any, at: Sequence[Any]) -> tuple[dict[str, float], dict[str, float]]:
        """Return the numbers, NaN where the host has none, and the memory."""
        made, t = program(self.stage), int(known[0])
        part, keys = made.parts[self.part], made.keys[self.part]
        given = dict(zip(self.names, map(float, at), strict=False))
        taken = {key: given.pop(key) for key in made.takes}
        values = {**made.values({key: x for key, x in made.hyper.items() if key not in given}, t), **given}
        memory = {key: _float(known[1][f"{part.label}.{key}"]) for key in part.rule.memory}
        sums = dict.fromkeys(part.rule.measure, 1.0) | dict(
            zip(part.rule.measure, map(float, at[len(self.names) :]), strict=False)
        )
        sums |= {key: taken[key] for key in part.rule.takes}
        names = part.rule.early_numbers if self.early else part.rule.numbers
        hyper = {key: values[flat] for key, flat in keys.items()}
        try:
            return part.rule.host(t + 1, hyper, memory, sums, names)
        except (ArithmeticError, ValueError):
            return dict.fromkeys(names, math.nan), memory

    def place(self, k: int) -> tuple[str, float, float]:
        """The name of the ``k``-th number that it is asked with, and the ends of what that may be."""
        domain = program(self.stage).domains.get(self.names[k]) if k < len(self.names) else None
        if k >= len(self.names):
            return list(program(self.stage).rules[self.part].measure)[k - len(self.names)], 0.0, math.inf
        return self.names[k], *((domain.low, domain.high) if domain else (-math.inf, math.inf))

    def check(self, k: int, below: tuple[Any, Any], above: tuple[Any, Any]) -> None:
        """Refuse a derivative that would go on through the host's memory, which is no array of JAX's."""
        label = program(self.stage).parts[self.part].label
        for key, x in below[1].items():
            if x != above[1][key]:
                raise GradstepValueError(
                    f"{label}: a derivative by {self.place(k)[0]} goes on through {label}.{key}, which the host keeps "
                    f"between updates and JAX cannot differentiate; take one by another hyperparameter or rule."
                )


@dataclass(frozen=True)
class _Slope:
    """The derivative of ``f`` by the ``k``-th number that it is asked with; of such a derivative too."""

    f: Any
    k: int

    def __call__(self, known: Any, at: Sequence[Any]) -> np.ndarray:
        x, inner = [float(y) for y in at], self.f
        while isinstance(inner, _Slope):
            inner = inner.f
        _, low, high = inner.place(self.k)
        if self.k >= len(inner.names) and x[self.k] == 0.0:
            return np.zeros(inner.size)  # a sum of squares at its end
        room = min((y for y in (abs(x[self.k]), x[self.k] - low, high - x[self.k]) if y > 0), default=1.0)
        step = _STEP * (room if math.isfinite(room) else 1.0)
        ends = [[*x[: self.k], y, *x[self.k + 1 :]] for y in (x[self.k] - step, x[self.k] + step)]
        if self.f is inner:
            inner.check(self.k, *(inner.both(known, y) for y in ends))
        below, above = (np.asarray(self.f(known, y)) for y in ends)
        return (above - below) / (ends[1][self.k] - ends[0][self.k])


def _float(bits: Any) -> float:
    return float(np.ascontiguousarray(to_numpy(bits), np.int32).view(np.float64)[0])
