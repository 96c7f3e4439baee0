"""When a run ends: rules that combine, ``gs.stop.steps(1000) | gs.stop.plateau(50) & gs.stop.steps(200)``.

A rule is asked wherever the objective has been evaluated, before the update there: a run that ends stays there.
``a | b`` ends it where either does, ``a & b`` where both do at once.
"""

import math
import numbers
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from gradstep.errors import GradstepTypeError, GradstepValueError

# How a run ended: it arrived; it used up what it was given; or something came in between.
Kind = Literal["converged", "budget", "non-finite", "signal", "callback", "batches"]
_NEVER_CAUGHT = [getattr(signal, name) for name in ("SIGKILL", "SIGSTOP") if hasattr(signal, name)]


@dataclass(frozen=True)
class Reason:
    """Why a run ended, in a word for programs and in a sentence for people."""

    kind: Kind
    message: str


@dataclass(frozen=True)
class Point:
    """Where a run stands when it is asked whether it ends.

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


@dataclass(frozen=True)
class Stop(ABC):
    """A rule by which a run ends."""

    arrives: ClassVar[bool] = False  # whether a run that ends by it has got where it was to go

    @abstractmethod
    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:
        """Why the run ends here, if it does. ``memory`` is this rule's own, kept between points and saved."""

    def __or__(self, other: "Stop") -> "Stop":
        return any_of(*_flat(any_of, self, other))

    def __and__(self, other: "Stop") -> "Stop":
        return all_of(*_flat(all_of, self, other))

    def __iter__(self) -> Iterator["Stop"]:
        """The rule itself, or those that it is made of."""
        yield self

    @property
    def name(self) -> str:
        """Under which it remembers; numbers that may be others when a run goes on are not in it."""
        return type(self).__name__

    def limits(self) -> bool:
        """Whether a run ends by it sooner or later, whatever the objective is."""
        return isinstance(self, steps | evaluations | seconds)


@dataclass(frozen=True, init=False)
class _Several(Stop):
    rules: tuple[Stop, ...]
    names: tuple[str, ...] = field(repr=False, compare=False)

    def __init__(self, *rules: Stop) -> None:
        names: list[str] = []
        for rule in rules:
            if not isinstance(rule, Stop):
                raise GradstepTypeError(f"stop: {rule!r} is no rule; write for example gs.stop.steps(1000).")
            names.append(f"{rule.name} {sum(rule.name == before.name for before in rules[: len(names)])}")
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "names", tuple(names))

    def reasons(self, point: Point, memory: dict[str, Any]) -> list[Reason | None]:
        """What each rule says; all are asked, for each may remember, under its name wherever it stands."""
        out: list[Reason | None] = []
        for name, rule in zip(self.names, self.rules, strict=True):
            own = memory.get(name, {})
            out.append(rule.check(point, own))
            if own:
                memory[name] = own
        return out

    @property
    def name(self) -> str:
        """See :meth:`Stop.name`."""
        return f"{super().name}({', '.join(rule.name for rule in self.rules)})"

    def __iter__(self) -> Iterator[Stop]:
        for rule in self.rules:
            yield from rule


class any_of(_Several):  # noqa: N801 - rules read as words
    """Ends where any of its rules does; the first that does is the reason."""

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:
        """See :meth:`Stop.check`."""
        return next((reason for reason in self.reasons(point, memory) if reason), None)

    def limits(self) -> bool:
        """See :meth:`Stop.limits`."""
        return any(rule.limits() for rule in self.rules)


class all_of(_Several):  # noqa: N801
    """Ends where all of its rules do at once."""

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:
        """See :meth:`Stop.check`."""
        reasons = [reason for reason in self.reasons(point, memory) if reason]
        if len(reasons) < len(self.rules) or not reasons:
            return None
        arrived = any(reason.kind == "converged" for reason in reasons)
        return Reason("converged" if arrived else reasons[-1].kind, " and ".join(r.message for r in reasons))

    def limits(self) -> bool:
        """See :meth:`Stop.limits`."""
        return bool(self.rules) and all(rule.limits() for rule in self.rules)


