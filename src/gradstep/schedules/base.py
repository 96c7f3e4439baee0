"""Base of all schedules, the values that each field may hold, and the schedules by name."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TypeVar, dataclass_transform

from gradstep.errors import GradstepValueError
from gradstep.form.hyper import Domain
from gradstep.schedules.fields import Check, count, each, increasing, instance, number, shape

S = TypeVar("S", bound="Schedule")
KINDS: dict[str, "type[Schedule]"] = {}  # the schedules that can be saved, by name


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
        """Return the fault between fields that are right one by one; None where there is none."""
        return None


@dataclass_transform(frozen_default=True)
def schedule(kind: type[S]) -> type[S]:
    """Decorate a class as a schedule, known to :func:`~gradstep.schedules.from_json` under its name."""
    KINDS[kind.__name__] = made = dataclass(frozen=True, slots=True)(kind)
    return made


# The check of each field by its name, which means the same in every schedule; "schedule.name" where it does not.
_POSITIVE = number(Domain(0.0, open_low=True))
_FRACTION = number(Domain(0.0, 1.0, open_low=True))
_NESTED = instance(Schedule, "one of gradstep.schedules, such as constant(0.1)")
_FIELDS: dict[str, Check] = {
    "value": number(),
    "start": number(),
    "peak": number(),
    "final": number(),
    "lower": number(),
    "upper": number(),
    "low": _POSITIVE,
    "values": each(number()),
    "scale": _POSITIVE,
    "rate": _POSITIVE,
    "k": _POSITIVE,
    "power": _POSITIVE,
    "div_factor": _POSITIVE,
    "final_div_factor": _POSITIVE,
    "factor": _FRACTION,
    "scaled.factor": number(),
    "amount": _FRACTION,
    "decay": _FRACTION,
    "rise": _FRACTION,
    "steps": count(1),
    "warmup.steps": count(0),
    "warmup_steps": count(0),
    "inverse_sqrt.warmup_steps": count(1),
    "cooldown_steps": count(1),
    "steps_up": count(1),
    "steps_down": count(1),
    "t_mult": count(1),
    "doublings": count(0),
    "seed": count(0),
    "t": count(0),
    "boundaries": increasing,
    "staircase": instance(bool, "True or False"),
    "shape": shape,
    "then": _NESTED,
    "schedules": each(_NESTED),
}
