"""Rules and other libraries' constructors side by side: what differs between them, and what does not."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradstep.chain import program
from gradstep.conventions import stage_of
from gradstep.equation import branches, equation
from gradstep.optimizer import Optimizer
from gradstep.rule import Rule, Stage

if TYPE_CHECKING:
    from rich.console import Console

Make = Callable[..., Stage]

ABSENT, OPEN = "-", "to be given"
_SAMPLES = {"momentum": 0.9}  # for arguments without a default; all others of them are rates
_PROBES = ((1.0, 1), (1e-6, 1), (1e-6, 1000))  # a constant gradient, and the step that is looked at

Rows = dict[str, list[str]]


@dataclass(frozen=True)
class Side:
    """A rule or constructor as it is named, with the arguments that are given to it."""

    label: str
    make: Make
    given: Mapping[str, float]

    @property
    def open(self) -> list[str]:
        """The arguments that still have no value; None is none for a learning rate, nor for a rule."""
        if isinstance(self.make, Rule):
            missing = [key for key, x in self.make.defaults.items() if x is None]
        else:
            none = ("learning_rate", None)
            missing = [x.name for x in self.parameters if x.default is x.empty or (x.name, x.default) == none]
        return [key for key in missing if key not in self.given]

    @property
    def parameters(self) -> list[inspect.Parameter]:
        """A constructor's own."""
        known = inspect.signature(self.make).parameters.values()
        return [x for x in known if x.kind is not x.VAR_KEYWORD]

    def stage(self) -> Stage:
        """What it makes of its defaults and of what is given."""
        samples = {key: _SAMPLES.get(key, 1e-3) for key in self.open}
        return stage_of(self.label.partition(":")[0], {**samples, **self.given})

    def call(self) -> str:
        """Its arguments and their values, as in a call."""
        if isinstance(self.make, Rule):
            return ", ".join(f"{key}={self.given.get(key, x)}" for key, x in self.make.defaults.items())
        values = {x.name: self.given.get(x.name, x.default) for x in self.parameters}
        own = [key if key in self.open else f"{key}={x!r}" for key, x in values.items()]
        more = [str(x) for x in inspect.signature(self.make).parameters.values() if x.kind is x.VAR_KEYWORD]
        return ", ".join([*own, *(x.partition(":")[0] for x in more)])

    def summary(self) -> str:
        """The first line of what it says of itself."""
        doc = self.make.doc if isinstance(self.make, Rule) else inspect.getdoc(self.make) or ""
        return doc.partition("\n")[0].replace("``", "")


def print_differences(screen: "Console", sides: Sequence[Side]) -> None:
    """Print for each side its source and arguments, then what differs, then what is the same; the sides are aligned."""
    stages = [side.stage() for side in sides]
    wide = max(len(side.label) for side in sides)
    for side in sides:
        name = side.label.partition(":")[0].rpartition(".")[2]
        screen.print(f"{side.label:{wide}}  {side.summary()}", markup=False, soft_wrap=True)
        screen.print(f"{'':{wide}}  {name}({side.call()})", markup=False, soft_wrap=True)
    rows = {**equations(stages), **defaults(sides, stages), **first_steps(stages)}
    different = {key: cells for key, cells in rows.items() if len(set(cells)) > 1}
    if different:
        screen.print("\nWhat differs", style="bold")
    for key, cells in different.items():
        screen.print(f"  {key}", markup=False)
        for side, cell in zip(sides, cells, strict=True):
            screen.print(f"    {side.label:{wide}}  {cell}", markup=False, soft_wrap=True)
    screen.print("\nThe same in all" if len(sides) > 1 else "\nWhat it is", style="bold")
    for key, cells in rows.items():
        if key not in different:
            screen.print(f"  {key}{':' if ' ' in key else ' ='} {cells[0]}", markup=False, soft_wrap=True)
    for name in dict.fromkeys(part.rule.name for stage in stages for part in stage.parts if branches(part.rule)):
        screen.print(f"\nThe numbers of {name} depend on the step: gradstep show {name}", markup=False, soft_wrap=True)


def equations(stages: Sequence[Stage]) -> Rows:
    """For each name what each stage computes under it."""
    return _rows([_lines(stage) for stage in stages])


def defaults(sides: Sequence[Side], stages: Sequence[Stage]) -> Rows:
    """For each hyperparameter its value in each stage."""
    names = {"learning_rate": "lr"}
    columns: list[dict[str, str]] = []
    for side, stage in zip(sides, stages, strict=True):
        is_open = {names.get(key, key) for key in side.open}
        columns.append({key: OPEN if key in is_open else f"{x}" for key, x in program(stage).hyper.items()})
    return _rows(columns)


def first_steps(stages: Sequence[Stage]) -> Rows:
    """How far each stage that has a learning rate moves a parameter of 0 down a constant gradient, in units of it."""
    probes = [_PROBES if "lr" in program(x).hyper else () for x in stages]
    columns = zip(stages, probes, strict=True)
    return _rows([{f"step {t} with g = {g:g}": f"{_move(x, g, t):.6g} lr" for g, t in own} for x, own in columns])


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


def _move(stage: Stage, g: float, steps: int) -> float:
    theta, grad, before = np.zeros(1), np.full(1, g), 0.0
    opt = Optimizer(theta, stage, engine="eager")
    for _ in range(steps):
        before = theta.item()
        opt.step(grad)
    return (before - theta.item()) / opt.lr
