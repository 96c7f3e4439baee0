"""Rules and other libraries' constructors side by side: what differs between them, and what does not."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from gradstep.rule import Stage

    Make = Callable[..., Stage]

ABSENT, OPEN = "-", "to be given"
_SAMPLES = {"momentum": 0.9}  # for arguments without a default; all others of them are rates
_PROBES = ((1.0, 1), (1e-6, 1), (1e-6, 1000))  # a constant gradient, and the step that is looked at

Rows = dict[str, list[str]]


def print_differences(screen: "Console", made: Mapping[str, "Make"]) -> None:
    """Print for each name its source and arguments, then what differs, then what is the same; the sides are aligned."""
    stages = [default_stage(make) for make in made.values()]
    wide = max(map(len, made))
    for name, make in made.items():
        screen.print(f"{name:{wide}}  {_summary(make)}", markup=False, soft_wrap=True)
        screen.print(f"{'':{wide}}  {name.rpartition('.')[2]}({arguments(make)})", markup=False, soft_wrap=True)
    rows = {**equations(stages), **defaults(list(made.values()), stages), **first_steps(stages)}
    different = {key: cells for key, cells in rows.items() if len(set(cells)) > 1}
    if different:
        screen.print("\nWhat differs", style="bold")
    for key, cells in different.items():
        screen.print(f"  {key}", markup=False)
        for name, cell in zip(made, cells, strict=True):
            screen.print(f"    {name:{wide}}  {cell}", markup=False, soft_wrap=True)
    screen.print("\nThe same in all" if len(made) > 1 else "", style="bold")
    for key, cells in rows.items():
        if key not in different:
            screen.print(f"  {key}{':' if ' ' in key else ' ='} {cells[0]}", markup=False, soft_wrap=True)


def default_stage(make: "Make") -> "Stage":
    """What a constructor makes of its defaults."""
    return make(**{key: _SAMPLES.get(key, 1e-3) for key in required(make)})


def required(make: "Make") -> list[str]:
    """The arguments without a default; None is none for a learning rate, nor for a rule."""
    if hasattr(make, "defaults"):
        return [key for key, x in make.defaults.items() if x is None]  # type: ignore[attr-defined]
    return [x.name for x in _parameters(make) if x.default is x.empty or (x.name, x.default) == ("learning_rate", None)]


def arguments(make: "Make") -> str:
    """A constructor's arguments and their defaults, as in a call."""
    known = getattr(make, "defaults", None)  # a rule's own
    if known is not None:
        return ", ".join(f"{key}={x}" for key, x in known.items())
    more = [str(x) for x in inspect.signature(make).parameters.values() if x.kind is x.VAR_KEYWORD]
    own = [x.name if x.default is x.empty else f"{x.name}={x.default!r}" for x in _parameters(make)]
    return ", ".join([*own, *(x.partition(":")[0] for x in more)])


def equations(stages: Sequence["Stage"]) -> Rows:
    """For each name what each stage computes under it."""
    return _rows([_lines(stage) for stage in stages])


def defaults(made: Sequence["Make"], stages: Sequence["Stage"]) -> Rows:
    """For each hyperparameter its default in each stage."""
    from gradstep.chain import program

    names = {"learning_rate": "lr"}
    columns: list[dict[str, str]] = []
    for make, stage in zip(made, stages, strict=True):
        is_open = {names.get(key, key) for key in required(make)}
        columns.append({key: OPEN if key in is_open else f"{x}" for key, x in program(stage).hyper.items()})
    return _rows(columns)


def first_steps(stages: Sequence["Stage"]) -> Rows:
    """How far each stage that has a learning rate moves a parameter of 0 down a constant gradient, in units of it."""
    from gradstep.chain import program

    probes = [_PROBES if "lr" in program(x).hyper else () for x in stages]
    return _rows(
        [
            {f"step {t} with g = {g:g}": f"{_move(x, g, t):.6g} lr" for g, t in own}
            for x, own in zip(stages, probes, strict=True)
        ]
    )


def _parameters(make: "Make") -> list[inspect.Parameter]:
    return [x for x in inspect.signature(make).parameters.values() if x.kind is not x.VAR_KEYWORD]


def _summary(make: "Make") -> str:
    doc = getattr(make, "doc", None) or inspect.getdoc(make) or ""
    return doc.partition("\n")[0].replace("``", "")


def _rows(columns: Sequence[Mapping[str, str]]) -> Rows:
    keys = dict.fromkeys(key for column in columns for key in column)
    return {key: [column.get(key, ABSENT) for column in columns] for key in keys}


def _lines(stage: "Stage") -> dict[str, str]:
    """The equations of all parts by what they compute; a name that comes again has a prime.

    A stage hands its g on to the next, so g is written without a time.
    """
    from gradstep.equation import equation

    out: dict[str, str] = {}
    for part in stage.parts:
        for line in equation(part.rule).text().replace("gₜ", "g").splitlines():
            name, _, value = line.replace(" ← ", " = ", 1).partition(" = ")
            while name in out:
                name += "'"
            out[name] = value
    return out


def _move(stage: "Stage", g: float, steps: int) -> float:
    import numpy as np

    from gradstep.optimizer import Optimizer

    theta, grad, before = np.zeros(1), np.full(1, g), 0.0
    opt = Optimizer(theta, stage, engine="eager")
    for _ in range(steps):
        before = theta.item()
        opt.step(grad)
    return (before - theta.item()) / opt.lr
