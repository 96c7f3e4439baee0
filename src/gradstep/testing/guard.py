"""The law of the guard: a step with a number that is none does not happen."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from gradstep.array.namespaces import largest
from gradstep.errors import GradstepValueError, NonFiniteError
from gradstep.form.chain import program
from gradstep.form.rule import Stage
from gradstep.functional import init, update
from gradstep.optimizer import Optimizer
from gradstep.testing.case import ENGINES, Case
from gradstep.testing.trial import Array, Arrays, demand, extras, gradients, normal, run, same_snapshots, snapshot

MANY = 1000


def refuses_nonfinite(case: Case) -> None:
    """A NaN, an infinity or a number above the rule's limit: the step is refused, or skipped, before any write."""
    rng = case.rng()
    thetas = [*normal(rng, (3,), (37,), dtype="float32"), *normal(rng, (37,))]
    grads = gradients(rng, thetas, 2)
    limits = [program(case.stage()).limit_in(x.dtype.name) for x in thetas]
    for policy in ("raise", "skip"):
        _as_if_not_asked(case, thetas, grads, limits, policy)
    for value in (np.nan, np.inf):
        bad = _with(thetas, 1, -1, value)
        demand(_refused(init, case.stage(), bad), f"gs.init took a parameter that is {value}")
        demand(_refused(Optimizer, bad, case.stage()), f"Optimizer took a parameter that is {value}")
    _stays_finite(case, thetas, limits)


def _as_if_not_asked(case: Case, thetas: Arrays, grads: list[Arrays], limits: list[float], policy: str) -> None:
    """Between a good step and another, bad ones: by a gradient, by a schedule."""
    hyper, broken = case.settings()[0], ""
    schedules: dict[str, Any] = {key: lambda _, key=key: math.nan if key == broken else hyper[key] for key in hyper}
    first, second = run(case.stage(**hyper), thetas, grads)
    bad, more = list(_bad(grads[0], limits)), [extras(case.stage(), g) for g in grads]
    for way, opt in _ways(case.stage(**schedules), thetas, policy):
        where = f"{way}, on_nonfinite={policy!r}"
        opt.step(grads[0], **more[0])
        made = opt.t  # not 1 where a stage gathers the gradients of several calls
        for what, g in bad:
            demand(_refused(opt.step, g, **more[0]) == (policy == "raise"), f"{where}: {what} was not treated so")
            demand(opt.t == made, f"{where}: t is {opt.t} after {what}")
            same_snapshots(snapshot(opt), first, f"{where}: after {what}")
        if isinstance(opt, Optimizer):
            skipped = len(bad) if policy == "skip" else 0
            demand(opt.skipped == skipped, f"{where}: skipped is {opt.skipped} and not {skipped}")
        for broken in hyper:
            refused = _refused(opt.step, grads[1], **more[1], by=(GradstepValueError, NonFiniteError))
            demand(refused, f"{where}: a schedule that gave NaN for {broken} was followed")
            same_snapshots(snapshot(opt), first, f"{where}: after {broken} = NaN")
        broken = ""
        opt.step(grads[1], **more[1])
        same_snapshots(snapshot(opt), second, f"{where}: a good step after the bad ones")


def _bad(grads: Arrays, limits: list[float]) -> Iterator[tuple[str, Arrays]]:
    """Gradients with one bad element: first, in the middle, last."""
    for k in (1, 2):
        dtype, limit = grads[k].dtype, limits[k]
        above = [] if limit == largest(dtype.name) else [np.nextafter(limit, np.inf, dtype=dtype)]
        for value in (math.nan, math.inf, -math.inf, *map(float, above)):
            for place in (0, 17, -1):
                yield f"{dtype} g[{place}] = {value}", _with(grads, k, place, value)


def _with(arrays: Arrays, k: int, place: int, value: float) -> Arrays:
    out = [x.copy() for x in arrays]
    out[k][place] = value
    return out


def _refused(call: Any, *args: Any, by: Any = NonFiniteError, **more: Any) -> bool:
    try:
        call(*args, **more)
    except by:
        return True
    return False


def _ways(stage: Stage, thetas: Arrays, on_nonfinite: str) -> Iterator[tuple[str, Any]]:
    """Each way to make steps."""
    yield "gs.update", _Update([x.copy() for x in thetas], stage, on_nonfinite)
    for engine in ENGINES:
        opt = Optimizer([x.copy() for x in thetas], stage, engine=engine, on_nonfinite=on_nonfinite)
        yield f"{engine} engine", opt


class _Update:
    """``gs.update`` in the form of an optimizer."""

    def __init__(self, params: Arrays, stage: Stage, on_nonfinite: str) -> None:
        self.params, self.stage, self.on_nonfinite = params, stage, on_nonfinite
        self.kept = init(stage, params)

    @property
    def state(self) -> Any:
        return self.kept.slots

    @property
    def t(self) -> int:
        return self.kept.t

    def step(self, grads: Arrays, **more: Any) -> None:
        policy = self.on_nonfinite
        self.params, self.kept = update(self.stage, self.params, grads, self.kept, on_nonfinite=policy, **more)


def _stays_finite(case: Case, thetas: Arrays, limits: list[float]) -> None:
    """The largest gradients that are taken leave theta and the state finite, step after step."""
    opt = Optimizer([x.copy() for x in thetas], case.stage())
    grads: list[Array] = [np.full_like(x, limit) for x, limit in zip(thetas, limits, strict=True)]
    for t in range(MANY):
        if _refused(opt.step, grads, **extras(case.stage(), grads)):
            demand(case.rule.measure, f"step {t + 1}: gradients at the limits {limits} were refused")
            break  # their norm is too large
    for key, arrays in snapshot(opt).items():
        for x, limit in zip(arrays, limits, strict=True):
            demand(np.isfinite(x).all(), f"{x.dtype}: {key} is not finite after {MANY} steps with g = {limit}")
