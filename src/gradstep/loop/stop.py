"""Stops: conditions that end a run, ``gs.stop.steps(1000) | gs.stop.plateau(50) & gs.stop.steps(200)``.

A stop is asked wherever the objective has been evaluated, before the update there: a run that ends stays there.
``a | b`` ends it where either does, ``a & b`` where both do at once.
"""

import math
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

import numpy as np

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.loop.direction import VALUE, Directions
from gradstep.naming import as_float, is_real, is_whole, real, whole

# The ways in which a run ends: it converged, it used up a limit, it found no lower point, or something stopped it.
Kind = Literal["converged", "budget", "stalled", "non-finite", "signal", "callback", "batches"]
DOWN = Directions()
_NEVER_CAUGHT = [getattr(signal, name) for name in ("SIGKILL", "SIGSTOP") if hasattr(signal, name)]


@dataclass(frozen=True)
class Reason:
    """The reason for which a run ended, as a word for programs and a sentence for people."""

    kind: Kind
    message: str


@dataclass(frozen=True)
class Point:
    """The point of a run at which its stops are asked.

    Attributes
    ----------
    t, evaluations, seconds
        Updates made, calls of the objective, time.
    value
        The objective here.
    grad_norm
        Gives the 2-norm of the gradient here; with a limit, infinity where it is beyond that, which takes less time.
    problem
        What is not finite here; empty where all is.
    bad
        Evaluations in a row, this one included, where something was not finite.
    metrics
        What ``evaluate`` gave here.
    signal
        The number of a signal that has come, or None.
    directions
        Whether less or more is better, of the value and of each metric.
    """

    t: int
    evaluations: int
    seconds: float
    value: float
    grad_norm: Callable[..., float]
    problem: str = ""
    bad: int = 0
    metrics: Mapping[str, float] | None = None
    signal: int | None = None
    directions: Directions = DOWN


@dataclass(frozen=True)
class Stop(ABC):
    """A condition that ends a run."""

    arrives: ClassVar[bool] = False  # True: a run that ends by it has converged

    @abstractmethod
    def check(self, point: Point, memory: dict[str, Any]) -> "Reason | Any | None":
        """Return the reason to end at this point, or None; True and False will do for a stop of one's own.

        ``memory`` is this stop's own, and saved with the run: text, numbers (also NumPy's), lists and dicts by name.
        """

    def __or__(self, other: "Stop") -> "Stop":
        return any_of(*_flat(any_of, self, other))

    def __and__(self, other: "Stop") -> "Stop":
        return all_of(*_flat(all_of, self, other))

    def __iter__(self) -> Iterator["Stop"]:
        """Iterate over the stop itself, or over those that it is made of."""
        yield self

    @property
    def name(self) -> str:
        """The name of its memory; it leaves out numbers that may differ when a run is resumed."""
        return type(self).__name__

    def limits(self) -> bool:
        """Return True where a run ends by it sooner or later, whatever the objective is."""
        return isinstance(self, steps | evaluations | seconds)


@dataclass(frozen=True, init=False, repr=False)
class _Several(Stop):
    sign: ClassVar[str]
    stops: tuple[Stop, ...]
    names: tuple[str, ...] = field(compare=False)

    def __init__(self, *stops: Stop) -> None:
        names: list[str] = []
        for stop in stops:
            if not isinstance(stop, Stop):
                raise GradstepTypeError(f"stop: {stop!r} is no stop; write for example gs.stop.steps(1000).")
            names.append(f"{stop.name} {sum(stop.name == before.name for before in stops[: len(names)])}")
        object.__setattr__(self, "stops", stops)
        object.__setattr__(self, "names", tuple(names))

    def reasons(self, point: Point, memory: dict[str, Any]) -> list[Reason | None]:
        """Ask each stop, for each may remember something, under its name."""
        out: list[Reason | None] = []
        for name, stop in zip(self.names, self.stops, strict=True):
            own = memory.get(name, {})
            out.append(_reason(stop, stop.check(point, own)))
            if own:
                memory[name] = _plain(own, f"stop {stop.name}: its memory")
        return out

    @property
    def name(self) -> str:
        """The class's name, with those of the stops in it."""
        return f"{super().name}({', '.join(stop.name for stop in self.stops)})"

    def __iter__(self) -> Iterator[Stop]:
        for stop in self.stops:
            yield from stop

    def __repr__(self) -> str:
        texts = [f"({stop!r})" if isinstance(stop, _Several) else repr(stop) for stop in self.stops]
        return f" {self.sign} ".join(texts)


