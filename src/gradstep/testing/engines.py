"""Laws about how a step is carried out: engines, chunks, arrays, groups and chains make no difference to any bit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gradstep.array.namespaces import extremes, largest
from gradstep.array.reduction import BLOCK
from gradstep.engine.eager import Eager
from gradstep.engine.tensor import Engine, Tensor
from gradstep.errors import NonFiniteError
from gradstep.form.chain import Program, Row, Sums, chain, program
from gradstep.form.hyper import times
from gradstep.form.matrices import SQUARES
from gradstep.form.rule import Rule, Stage
from gradstep.schedules import constant
from gradstep.stages import clip_by_value, ema
from gradstep.step import start_slots
from gradstep.step.host import Host
from gradstep.testing.case import COMPILED, ENGINES, Case
from gradstep.testing.trial import (
    REAL,
    Arrays,
    Snapshot,
    edges,
    extras,
    gradients,
    normal,
    run,
    same,
    same_runs,
    same_snapshots,
    sprinkled,
)

LENGTHS = (*range(68), BLOCK + 1, 17 * BLOCK + 371)
MATRICES = [(), (0,), (1,), (37,), (0, 3), (1, 1), (2, 3), (3, 2), (5, 64), (64, 64), (129, 33), (BLOCK + 1, 2)]
LONGEST = 40
CHUNKS = (BLOCK, 3 * BLOCK, 16 * BLOCK)
THREADS = (1, 2, 4)


def compiled_equals_eager(case: Case) -> None:
    """Equal bits (NaN payloads apart) for any length, value, chunk and number of threads, the guard off as well."""
    if case.rule.longest is not None:  # sides on both sides of it, none of which takes long
        case = replace(case, rule=replace(case.rule, longest=LONGEST))
    stage = case.stage()
    thetas, grads = _everything(case, program(stage))
    eager = list(_steps(Eager, stage, thetas, grads))
    for chunk, threads in zip(CHUNKS, THREADS, strict=True):
        compiled = _steps(partial(COMPILED, chunk=chunk, threads=threads), stage, thetas, grads)
        for t, (got, wanted) in enumerate(zip(compiled, eager, strict=True), 1):
            same_snapshots(got, wanted, f"compiled with chunks of {chunk} on {threads} threads, step {t}")


def _everything(case: Case, made: Program) -> tuple[Arrays, list[Arrays]]:
    """Arrays of both dtypes; gradients that are ordinary, at the edges, up to the guard's limit, beyond it."""
    rng = case.rng()
    thetas: Arrays = []
    grads: list[Arrays] = [[] for _ in range(7)]
    for dtype in REAL:
        limit, tops = made.limit_in(dtype), (largest(dtype), -np.inf, np.inf, np.nan)
        root = largest(dtype) ** 0.5  # its square is finite, two of them are not
        shapes = _matrices(case.rule) if case.rule.whole else [(n,) for n in LENGTHS]
        mine = sprinkled(rng, normal(rng, *shapes, dtype=dtype), edges(dtype))
        own = gradients(rng, mine, len(grads))
        for t, values in {1: edges(dtype), 3: [limit, -limit, min(limit, root)], 5: tops}.items():
            own[t] = sprinkled(rng, own[t], values)
        thetas += mine
        for all_, some in zip(grads, own, strict=True):
            all_ += some
    return thetas, grads


def _matrices(rule: Rule) -> list[tuple[int, ...]]:
    """Return shapes to try a rule of whole arrays on; without long sides where its state has whole squares of these."""
    squares = rule.longest is None and any(word in SQUARES for word in rule.shapes.values())
    return [shape for shape in MATRICES if not squares or max(shape, default=0) <= BLOCK]


