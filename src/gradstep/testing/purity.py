"""The law of purity: a step gives new arrays and leaves what it is handed as it is."""

from typing import Any

import numpy as np

from gradstep.array.namespaces import as_reals
from gradstep.functional import State, init, update
from gradstep.optimizer import Optimizer
from gradstep.testing.case import ENGINES, Case
from gradstep.testing.trial import (
    Arrays,
    demand,
    extras,
    gradients,
    normal,
    run,
    same,
    same_snapshots,
    snapshot,
)

SHAPES = ((), (0,), (5,), (2, 3))


def purity(case: Case) -> None:
    """``gs.update`` gives new arrays of the same shapes and dtypes, and leaves what it is handed as it is."""
    rng = case.rng()
    for dtype in ("float32", "float64", *(() if case.rule.whole else ("complex64", "complex128"))):
        thetas = [_complex(rng, shape, dtype) for shape in SHAPES]
        grads = [[_complex(rng, shape, dtype) for shape in SHAPES] for _ in range(3)]
        state = init(case.stage(), thetas)
        _apart([*thetas, *_arrays(state)], f"{dtype}, init")
        params, pairs = (
            thetas,
            run(
                case.stage(),
                list(map(as_reals, thetas)),
                [list(map(as_reals, g)) for g in grads],
                more=[_as_reals(extras(case.stage(), g)) for g in grads],
            ),
        )
        for t, (g, reals) in enumerate(zip(grads, pairs, strict=True), 1):
            params, state = _pure(case, params, g, state, f"{dtype}, step {t}")
            got = {"theta": params, **_by_slot(state)}
            got = {key: list(map(as_reals, arrays)) for key, arrays in got.items()}
            same_snapshots(got, reals, f"{dtype} against its real parts, step {t}")
        for theta, g in zip(thetas, grads[0], strict=True):  # alone: small arrays may be put together before the rule
            _pure(case, [theta], [g], init(case.stage(), [theta]), f"{dtype}, alone")
    _reused_buffer(case, rng)


def _pure(case: Case, params: Arrays, grads: Arrays, state: State, where: str) -> tuple[Arrays, State]:
    """Make an update, and demand that it gives new arrays like the old ones and leaves those as they are."""
    more = extras(case.stage(), grads)
    taken = [*params, *grads, *_arrays(state), *(x for own in more.values() if isinstance(own, list) for x in own)]
    copies = [x.copy() for x in taken]
    after, state = update(case.stage(), params, grads, state, **more)
    for x, copy in zip(taken, copies, strict=True):
        same(x, copy, f"{where}: an argument")
    _apart([*taken, *after, *_arrays(state)], where)
    for key, arrays in {"theta": after, **_by_slot(state)}.items():
        for x, old in zip(arrays, params, strict=True):
            shape = case.rule.slot_shape(key.rpartition(".")[2], old.shape)
            demand(
                type(x) is np.ndarray and x.shape == shape and x.dtype == old.dtype,
                f"{where}: {key} is {type(x).__name__} {x.dtype}{x.shape} and not {old.dtype}{shape}",
            )
    return after, state


def _as_reals(more: Any) -> Any:
    return {key: list(map(as_reals, x)) if isinstance(x, list) else x for key, x in more.items()}


def _complex(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    return np.asarray(rng.normal(size=shape) + (1j * rng.normal(size=shape) if "complex" in dtype else 0.0), dtype)


def _arrays(state: State) -> Arrays:
    return [x for own in state.slots.values() for x in own.values()]


def _by_slot(state: State) -> dict[str, Arrays]:
    return {key: [own[key] for own in state.slots.values()] for key in state.slots["0"]}


def _apart(arrays: Arrays, where: str) -> None:
    for k, x in enumerate(arrays):
        for y in arrays[:k]:
            demand(x is not y and not np.shares_memory(x, y), f"{where}: two of arguments and results share memory")


def _reused_buffer(case: Case, rng: np.random.Generator) -> None:
    """Gradients that come in the same memory, again and again, are as good as new ones."""
    thetas = normal(rng, (40,))
    grads = gradients(rng, thetas, 5)
    for engine in ENGINES:
        wanted = run(case.stage(), thetas, grads, engine=engine)[-1]
        opt, buffer = Optimizer([thetas[0].copy()], case.stage(), engine=engine), thetas[0].copy()
        for (g,) in grads:
            buffer[...] = g
            opt.step([buffer], **extras(case.stage(), [buffer]))
            buffer.fill(np.nan)
        same_snapshots(snapshot(opt), wanted, f"{engine}, gradients in a buffer that is used again")