class any_of(_Several):  # noqa: N801 - stops read as words
    """Ends where any of its stops does; the first that does is the reason."""

    sign = "|"

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:
        """End with the reason of the first that ends."""
        return next((reason for reason in self.reasons(point, memory) if reason), None)

    def limits(self) -> bool:
        """Return True where one of the stops limits the run."""
        return any(stop.limits() for stop in self.stops)


class all_of(_Several):  # noqa: N801
    """Ends where all of its stops do at once."""

    sign = "&"

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:
        """End where each has a reason; a tolerance that is reached counts most."""
        reasons = [reason for reason in self.reasons(point, memory) if reason]
        if len(reasons) < len(self.stops) or not reasons:
            return None
        arrived = any(reason.kind == "converged" for reason in reasons)
        return Reason("converged" if arrived else reasons[-1].kind, " and ".join(r.message for r in reasons))

    def limits(self) -> bool:
        """Return True where each of the stops limits the run."""
        return bool(self.stops) and all(stop.limits() for stop in self.stops)


@dataclass(frozen=True)
class _Number(Stop):
    """A stop with numbers, checked when it is made."""

    def __post_init__(self) -> None:
        for own in fields(self):
            what, value = f"stop.{type(self).__name__}: {own.name}", getattr(self, own.name)
            if own.type is int:
                if is_real(value) and not is_whole(value) and as_float(value).is_integer():  # 1e3
                    object.__setattr__(self, own.name, int(value))
                    value = int(value)
                whole(what, value)
            elif own.type is float:
                object.__setattr__(self, own.name, real(what, value))


@dataclass(frozen=True)
class steps(_Number):  # noqa: N801
    """Ends after ``n`` updates."""

    n: int

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:  # noqa: ARG002
        """End once ``n`` updates are made."""
        return Reason("budget", f"{self.n} step{' is' if self.n == 1 else 's are'} made") if point.t >= self.n else None


@dataclass(frozen=True)
class evaluations(_Number):  # noqa: N801
    """Ends after ``n`` calls of the objective."""

    n: int

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:  # noqa: ARG002
        """End once the objective has been called ``n`` times."""
        return Reason("budget", f"{self.n} evaluations are made") if point.evaluations >= self.n else None


@dataclass(frozen=True)
class seconds(_Number):  # noqa: N801
    """Ends after ``s`` seconds, those before a resumption among them; not in the midst of an evaluation."""

    s: float

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:  # noqa: ARG002
        """End once ``s`` seconds are over."""
        return Reason("budget", f"{self.s:g} seconds are over") if point.seconds >= self.s else None


@dataclass(frozen=True)
class grad_norm(_Number):  # noqa: N801
    """Ends where the 2-norm of the gradient is at most ``tolerance``, in units of the gradient."""

    arrives = True

    tolerance: float

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:  # noqa: ARG002
        """End where the norm is small enough."""
        if point.problem or not (norm := point.grad_norm(self.tolerance)) <= self.tolerance:
            return None
        return Reason("converged", f"the gradient's norm, {norm:.3g}, is at most {self.tolerance:g}")


@dataclass(frozen=True)
class target(_Number):  # noqa: N801
    """Ends where the objective is at most ``value``; in a run that makes it large, at least."""

    arrives = True

    value: float

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:  # noqa: ARG002
        """End where the value is small enough."""
        sign = point.directions.sign(VALUE)
        if point.problem or not sign * point.value <= sign * self.value:
            return None
        return Reason("converged", f"the value, {point.value:.6g}, has reached {self.value:g}")


