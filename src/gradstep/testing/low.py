"""A law about state in fewer bits: what is lost makes no step that ordinary state would not make."""

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from gradstep.errors import NonFiniteError
from gradstep.form.chain import chain
from gradstep.optimizer import Optimizer
from gradstep.rules.sgd import sgd
from gradstep.testing.case import Case
from gradstep.testing.trial import Array, demand, extras, normal

SIZE, STEPS, PARTS = 512, 60, 3  # two blocks of 8-bit state
ROOM = {"bfloat16": 1.25, "8bit": 3.0}  # how much longer a step may be: rounding goes up by an eighth now and then


def smaller_state(case: Case) -> None:
    """No step with state in fewer bits is longer than some of ordinary state: 1.25 times in bfloat16, 3 in 8 bits.

    Each third of a run is held to the longest step of any element there, so that a bound that a rule has holds too.
    """
    case = replace(case, rule=replace(case.rule, exceptions={}))  # those that are excepted are refused such state
    rng = case.rng()
    (theta,) = normal(rng, (SIZE,), dtype="float32")
    grads = _gradients(rng)
    for hyper in case.settings():
        rule = case.alone(**hyper)
        stage = rule if case.rule.kind == "rule" else chain(rule, sgd(lr=1.0, name="after"))
        try:
            plain = _moves(stage, theta, grads, None)
        except NonFiniteError:
            continue  # it runs away on gradients that no step makes smaller
        for dtype, room in ROOM.items():
            if dtype == "bfloat16" and find_spec("ml_dtypes") is None:
                continue
            for k, (got, wanted) in enumerate(zip(_moves(stage, theta, grads, dtype), plain, strict=True)):
                demand(
                    got <= room * wanted,
                    f"{dtype} state, steps {k * STEPS // PARTS + 1} to {(k + 1) * STEPS // PARTS}, {hyper}: one of "
                    f"{got:.3g}, and {wanted:.3g} at most with ordinary state",
                )


def _moves(stage: Any, theta: Array, grads: list[Array], state_dtype: str | None) -> list[float]:
    """Return the longest step of an element in each part of a run."""
    x = theta.copy()
    opt = Optimizer(x, stage, state_dtype=state_dtype, engine="eager")
    longest: list[float] = []
    for g in grads:
        before = x.copy()
        opt.step(g, **extras(stage, [g]))
        longest.append(float(np.abs(x - before).max()))
    return [max(part) for part in np.array_split(np.array(longest), PARTS)]


def _gradients(rng: np.random.Generator) -> list[Array]:
    """Gradients of 0.1 to 1e3, and one of 1e6 in each block: steady, of either sign, rare, fading, or of any size."""
    size = 10.0 ** rng.uniform(-1, 3, SIZE)
    size[:: SIZE // 2] = 1e6
    kind = rng.integers(0, 5, SIZE)
    out: list[Array] = []
    for t in range(STEPS):
        now = np.ones(SIZE)
        now[kind == 1] = rng.choice([-1.0, 1.0], SIZE)[kind == 1]
        now[kind == 2] = (rng.random(SIZE) < 0.1)[kind == 2]
        now[kind == 3] = 1.0 if t < STEPS // 2 else 1e-4
        now[kind == 4] = 10.0 ** rng.uniform(-3, 0, SIZE)[kind == 4]
        out.append((size * now).astype(np.float32))
    return out
