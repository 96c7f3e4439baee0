"""Pieces of the laws: gradients, runs of an optimizer, and comparisons that show what they found."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.array.namespaces import as_reals
from gradstep.form.chain import program
from gradstep.form.rule import Stage
from gradstep.optimizer import Optimizer

Array = NDArray[Any]
Arrays = list[Array]
Snapshot = dict[str, Arrays]  # "theta", "adam.m": one array for each parameter

REAL = ("float32", "float64")
NUMBER = 0.75  # that a step takes, such as its loss


def demand(holds: Any, evidence: str) -> None:
    """Raise an AssertionError with the evidence, also where ``python -O`` leaves assertions out."""
    if not holds:
        raise AssertionError(evidence)


def normal(rng: np.random.Generator, *shapes: tuple[int, ...], dtype: str = "float64") -> Arrays:
    """An array of each shape, of ordinary numbers."""
    return [np.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def gradients(rng: np.random.Generator, like: Arrays, steps: int) -> list[Arrays]:
    """For each step a gradient for each array: 1e-3 to 1e2 in size, of either sign, one in ten zero."""

    def one(x: Array) -> Array:
        size = 10.0 ** rng.uniform(-3, 2, x.shape)
        return np.asarray(size * rng.choice([-1.0, 0.0, 1.0], p=[0.45, 0.1, 0.45], size=x.shape), x.dtype)

    return [[one(x) for x in like] for _ in range(steps)]


def sprinkled(rng: np.random.Generator, arrays: Arrays, values: Sequence[float]) -> Arrays:
    """The arrays with every other element, by lot, replaced by one of ``values``."""
    return [
        np.where(rng.random(x.shape) < 0.5, rng.choice(np.array(values, x.dtype), x.shape), x).astype(x.dtype)
        for x in arrays
    ]


def edges(dtype: str) -> list[float]:
    """Zeros of either sign, the smallest numbers, and the spacing at 1."""
    info = np.finfo(dtype)
    tiny = float(info.smallest_subnormal), float(info.tiny), float(info.eps)
    return [0.0, -0.0, *tiny, *(-3 * x for x in tiny)]


def run(
    stage: Stage,
    thetas: Arrays,
    grads: Sequence[Arrays],
    *,
    engine: str = "auto",
    groups: Mapping[str, Any] | None = None,
    more: Sequence[Mapping[str, Any]] | None = None,
) -> list[Snapshot]:
    """Return what an optimizer of copies of ``thetas``, called 0, 1, ..., shows after each step.

    ``more`` is what comes beside the gradients of each step; left out, it is :func:`beside`.
    """
    opt = Optimizer([np.array(x) for x in thetas], stage, engine=engine, groups=groups)
    out: list[Snapshot] = []
    for g, own in zip(grads, [extras(stage, g) for g in grads] if more is None else more, strict=True):
        opt.step(g, **own)
        out.append(snapshot(opt))
    return out


def extras(stage: Stage, grads: Arrays, factors: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Return what a stage takes beside gradients, made of these: arrays of positive numbers, and numbers.

    ``factors`` are those of their units, where these are not what they are.
    """
    made, factors = program(stage), factors or {}
    arrays = {key: [np.asarray(_size(g) * factors.get(key, 1.0), g.dtype) for g in grads] for key in made.inputs}
    return arrays | {key: NUMBER * factors.get(key, 1.0) for key in made.takes}


def _size(g: Array) -> Array:
    """A positive number for each element of a gradient, whatever that is, and of both parts of a complex one."""
    sizes = np.abs(as_reals(g))
    sizes = np.where(sizes <= 1.0, 0.5 + sizes, 1.5).astype(sizes.dtype)
    return sizes.view(g.dtype).reshape(g.shape)


def snapshot(opt: Any) -> Snapshot:
    """Copies of the parameters and the state of an optimizer over a list of arrays."""
    out: dict[str, Arrays] = {"theta": list(opt.params)}
    for k in range(len(opt.params)):
        for key, x in opt.state[str(k)].items():
            out.setdefault(key, []).append(x)
    return {key: [np.array(x) for x in arrays] for key, arrays in out.items()}


def same_runs(got: Sequence[Snapshot], wanted: Sequence[Snapshot], where: str) -> None:
    """Demand equal bits after each step."""
    demand(len(got) == len(wanted), f"{where}: {len(got)} steps and not {len(wanted)}")
    for t, (a, b) in enumerate(zip(got, wanted, strict=True), 1):
        same_snapshots(a, b, f"{where}, step {t}")


def same_snapshots(got: Snapshot, wanted: Snapshot, where: str) -> None:
    """Demand equal bits."""
    demand(got.keys() == wanted.keys(), f"{where}: {sorted(got)} and not {sorted(wanted)}")
    for key, arrays in got.items():
        for k, (x, y) in enumerate(zip(arrays, wanted[key], strict=True)):
            same(x, y, f"{where}: {key} of array {k}")


def same(got: Array, wanted: Array, where: str) -> None:
    """Demand equal dtype, shape and bits; a NaN is a NaN, whatever its payload."""
    demand(
        (got.dtype, got.shape) == (wanted.dtype, wanted.shape),
        f"{where} is {got.dtype}{got.shape} and not {wanted.dtype}{wanted.shape}",
    )
    if got.tobytes() == wanted.tobytes():  # the usual case, at once
        return
    x, y = (np.ascontiguousarray(a).reshape(-1) for a in (got, wanted))
    if x.dtype.kind == "c":
        x, y = (a.view(a.real.dtype) for a in (x, y))
    bits = f"i{x.dtype.itemsize}"
    _alike((x.view(bits) == y.view(bits)) | (np.isnan(x) & np.isnan(y)), x, y, where)


def equal(got: Array, wanted: Array, where: str) -> None:
    """Demand equal values: zeros of either sign are equal."""
    x, y = got.reshape(-1), wanted.reshape(-1)
    _alike(x == y, x, y, where)


def _alike(alike: Array, x: Array, y: Array, where: str) -> None:
    if not alike.all():
        i = int(np.argmin(alike))
        count = f"{int((~alike).sum())} of {alike.size} differ"
        demand(False, f"{where} has {x[i].item()!r} and not {y[i].item()!r} at {i}; {count}")