def _steps(
    make: Callable[[Program, Sequence[Tensor]], Engine], stage: Stage, thetas: Arrays, grads: Sequence[Arrays]
) -> Iterator[Snapshot]:
    """An engine's steps without the guard of an optimizer; a step that its sums refuse changes nothing."""
    made = program(stage)
    hyper = made.values(made.hyper, 0)
    tensors: list[Tensor] = []
    for k, x in enumerate(thetas):
        slots = start_slots(made, str(k), x, hyper)
        state = tuple(tuple(slots[key] for key in keys) for keys in made.slots)
        tensors.append(Tensor(str(k), x.copy(), state, k if made.over_tensor else 0))
    engine, kept = make(made, tensors), made.memory_of_each()
    memory = [made.memory() | kept for _ in (tensors if kept else [0])]
    rows = range(len(memory)) if kept else [0] * len(tensors) if made.over_tensor else [0]
    cohorts = [(0, (0,) * len(made.parts))] * len(memory)
    host = Host(made, [hyper], rows, extremes({x.dtype for x in tensors}), cohorts)

    def measure(part: int, table: list[Row]) -> Sums:
        return engine.measure(part, table, t)[0]

    places = {key: (i, own.index(key)) for i, own in enumerate(made.slots) for key in own}
    for t, g in enumerate(grads, 1):
        more = extras(stage, g)
        for name, keys in made.inputs.items():
            for i, j in map(places.__getitem__, keys):
                for x, own in zip(tensors, more[name], strict=True):
                    x.slots[i][j][...] = own
        host.take({name: more[name] for name in made.takes})
        engine.load(g)
        try:
            table, memory = host.table(t, memory, measure)
        except NonFiniteError:
            pass
        else:
            with np.errstate(all="ignore"):
                engine.apply(table, t)
        keys = ["theta", *(key for own in made.slots for key in own)]
        arrays = [[x.value, *(y for own in x.slots for y in own)] for x in tensors]
        yield {key: [own[j].copy() for own in arrays] for j, key in enumerate(keys)}


def concatenation(case: Case) -> None:
    """The update of a concatenation is the concatenation of updates: a rule sees one element at a time."""
    rng = case.rng()
    for dtype in REAL:
        parts = normal(rng, *((n,) for n in (1, 7, 16, 33, 500)), dtype=dtype)
        grads = gradients(rng, parts, 10)
        for engine in ENGINES:
            apart = run(case.stage(), parts, grads, engine=engine)
            joined = run(case.stage(), [np.concatenate(parts)], [[np.concatenate(g)] for g in grads], engine=engine)
            for t, (one, many) in enumerate(zip(joined, apart, strict=True), 1):
                for key, arrays in many.items():
                    same(one[key][0], np.concatenate(arrays), f"{engine}, {dtype}, step {t}: {key} of the whole")


def groups_and_chain(case: Case) -> None:
    """Equal groups are no groups, brackets in a chain are none, and a constant schedule is a constant."""
    rng = case.rng()
    thetas = [*normal(rng, (5,), (2, 3), dtype="float32"), *normal(rng, (40,))]
    grads = gradients(rng, thetas, 6)
    hyper: dict[str, Any] = case.settings()[-1]
    schedules: dict[str, Any] = {key: constant(x) for key, x in hyper.items()}
    rule, scheduled = case.stage(**hyper), case.stage(**schedules)
    before, after = clip_by_value(5.0, name="before"), ema(0.5, name="after")
    for engine in ENGINES:
        go: Any = partial(run, thetas=thetas, grads=grads, engine=engine)
        plain = go(rule)
        for groups in ({"*": hyper}, {"0": hyper, "[12]": {}}, {"1": {key: times(1.0) for key in hyper}}):
            same_runs(go(rule, groups=groups), plain, f"{engine}, groups {groups}")
        same_runs(go(scheduled), plain, f"{engine}, constant schedules of {hyper}")
        chained = go(chain(before, rule, after))
        same_runs(go(chain(chain(before, rule), after)), chained, f"{engine}, chain(chain(a, b), c)")
        same_runs(go(chain(before, chain(rule, after))), chained, f"{engine}, chain(a, chain(b, c))")