@dataclass(frozen=True)
class plateau(_Number):  # noqa: N801
    """Ends where the best value has not become better for some evaluations.

    Attributes
    ----------
    patience
        How many evaluations in a row may bring no better value.
    min_delta
        By how much a value must be better than the best one to count as better, in units of the objective.
    metric
        What is looked at instead of the objective: a number that ``evaluate`` gives, such as ``"val/loss"``; only
        where it was called. The run says whether less or more of it is better: ``gs.Run(..., mode=...)``.
    """

    arrives = True

    patience: int
    min_delta: float = 0.0
    metric: str | None = None

    @property
    def name(self) -> str:
        """The class's name, and what is looked at."""
        return f"{super().name} of {self.metric or 'value'}"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.metric is not None and not isinstance(self.metric, str):
            raise GradstepTypeError(f"stop.plateau: metric must be a name such as 'val/loss', not {self.metric!r}.")

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:
        """End after ``patience`` evaluations without a better value."""
        x = point.value if self.metric is None else (point.metrics or {}).get(self.metric, math.nan)
        if not math.isfinite(x):  # NaN also stands for a metric that was not evaluated here
            return None
        best, sign = memory.get("best"), point.directions.sign(self.metric or VALUE)
        if best is None or sign * x < sign * best - self.min_delta:
            memory.update(best=x, since=0)
            return None
        memory["since"] += 1
        if memory["since"] < self.patience:
            return None
        name = self.metric or "the value"
        return Reason("converged", f"{name} has not become better than {best:.6g} for {self.patience} evaluations")


@dataclass(frozen=True)
class non_finite(_Number):  # noqa: N801
    """Ends where the objective or its gradient has not been finite, or too large for the rule, so often in a row."""

    times: int = 1

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:  # noqa: ARG002
        """End after the ``times``-th bad evaluation in a row."""
        return Reason("non-finite", point.problem) if point.problem and point.bad >= self.times else None


@dataclass(frozen=True, init=False)
class signals(Stop):  # noqa: N801
    """Ends at the next evaluation after one of these signals; a second one has its usual effect.

    ``gs.stop.signals()`` are SIGINT (Ctrl-C) and SIGTERM. They are caught in the main thread alone, while the run runs.
    """

    numbers: tuple[int, ...]

    def __init__(self, *numbers: int) -> None:
        for number in numbers:
            if number not in signal.valid_signals() or number in _NEVER_CAUGHT:
                raise GradstepValueError(f"stop.signals: {number!r} is no signal that can be caught.")
        object.__setattr__(self, "numbers", numbers or (signal.SIGINT, signal.SIGTERM))

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:  # noqa: ARG002
        """End after one of the signals."""
        if point.signal is None or point.signal not in self.numbers:
            return None
        return Reason("signal", f"the signal {signal.Signals(point.signal).name} came")


def _flat(kind: type[_Several], *stops: Any) -> list[Any]:
    return [inner for stop in stops for inner in (stop.stops if type(stop) is kind else [stop])]


def _reason(stop: Stop, said: Any) -> Reason | None:
    """Return a stop's answer as a reason; True is one without words.

    Raises
    ------
    GradstepTypeError
        For another answer.
    """
    if said is None or isinstance(said, Reason):
        return said
    if not isinstance(said, bool | np.bool_):
        raise GradstepTypeError(f"stop {stop.name}: check must give a Reason, True, False or None, not {said!r}.")
    return Reason("converged" if stop.arrives else "callback", f"the stop {stop.name} ended it") if said else None


def _plain(x: Any, what: str) -> Any:
    """Return what a stop remembers as a checkpoint keeps it, with NumPy's numbers as Python's.

    Raises
    ------
    GradstepTypeError
        For what no checkpoint can keep: said where it is remembered, and not at the end of the run.
    """
    if isinstance(x, dict):
        if not all(isinstance(key, str) for key in x):
            raise GradstepTypeError(f"{what} must have names that are text, not {next(iter(x))!r}.")
        return {key: _plain(y, f"{what}[{key!r}]") for key, y in x.items()}
    if isinstance(x, list | tuple):
        return [_plain(y, what) for y in x]
    if isinstance(x, np.generic) or (isinstance(x, np.ndarray) and not x.shape):
        x = x.item()
    if x is not None and not isinstance(x, str | bool | int | float):
        raise GradstepTypeError(
            f"{what} must be text, numbers, lists or dicts, for it is saved with the run, not {type(x).__name__}."
        )
    if isinstance(x, float) and not math.isfinite(x):
        raise GradstepTypeError(
            f"{what} is {x}, and a checkpoint keeps finite numbers alone; leave it out, or use None."
        )
    return x
