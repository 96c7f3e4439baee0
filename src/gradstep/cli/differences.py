"""Rules and other libraries' constructors side by side: what differs between them, and what does not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradstep.cli.listing import facts
from gradstep.errors import GradstepError
from gradstep.form.chain import merged
from gradstep.form.equation import branches, equation
from gradstep.form.rule import Stage
from gradstep.optimizer import Optimizer

if TYPE_CHECKING:
    from rich.console import Console

    from gradstep.conventions.constructor import Constructor

ABSENT, OPEN = "-", "to be given"
_COSTS = {"state": "state", "bytes": "bytes a parameter", "kind": "kind"}
_PROBES = ((1.0, 1), (1e-6, 1), (1e-6, 1000))  # a constant gradient, and the step that is looked at

Rows = dict[str, list[str]]


@dataclass(frozen=True)
class Side:
    """A rule or constructor as it is named, with the numbers that are given to it."""

    label: str
    made: "Constructor[...]"
    given: Mapping[str, float]

    @property
    def missing(self) -> list[str]:
        """The arguments that must be given, and are not."""
        return [key for key in self.made.required if key not in self.given]

    def stage(self) -> Stage:
        """Return what it makes of its defaults and what is given; without weight decay of 0, which does nothing."""
        made = self.made.stage(self.made.arguments(self.given))
        idle = [part for part in made.parts if part.rule.kind == "stage" and part.given.get("weight_decay") == 0]
        return Stage(tuple(part for part in made.parts if part not in idle)) if len(made.parts) > 1 else made

    def call(self) -> str:
        """Return its arguments and their values, as in a call."""
        values = self.made.arguments(self.given)
        own = {
            key: values.get(key, x.default) for key, x in self.made.takes.items() if not x.is_shared or key in values
        }
        texts = [key if key in self.missing else f"{key}={x!r}" for key, x in own.items()]
        return ", ".join([*texts, *["**base"] * any(x.is_shared for x in self.made.takes.values())])


def print_differences(screen: "Console", sides: Sequence[Side]) -> None:
    """Print for each side its source and arguments, then what differs, then what is the same; the sides are aligned."""
    stages = [side.stage() for side in sides]
    wide = max(len(side.label) for side in sides)
    for side in sides:
        name = side.label.rpartition(".py:")[2].partition(":")[0].rpartition(".")[2]
        screen.print(f"{side.label:{wide}}  {side.made.summary.replace('``', '')}", soft_wrap=True)
        screen.print(f"{'':{wide}}  {name}({side.call()})", soft_wrap=True)
    rows = {**equations(stages), **defaults(sides, stages), **costs(stages), **first_steps(stages)}
    different = {key: cells for key, cells in rows.items() if len(set(cells)) > 1}
    if different:
        screen.print("\nWhat differs", style="bold")
    for key, cells in different.items():
        screen.print(f"  {key}")
        for side, cell in zip(sides, cells, strict=True):
            screen.print(f"    {side.label:{wide}}  {cell}", soft_wrap=True)
    screen.print("\nThe same in all" if len(sides) > 1 else "\nWhat it is", style="bold")
    for key, cells in rows.items():
        if key not in different:
            screen.print(f"  {key}{':' if ' ' in key else ' ='} {cells[0]}", soft_wrap=True)
    for name in dict.fromkeys(part.rule.name for stage in stages for part in stage.parts if branches(part.rule)):
        screen.print(f"\nThe numbers of {name} depend on the step: gradstep show {name}", soft_wrap=True)


def equations(stages: Sequence[Stage]) -> Rows:
    """Return, for each name, the equation of each stage."""
    return _rows([_lines(stage) for stage in stages])


def defaults(sides: Sequence[Side], stages: Sequence[Stage]) -> Rows:
    """Return, for each hyperparameter, its value in each stage."""
    columns: list[dict[str, str]] = []
    for side, stage in zip(sides, stages, strict=True):
        missing = {key for name in side.missing for key in side.made.takes[name].becomes}
        columns.append({key: OPEN if key in missing else f"{x}" for key, x in merged(stage).items()})
    return _rows(columns)


def costs(stages: Sequence[Stage]) -> Rows:
    """Return what each stage keeps, in how many bytes of a float32 parameter, and what its updates see."""
    return _rows([{_COSTS[key]: x for key, x in facts([p.rule for p in stage.parts]).items()} for stage in stages])


def first_steps(stages: Sequence[Stage]) -> Rows:
    """Return the first steps of each chain with a rule and a rate, down a constant gradient, in units of the rate."""
    moves = [any(part.rule.kind == "rule" for part in x.parts) for x in stages]
    probes = [_PROBES if is_moving and "lr" in merged(x) else () for x, is_moving in zip(stages, moves, strict=True)]
    columns = zip(stages, probes, strict=True)
    return _rows([{f"step {t} with g = {g:g}": _move(x, g, t) for g, t in own} for x, own in columns])


def _rows(columns: Sequence[Mapping[str, str]]) -> Rows:
    keys = dict.fromkeys(key for column in columns for key in column)
    return {key: [column.get(key, ABSENT) for column in columns] for key in keys}


def _lines(stage: Stage) -> dict[str, str]:
    """The equations of all parts by what they compute; a name that comes again has a prime.

    A stage hands its g on to the next, so g is written without a time.
    """
    out: dict[str, str] = {}
    for part in stage.parts:
        for line in equation(part.rule).text().replace("gₜ", "g").splitlines():
            name, _, value = line.replace(" ← ", " = ", 1).partition(" = ")
            while name in out:
                name += "'"
            out[name] = value
    return out


def _move(stage: Stage, g: float, steps: int) -> str:
    """The length of a step of one element, in as many axes as the rule takes; a dash where it cannot go on."""
    shape = (1,) * max([part.rule.axes or 1 for part in stage.parts])
    theta, grad, before = np.zeros(shape), np.full(shape, g), 0.0
    opt = Optimizer(theta, stage, engine="eager")
    try:
        for _ in range(steps):
            before = theta.item()
            opt.step(grad)
    except GradstepError:
        return ABSENT  # its numbers have grown beyond floats: what finds its own scale never stops growing here
    return f"{(before - theta.item()) / opt.lr:.6g} lr"
