"""The law that a rule runs on arrays of any namespace: read-only NumPy, array-api-strict, torch, JAX."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from gradstep.array.namespaces import namespace, to_numpy
from gradstep.form.matrices import SQUARES
from gradstep.form.rule import Rule
from gradstep.functional import State, init, update
from gradstep.testing.case import Case
from gradstep.testing.trial import REAL, demand, extras, gradients, normal, same

# By how many units in the last place a result may differ from NumPy's. + - * are rounded correctly everywhere, but a
# root or a quotient may be off by one unit in torch and JAX; Adadelta's square of a quotient of roots makes four of it.
NAMESPACES: Mapping[str, int] = {"numpy": 0, "array_api_strict": 0, "torch": 4, "jax.numpy": 4}

SHAPES = ((), (0,), (3, 5))
WHOLE = 64  # the same where sums and products of matrices go in another order, as they do everywhere but in NumPy
ROOTS = 1 << 20  # and where small eigenvalues count for more than large ones
STEPS = 8


def namespaces(case: Case) -> None:
    """``gs.update`` on arrays of every namespace that is installed; JAX in float64 only where that is switched on."""
    for name in NAMESPACES:
        if find_spec(name.partition(".")[0]):
            agrees(case, name)


def agrees(case: Case, name: str) -> None:
    """Each step, from the same state, is NumPy's, and the arrays handed in are as before."""
    xp = import_module(name)
    for dtype in REAL:
        if to_numpy(xp.asarray(np.zeros(1, dtype))).dtype != dtype:
            continue
        rng = case.rng()
        params = normal(rng, *_shapes(case.rule), dtype=dtype)
        stage = case.stage()
        state = init(stage, params)
        for theta in params:  # alone: small arrays may be put together before the rule
            start = init(stage, [theta])
            one = [theta], [theta], start.slots, extras(stage, [theta])
            taken = [_nest(lambda x: _moved(xp, x), own) for own in one]
            update(stage, taken[0], taken[1], State(0, start.memory, taken[2]), **taken[3])
            for own, original in zip(taken, one, strict=True):
                _compare(own, original, original, 0, f"{name}, {dtype}, alone: an argument")
        for t, grads in enumerate(gradients(rng, params, STEPS), 1):
            where = f"{name}, {dtype}, step {t}"
            handed = params, grads, state.slots, extras(stage, grads)
            taken = [_nest(lambda x: _moved(xp, x), own) for own in handed]
            got, after = update(stage, taken[0], taken[1], State(state.t, state.memory, taken[2]), **taken[3])
            for own, original in zip(taken, handed, strict=True):
                _compare(own, original, original, 0, f"{where}: an argument")
            new, following = update(stage, params, grads, state, **handed[3])
            ulps = _room(case.rule, dtype) if case.rule.whole and xp is not np else NAMESPACES[name]
            _compare(got, new, params, ulps, f"{where}: theta", taken[0])
            _compare(after.slots, following.slots, state.slots, ulps, f"{where}: state", taken[2])
            params, state = new, following


def _shapes(rule: Rule) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of parameters, the last a square where eigenvectors are kept.

    Of the squares of another's first gradient one has several that belong to zero, and libraries choose some.
    """
    return (*SHAPES[:-1], (3, 3)) if _has_squares(rule) else SHAPES


def _has_squares(rule: Rule) -> bool:
    return any(word in SQUARES for word in rule.shapes.values())


def _room(rule: Rule, dtype: str) -> float:
    """Return by how many units the numbers of a rule of whole arrays may differ.

    Roots of squares hang on their least eigenvalues, of which float32 knows none beside large ones.
    """
    if _has_squares(rule):
        return ROOTS if dtype == "float64" else np.inf
    return WHOLE


def _nest(change: Callable[[Any], Any], nest: Any) -> Any:
    if isinstance(nest, Mapping):
        return {key: _nest(change, x) for key, x in nest.items()}
    return [_nest(change, x) for x in nest] if isinstance(nest, list) else change(nest)


def _leaves(nest: Any) -> list[Any]:
    out: list[Any] = []
    _nest(out.append, nest)
    return out


def _moved(xp: Any, x: Any) -> Any:
    """A copy in another namespace; NumPy's is read-only."""
    if isinstance(x, float):
        return x
    x = x.copy()
    if xp is np:
        x.setflags(write=False)
    return xp.asarray(x)


def _compare(got: Any, wanted: Any, before: Any, ulps: float, where: str, like: Any = None) -> None:
    """Demand kind, dtype, shape and values, within units in the last place of what a step started from or gave."""
    for k, (x, y, old) in enumerate(zip(_leaves(got), _leaves(wanted), _leaves(before), strict=True)):
        at = f"{where}, leaf {k}"
        if like is not None:
            kind = _leaves(like)[k]
            demand(namespace(x) is namespace(kind) and x.dtype == kind.dtype, f"{at} is {type(x)} of {x.dtype}")
        x = to_numpy(x)
        if not ulps:
            same(x, to_numpy(y), at)
            continue
        demand((x.dtype, x.shape) == (y.dtype, y.shape), f"{at} is {x.dtype}{x.shape}, not {y.dtype}{y.shape}")
        room = ulps * np.spacing(np.maximum(np.abs(old), np.abs(y)))
        demand(np.all(np.abs(x - y) <= room), f"{at} is {x}, not {y} within {ulps} units in the last place")
