"""Hyperparameters that change from step to step: ``t -> float``, where ``t`` is the number of updates made so far.

The first update has ``t = 0``. Every schedule is a frozen dataclass: it compares, hashes and prints as the call that
made it, and goes through JSON by :func:`to_json` and :func:`from_json`. The value comes first, then the counts of
updates. Ends are exact: a schedule that starts at ``start`` or ``peak`` gives that very float at ``t = 0``, and
``final`` itself at ``t = steps`` and ever after. Values have the unit of the hyperparameter; all arithmetic is float64.

Making a schedule raises :class:`~gradstep.GradstepTypeError` for an argument of the wrong type and
:class:`~gradstep.GradstepValueError` for one out of range (NaN and infinity are); calling it does so for its ``t``.
"""
# ruff: noqa: N801 - schedules read as words: lr=gs.schedules.cosine(1e-3, 1000)

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from numbers import Integral, Real
from reprlib import repr as short
from typing import Any, Literal, TypeVar, dataclass_transform

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.hyper import Domain
from gradstep.naming import unknown

__all__ = [
    "Schedule",
    "constant",
    "cosine",
    "cosine_restarts",
    "exponential",
    "from_json",
    "inverse_sqrt",
    "join",
    "linear",
    "one_cycle",
    "piecewise",
    "polynomial",
    "step",
    "to_json",
    "warmup",
    "warmup_cosine",
    "wsd",
]

S = TypeVar("S", bound="Schedule")
Check = Callable[[str, Any], Any]  # (what it is called in an error, value) -> the value as it is kept
Weights = Callable[[float, float], tuple[float, float]]
Shape = Literal["linear", "cosine", "1-sqrt"]
_KINDS: dict[str, "type[Schedule]"] = {}


@dataclass(frozen=True, slots=True)
class Schedule(ABC):
    """Base of all schedules: checks the fields when it is made and ``t`` when it is called.

    Not for subclassing: any function of ``t`` serves as a schedule, only that it is not saved.
    """

    def __post_init__(self) -> None:
        kind = type(self).__name__
        for name in (field.name for field in fields(self)):
            check = _FIELDS.get(f"{kind}.{name}") or _FIELDS[name]
            object.__setattr__(self, name, check(f"{kind}: {name}", getattr(self, name)))
        if problem := self._problem():
            raise GradstepValueError(f"{kind}: {problem}.")

    def __call__(self, t: int) -> float:
        """Value for the next update, when ``t`` updates have been made."""
        return self._at(_FIELDS["t"](f"{type(self).__name__}: t", t))

    @abstractmethod
    def _at(self, t: int) -> float: ...

    def _problem(self) -> str | None:
        """Say what is wrong between fields that are right one by one."""
        return None


@dataclass_transform(frozen_default=True)
def _schedule(kind: type[S]) -> type[S]:
    """Make a schedule of a class, and known to :func:`from_json` under its name."""
    _KINDS[kind.__name__] = made = dataclass(frozen=True, slots=True)(kind)
    return made


@_schedule
class constant(Schedule):
    """The same value for ever.

    Parameters
    ----------
    value
        The value.
    """

    value: float

    def _at(self, t: int) -> float:  # noqa: ARG002
        return self.value


@_schedule
class linear(Schedule):
    """A straight line: ``start + (final - start) t / steps``, then ``final``; optax's ``linear_schedule``.

    Parameters
    ----------
    start, final
        Values at t = 0 and from t = ``steps`` on; either may be the larger.
    steps
        Number of updates from one to the other, at least 1.
    """

    start: float
    steps: int
    final: float = 0.0

    def _at(self, t: int) -> float:
        return _ramp(self.start, self.final, t, self.steps)


@_schedule
class polynomial(Schedule):
    """A power of what is left: ``final + (start - final) (1 - t / steps)^power``; optax's ``polynomial_schedule``.

    Parameters
    ----------
    start, final
        Values at t = 0 and from t = ``steps`` on; either may be the larger.
    steps
        Number of updates from one to the other, at least 1.
    power
        More than 0; 1 is a straight line, 0.9 the "poly" policy of DeepLab (Chen et al. 2017, arXiv:1606.00915).
    """

    start: float
    steps: int
    power: float
    final: float = 0.0

    def _at(self, t: int) -> float:
        return _ramp(self.start, self.final, t, self.steps, lambda _, left: (1 - left**self.power, left**self.power))


