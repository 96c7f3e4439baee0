"""What the constructors of all libraries share: their numbers as ours, and arguments that mean nothing here."""

import inspect
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

from gradstep.chain import chain
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.rule import Stage
from gradstep.schedules import Schedule

_TO_IGNORE = "it says how {library} computes, not what; the numbers here are the same without it"


def number(x: Any) -> Any:
    """A number, or another library's 0-d array or schedule of such, as Python's; what is neither stays, to be refused.

    Schedules of gradstep are left as they are, and are saved with a run; others by their names alone.
    """
    if callable(x):
        return x if isinstance(x, Schedule) else _in_python(x)
    return float(x) if getattr(x, "shape", None) == () and hasattr(x, "__float__") else x


def _in_python(schedule: Callable[[int], Any]) -> Callable[[int], float]:
    @wraps(schedule, updated=())
    def at(t: int) -> float:
        return number(schedule(t))

    return at


def pair(owner: str, name: str, betas: Any) -> tuple[Any, Any]:
    """The two numbers of ``betas``.

    Raises
    ------
    GradstepTypeError
        When it is no pair.
    """
    if not (isinstance(betas, Sequence) and not isinstance(betas, str) and len(betas) == 2):
        raise GradstepTypeError(f"{owner}: {name} must be a pair of numbers, not {betas!r}.")
    return number(betas[0]), number(betas[1])


def rate(owner: str, x: Any) -> Any:
    """A learning rate as :func:`number` has it.

    Raises
    ------
    GradstepTypeError
        For what was pasted with it: the parameters, which are given to the optimizer here.
    """
    if not callable(x) and not isinstance(x, str) and isinstance(x, Iterable) and getattr(x, "shape", None) != ():
        name = owner.rpartition(".")[2]
        raise GradstepTypeError(
            f"{owner}: the learning rate is {type(x).__name__}; parameters are given to the optimizer, "
            f'gs.Optimizer(params, "{owner}", ...), and {name}(...) takes what stands behind them.'
        )
    return number(x)


def is_zero(x: Any) -> bool:
    """Whether a number, not a schedule, is absent or zero: then its stage is left out."""
    return x is None or (not callable(x) and x == 0)


def given(make: Callable[..., Stage], **hyper: Any) -> list[Stage]:
    """The stage with that one hyperparameter; nothing where it is absent or zero."""
    ((name, x),) = hyper.items()
    return [] if is_zero(x) else [make(**{name: number(x)})]


def chained(*stages: Stage) -> Stage:
    """Stages in a chain; one alone stays alone."""
    return stages[0] if len(stages) == 1 else chain(*stages)


def ignored(owner: str, **arguments: Any) -> None:
    """Note arguments that choose how a library computes; the note is a warning, and there is none where none is set."""
    library = owner.partition(".")[0]
    for name, value in arguments.items():
        if value:
            text = f"{owner}: {name}= is ignored; {_TO_IGNORE.format(library=library)}."
            warnings.warn(text, stacklevel=_frames_to_the_caller())


def _frames_to_the_caller() -> int:
    """How many frames up the first is that is not ours: the line that a warning should show."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").startswith("gradstep."):
        frame, level = frame.f_back, level + 1
    return level


def refused(owner: str, name: str, value: Any, reason: str) -> None:
    """Refuse an argument that is set, with the reason."""
    if value is not None and value is not False:
        raise GradstepValueError(f"{owner}: {name}={value!r} cannot be had here: {reason}.")