@dataclass(frozen=True)
class _Number(Stop):
    """A rule with numbers, checked when it is made."""

    def __post_init__(self) -> None:
        for own in fields(self):
            what, value = f"stop.{type(self).__name__}: {own.name}", getattr(self, own.name)
            if own.type is int:
                whole(what, value)
            elif own.type is float:
                real(what, value)


@dataclass(frozen=True)
class steps(_Number):  # noqa: N801
    """Ends after ``n`` updates."""

    n: int

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:  # noqa: ARG002
        """See :meth:`Stop.check`."""
        return Reason("budget", f"{self.n} steps are made") if point.t >= self.n else None


@dataclass(frozen=True)
class evaluations(_Number):  # noqa: N801
    """Ends after ``n`` calls of the objective."""

    n: int

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:  # noqa: ARG002
        """See :meth:`Stop.check`."""
        return Reason("budget", f"{self.n} evaluations are made") if point.evaluations >= self.n else None


@dataclass(frozen=True)
class seconds(_Number):  # noqa: N801
    """Ends after ``s`` seconds, those before a resumption among them; not in the midst of an evaluation."""

    s: float

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:  # noqa: ARG002
        """See :meth:`Stop.check`."""
        return Reason("budget", f"{self.s:g} seconds are over") if point.seconds >= self.s else None


@dataclass(frozen=True)
class grad_norm(_Number):  # noqa: N801
    """Ends where the 2-norm of the gradient is at most ``tolerance``, in units of the gradient."""

    arrives = True

    tolerance: float

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:  # noqa: ARG002
        """See :meth:`Stop.check`."""
        if point.problem or not (norm := point.grad_norm(self.tolerance)) <= self.tolerance:
            return None
        return Reason("converged", f"the gradient's norm, {norm:.3g}, is at most {self.tolerance:g}")


@dataclass(frozen=True)
class target(_Number):  # noqa: N801
    """Ends where the objective is at most ``value``."""

    arrives = True

    value: float

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:  # noqa: ARG002
        """See :meth:`Stop.check`."""
        if point.problem or not point.value <= self.value:
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
        By how much a value must be below the best one to count as better, in units of the objective.
    metric
        What is looked at instead of the objective: a number that ``evaluate`` gives, such as ``"val/loss"``; only
        where it was called.
    """

    arrives = True

    patience: int
    min_delta: float = 0.0
    metric: str | None = None

    @property
    def name(self) -> str:
        """See :meth:`Stop.name`."""
        return f"{super().name} of {self.metric or 'value'}"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.metric is not None and not isinstance(self.metric, str):
            raise GradstepTypeError(f"stop.plateau: metric must be a name such as 'val/loss', not {self.metric!r}.")

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:
        """See :meth:`Stop.check`."""
        x = point.value if self.metric is None else (point.metrics or {}).get(self.metric, math.nan)
        if not math.isfinite(x):  # also where the metric was not looked at
            return None
        best = memory.get("best")
        if best is None or x < best - self.min_delta:
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
        """See :meth:`Stop.check`."""
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
        """See :meth:`Stop.check`."""
        if point.signal is None or point.signal not in self.numbers:
            return None
        return Reason("signal", f"the signal {signal.Signals(point.signal).name} came")


def _flat(kind: type[_Several], *rules: Any) -> list[Any]:
    return [inner for rule in rules for inner in (rule.rules if type(rule) is kind else [rule])]


def whole(what: str, value: Any, least: int = 0) -> int:
    """A whole number, at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise GradstepTypeError(f"{what} must be an integer, not {value!r}.")
    if value < least:
        raise GradstepValueError(f"{what} must be at least {least}, and is {value}.")
    return int(value)


def real(what: str, value: Any) -> float:
    """A real number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise GradstepTypeError(f"{what} must be a number, not {value!r}.")
    if math.isnan(value):
        raise GradstepValueError(f"{what} must not be NaN.")
    return float(value)