@_schedule
class exponential(Schedule):
    """Geometric decay: ``max(start factor^(t / steps), final)``; optax's ``exponential_decay``.

    Parameters
    ----------
    start
        Value at t = 0, not less than ``final``.
    steps
        Number of updates in which the value falls by ``factor``, at least 1.
    factor
        More than 0, at most 1.
    final
        The floor, at least 0; the value never leaves it once it is there.
    staircase
        Whether to round ``t / steps`` down, so that the value falls in jumps.
    """

    start: float
    steps: int
    factor: float
    final: float = 0.0
    staircase: bool = False

    def _at(self, t: int) -> float:
        return max(self.start * self.factor ** (t // self.steps if self.staircase else t / self.steps), self.final)

    def _problem(self) -> str | None:
        good = self.start >= self.final >= 0
        return None if good else f"start >= final >= 0 is needed, not start={self.start} and final={self.final}"


@_schedule
class step(Schedule):
    """A drop every ``steps`` updates: ``start factor^floor(t / steps)``; PyTorch's ``StepLR``.

    Parameters
    ----------
    start
        Value at t = 0.
    steps
        Number of updates from one drop to the next, at least 1.
    factor
        More than 0, at most 1.
    """

    start: float
    steps: int
    factor: float = 0.1

    def _at(self, t: int) -> float:
        return self.start * self.factor ** (t // self.steps)


@_schedule
class piecewise(Schedule):
    """Given values between given boundaries; a new value holds from its boundary on, as in PyTorch's ``MultiStepLR``.

    Keras's ``PiecewiseConstantDecay`` changes one update later: add 1 to its boundaries.

    Parameters
    ----------
    values
        One more than there are boundaries: ``values[i]`` while ``boundaries[i - 1] <= t < boundaries[i]``.
    boundaries
        Values of t, at least 1, strictly increasing.
    """

    values: Sequence[float]
    boundaries: Sequence[int]

    def _at(self, t: int) -> float:
        return self.values[bisect_right(self.boundaries, t)]

    def _problem(self) -> str | None:
        return _miscount("values", self.values, self.boundaries)


@_schedule
class cosine(Schedule):
    """Half a wave: ``final + (peak - final) (1 + cos(pi t / steps)) / 2``, then ``final``.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5, one period; optax's ``cosine_decay_schedule``, but
    that ``final`` is a value and not a fraction of the peak.

    Parameters
    ----------
    peak, final
        Values at t = 0 and from t = ``steps`` on.
    steps
        Number of updates from one to the other, at least 1.
    """

    peak: float
    steps: int
    final: float = 0.0

    def _at(self, t: int) -> float:
        return _ramp(self.peak, self.final, t, self.steps, _cosine)


@_schedule
class cosine_restarts(Schedule):
    """A cosine that starts anew whenever it ends (SGDR).

    ``final + (top - final) (1 + cos(pi t_i / T_i)) / 2`` at the t_i-th update of cycle i = 0, 1, ..., which is
    ``T_i = steps t_mult^i`` updates long and starts at ``top = final + (peak - final) decay^i``. The update that would
    have the value ``final`` is the first of the next cycle, so ``final`` is approached and not reached.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5; ``decay`` is ``m_mul`` of Keras's
    ``CosineDecayRestarts``.

    Parameters
    ----------
    peak, final
        Value at t = 0, and the one that each cycle comes down to.
    steps
        Number of updates in the first cycle, at least 1.
    t_mult
        How many times longer each cycle is than the one before: a whole number, at least 1.
    decay
        Height of each cycle over ``final``, relative to the one before; more than 0, at most 1.
    """

    peak: float
    steps: int
    final: float = 0.0
    t_mult: int = 1
    decay: float = 1.0

    def _at(self, t: int) -> float:
        cycle, length = 0, self.steps
        if self.t_mult == 1:
            cycle, t = divmod(t, length)
        while t >= length:
            cycle, t, length = cycle + 1, t - length, length * self.t_mult
        height = self.decay**cycle
        return _ramp(_mix(self.peak, self.final, 1 - height, height), self.final, t, length, _cosine)


@_schedule
class warmup(Schedule):
    """A straight line from ``start`` to ``then(0)``, after which ``then`` runs: ``then(t - steps)`` from t = ``steps``.

    With ``start = 0`` the first update moves nothing: ``then(0) / steps`` as a start makes use of it. Source: Goyal et
    al. 2017, arXiv:1706.02677, section 2.2 (gradual warm-up).

    Parameters
    ----------
    steps
        Number of updates before ``then`` starts; with 0 it starts at once.
    then
        The schedule to warm up for.
    start
        Value at t = 0.
    """

    steps: int
    then: Schedule
    start: float = 0.0

    def _at(self, t: int) -> float:
        if t < self.steps:
            return _ramp(self.start, self.then(0), t, self.steps)
        return self.then(t - self.steps)


def warmup_cosine(peak: float, steps: int, warmup_steps: int, final: float = 0.0, start: float = 0.0) -> warmup:
    """``warmup(warmup_steps, cosine(peak, steps - warmup_steps, final), start)``; ends at t = ``steps``.

    As in optax's ``warmup_cosine_decay_schedule``, the warm-up is a part of ``steps``.

    Parameters
    ----------
    peak
        Value at t = ``warmup_steps``.
    steps
        Number of updates in all, more than ``warmup_steps``.
    warmup_steps
        Number of updates from ``start`` to ``peak``, at least 0.
    final, start
        Values from t = ``steps`` on, and at t = 0.

    Returns
    -------
    warmup
        The two schedules, composed.
    """
    steps = _count(1)("warmup_cosine: steps", steps)
    rise = _count(0)("warmup_cosine: warmup_steps", warmup_steps)
    if rise >= steps:
        raise GradstepValueError(f"warmup_cosine: warmup_steps must be less than steps={steps}, not {rise}.")
    return warmup(rise, cosine(peak, steps - rise, final), start)


@_schedule
class one_cycle(Schedule):
    """Up to a high peak, and down to almost nothing.

    From ``peak / div_factor`` at t = 0 to ``peak`` at t = ``max(1, floor(rise steps))``, and on to
    ``peak / div_factor / final_div_factor`` at t = ``steps``.

    Source: Smith & Topin 2017, arXiv:1708.07120, in the form of two phases that fastai gave it; with the shape
    ``"cosine"`` it is optax's ``cosine_onecycle_schedule``. PyTorch's ``OneCycleLR`` ends each phase an update earlier.

    Parameters
    ----------
    peak
        The highest value.
    steps
        Number of updates in all, at least 1.
    rise
        Fraction of them before the peak; more than 0, at most 1.
    div_factor, final_div_factor
        What divides the peak to give the first value, and the first value to give the last; more than 0.
    shape
        Of both phases; see :class:`wsd`.
    """

    peak: float
    steps: int
    rise: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    shape: Shape = "cosine"

    def _at(self, t: int) -> float:
        start, top, shape = self.peak / self.div_factor, max(1, int(self.rise * self.steps)), _SHAPES[self.shape]
        if t < top:
            return _ramp(start, self.peak, t, top, shape)
        return _ramp(self.peak, start / self.final_div_factor, t - top, self.steps - top, shape)


@_schedule
class inverse_sqrt(Schedule):
    """A straight line from ``start`` to ``peak``, then ``peak sqrt(warmup_steps / t)``.

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 3 ("Noam"): ``peak = (d_model warmup_steps)^-0.5`` and
    ``start = 0``, in fairseq's convention, whose count is the ``t`` of here. With ``start = peak = warmup_steps^-0.5``
    it is T5's ``1 / sqrt(max(t, warmup_steps))`` (Raffel et al. 2020, arXiv:1910.10683, section 3.1.2).

    Parameters
    ----------
    peak
        Value at t = ``warmup_steps``.
    warmup_steps
        Number of updates before the peak, at least 1.
    start
        Value at t = 0.
    """

    peak: float
    warmup_steps: int
    start: float = 0.0

    def _at(self, t: int) -> float:
        if t < self.warmup_steps:
            return _ramp(self.start, self.peak, t, self.warmup_steps)
        return self.peak * math.sqrt(self.warmup_steps / t)


@_schedule
class wsd(Schedule):
    """Warm-up, stable, decay: up in a straight line, level for as long as can be, and down at the end.

    The last ``cooldown_steps`` updates go from ``peak`` to ``final``; with u the fraction of them that is over,
    ``final + (peak - final) w(u)`` where w(u) is

    - ``"linear"``: ``1 - u``;
    - ``"cosine"``: ``(1 + cos(pi u)) / 2``;
    - ``"1-sqrt"``: ``1 - sqrt(u)``.

    Source: Hu et al. 2024 (MiniCPM), arXiv:2404.06395; the shapes and ``"1-sqrt"``: Hägele et al. 2024,
    arXiv:2405.18392.

    Parameters
    ----------
    peak
        Value after the warm-up and before the cool-down.
    steps
        Number of updates in all, not less than both of the following together.
    warmup_steps
        Number of updates from ``start`` to ``peak``, at least 0.
    cooldown_steps
        Number of updates from ``peak`` to ``final``, at least 1.
    final, start
        Values from t = ``steps`` on, and at t = 0 if there is a warm-up.
    shape
        ``"linear"``, ``"cosine"`` or ``"1-sqrt"``.
    """

    peak: float
    steps: int
    warmup_steps: int
    cooldown_steps: int
    final: float = 0.0
    start: float = 0.0
    shape: Shape = "linear"

    def _at(self, t: int) -> float:
        if t < self.warmup_steps:
            return _ramp(self.start, self.peak, t, self.warmup_steps)
        cooling = max(0, t - (self.steps - self.cooldown_steps))
        return _ramp(self.peak, self.final, cooling, self.cooldown_steps, _SHAPES[self.shape])

    def _problem(self) -> str | None:
        both = self.warmup_steps + self.cooldown_steps
        return f"warm-up and cool-down take {both} updates, more than steps={self.steps}" if both > self.steps else None


@_schedule
class join(Schedule):
    """One schedule after another, each with a clock of its own; optax's ``join_schedules``.

    Parameters
    ----------
    schedules
        One more than there are boundaries: ``schedules[i](t - boundaries[i - 1])`` from ``t = boundaries[i - 1]`` on.
    boundaries
        Values of t, at least 1, strictly increasing.
    """

    schedules: Sequence[Schedule]
    boundaries: Sequence[int]

    def _at(self, t: int) -> float:
        i = bisect_right(self.boundaries, t)
        return self.schedules[i](t - self.boundaries[i - 1] if i else t)

    def _problem(self) -> str | None:
        return _miscount("schedules", self.schedules, self.boundaries)


def to_json(schedule: Callable[[int], float]) -> dict[str, Any]:
    """Say all that makes a schedule, in what JSON knows.

    Parameters
    ----------
    schedule
        One of this module's.

    Returns
    -------
    dict
        ``{"schedule": name, field: value, ...}``; a schedule within it is such a dict again, a tuple is a list.

    Raises
    ------
    GradstepTypeError
        For a plain function, or a schedule from elsewhere.
    """
    if not isinstance(schedule, Schedule) or _KINDS.get(type(schedule).__name__) is not type(schedule):
        name = getattr(schedule, "__qualname__", type(schedule).__qualname__)
        raise GradstepTypeError(
            f"to_json: {name} is none of gradstep.schedules and cannot be saved; it must be given again on restore."
        )
    return {"schedule": type(schedule).__name__} | {f.name: _plain(getattr(schedule, f.name)) for f in fields(schedule)}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(x) for x in value]
    return to_json(value) if isinstance(value, Schedule) else value


def from_json(data: Any) -> Schedule:
    """Make the schedule that :func:`to_json` was given.

    Parameters
    ----------
    data
        The name under ``"schedule"`` and every field, none left to a default (defaults may change, saved runs may not).

    Returns
    -------
    Schedule
        Equal to the one that was saved.

    Raises
    ------
    GradstepTypeError
        When this is no dict, or a field has the wrong type.
    GradstepValueError
        For a name that there is not, a field too many or too few, or a value out of range.
    """
    if not isinstance(data, Mapping):
        raise GradstepTypeError(f"from_json: a schedule must be a dict, not {type(data).__name__}.")
    name = data.get("schedule")
    if not isinstance(name, str):
        raise GradstepValueError(f"from_json: the name of the schedule must be text under 'schedule', not {name!r}.")
    if name not in _KINDS:
        raise unknown("from_json: there is no schedule", name, _KINDS)
    given, needed = data.keys() - {"schedule"}, {field.name for field in fields(_KINDS[name])}
    if given != needed:
        raise GradstepValueError(f"from_json: {name} has the fields {sorted(needed)}, not {sorted(map(str, given))}.")
    return _KINDS[name](**{key: _made(data[key]) for key in needed})


def _made(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_made(x) for x in value)
    return from_json(value) if isinstance(value, Mapping) else value


# How values run between two ends: from the fractions of the way that are gone and left to the weights of the second end
# and the first. Both are handed through, as 1 - x would lose the digits of the smaller one.


def _linear(gone: float, left: float) -> tuple[float, float]:
    return gone, left


def _cosine(gone: float, left: float) -> tuple[float, float]:
    # (1 -+ cos(pi gone)) / 2, without the cancellation
    return math.sin(math.pi / 2 * gone) ** 2, math.sin(math.pi / 2 * left) ** 2


def _one_minus_sqrt(gone: float, left: float) -> tuple[float, float]:  # noqa: ARG001
    return math.sqrt(gone), 1 - math.sqrt(gone)


_SHAPES: dict[Shape, Weights] = {"linear": _linear, "cosine": _cosine, "1-sqrt": _one_minus_sqrt}


def _ramp(start: float, final: float, t: int, steps: int, shape: Weights = _linear) -> float:
    """From ``start`` at t = 0 to ``final`` at t = ``steps`` and after."""
    return final if t >= steps else _mix(start, final, *shape(t / steps, (steps - t) / steps))


def _mix(start: float, final: float, gone: float, left: float) -> float:
    """Weigh two ends; from the nearer one, so that each is met exactly and neither is passed."""
    return start + gone * (final - start) if gone < left else final + left * (start - final)


# What a field may hold: by its name, as one name means one thing everywhere, or by "schedule.name" where it differs.


def _number(domain: Domain | None = None) -> Check:
    def check(what: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise GradstepTypeError(f"{what} must be a number, not {short(value)} of type {type(value).__name__}.")
        try:
            x = float(value)
        except OverflowError:  # a huge int
            x = math.inf
        if not math.isfinite(x) or (domain is not None and x not in domain):
            raise GradstepValueError(f"{what} must be finite{f' and {domain}' if domain else ''}, not {short(value)}.")
        return x

    return check


def _count(least: int) -> Check:
    def check(what: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise GradstepTypeError(f"{what} must be an integer, not {short(value)} of type {type(value).__name__}.")
        if value < least:
            raise GradstepValueError(f"{what} must be at least {least}, not {short(value)}.")
        return int(value)

    return check


def _is(kind: type | tuple[type, ...], meant: str) -> Check:
    def check(what: str, value: Any) -> Any:
        if not isinstance(value, kind):
            raise GradstepTypeError(f"{what} must be {meant}, not {short(value)}.")
        return value

    return check


def _shape(what: str, value: Any) -> str:
    name = _is(str, "the name of a shape")(what, value)
    if name not in _SHAPES:
        raise unknown(f"{what}: there is no shape", name, _SHAPES)
    return name


def _each(check: Check) -> Check:
    def check_all(what: str, value: Any) -> tuple[Any, ...]:
        _is((list, tuple), "a list or a tuple")(what, value)
        return tuple(check(f"{what}[{i}]", x) for i, x in enumerate(value))

    return check_all


def _increasing(what: str, value: Any) -> tuple[int, ...]:
    counts = _each(_count(1))(what, value)
    if any(a >= b for a, b in pairwise(counts)):
        raise GradstepValueError(f"{what} must increase from each to the next, not {counts}.")
    return counts


def _miscount(what: str, items: Sequence[Any], boundaries: Sequence[int]) -> str | None:
    if len(items) == len(boundaries) + 1:
        return None
    return f"{what} must be one more than boundaries, not {len(items)} for {len(boundaries)}"


_POSITIVE = _number(Domain(0.0, open_low=True))
_FRACTION = _number(Domain(0.0, 1.0, open_low=True))
_NESTED = _is(Schedule, "one of gradstep.schedules, such as constant(0.1)")
_FIELDS: dict[str, Check] = {
    "value": _number(),
    "start": _number(),
    "peak": _number(),
    "final": _number(),
    "values": _each(_number()),
    "power": _POSITIVE,
    "div_factor": _POSITIVE,
    "final_div_factor": _POSITIVE,
    "factor": _FRACTION,
    "decay": _FRACTION,
    "rise": _FRACTION,
    "steps": _count(1),
    "warmup.steps": _count(0),
    "warmup_steps": _count(0),
    "inverse_sqrt.warmup_steps": _count(1),
    "cooldown_steps": _count(1),
    "t_mult": _count(1),
    "t": _count(0),
    "boundaries": _increasing,
    "staircase": _is(bool, "True or False"),
    "shape": _shape,
    "then": _NESTED,
    "schedules": _each(_NESTED),
}
