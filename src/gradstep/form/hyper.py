"""Hyperparameters: one name everywhere, the values that each may take, and schedules in their place."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, cast

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.naming import as_float, is_real, unknown

Schedule = Callable[[int], float]
Hyper = float | Schedule


@dataclass(frozen=True)
class Domain:
    """The values from ``low`` to ``high``; ``open_low`` and ``open_high`` leave an end out, ``whole`` all fractions."""

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    whole: bool = False

    def __contains__(self, x: float) -> bool:
        above = self.low < x if self.open_low else self.low <= x
        below = x < self.high if self.open_high else x <= self.high
        return above and below and math.isfinite(x) and (not self.whole or x == math.floor(x))

    def __and__(self, other: "Domain") -> "Domain":
        """The values in both."""
        low, open_low = max((self.low, self.open_low), (other.low, other.open_low))
        high, closed = min((self.high, not self.open_high), (other.high, not other.open_high))
        return Domain(low, high, open_low, not closed, self.whole or other.whole)

    def __str__(self) -> str:
        low = f"{'>' if self.open_low else '>='} {self.low:g}"
        ends = low if self.high == math.inf else f"{low} and {'<' if self.open_high else '<='} {self.high:g}"
        return f"{ends} and whole" if self.whole else ends


NonNegative = Annotated[float, Domain(0.0)]
Positive = Annotated[float, Domain(0.0, open_low=True)]
Fraction = Annotated[float, Domain(0.0, 1.0, open_high=True)]

# Names that mean the same in every rule; any other hyperparameter has its domain as an annotation where it is declared.
DOMAINS: Mapping[str, Domain] = {
    "lr": Domain(0.0),
    "momentum": Domain(0.0, 1.0, open_high=True),
    "beta1": Domain(0.0, 1.0, open_high=True),
    "beta2": Domain(0.0, 1.0, open_high=True),
    "eps": Domain(0.0, open_low=True),  # zero would make 0/0 of a zero gradient
    "weight_decay": Domain(0.0),
}


def checked(name: str, value: Any, owner: str, domain: Domain | None = None) -> Hyper:
    """Return ``value`` as a float in its domain, or as it is when it is a schedule.

    Without a ``domain`` it is the one that the name has in every rule; any finite number where there is none.

    Raises
    ------
    GradstepTypeError
        When the value is neither a real number nor callable.
    GradstepValueError
        When the number is outside of its domain.
    """
    if callable(value):
        return cast(Schedule, value)
    if not is_real(value):
        raise GradstepTypeError(
            f"{owner}: {name} must be a number or a schedule (a function of t, or gs.schedules.cosine(1e-3, 1000)), "
            f"not {value!r} of type {type(value).__name__}."
        )
    return in_domain(name, as_float(value), owner, domain)


def in_domain(name: str, x: float, owner: str, domain: Domain | None = None) -> float:
    """Return ``x`` itself when it is finite and in its domain; otherwise raise a :class:`GradstepValueError`."""
    domain = domain or DOMAINS.get(name.rpartition(".")[2])
    if domain is None:
        if not math.isfinite(x):
            raise GradstepValueError(f"{owner}: {name} must be finite, not {x}.")
    elif x not in domain:
        raise GradstepValueError(f"{owner}: {name} must be finite and {domain}, not {x}.")
    return x


def at(value: Hyper, name: str, t: int, owner: str, domain: Domain | None = None) -> float:
    """Return the value of a hyperparameter for the next update, when ``t`` updates have been made."""
    if not callable(value):
        return value
    try:
        x: Any = value(t)
    except Exception as error:
        if isinstance(error, TypeError) and not _takes_one(value):
            raise GradstepTypeError(
                f"{owner}: the schedule of {name} must be a function of one number, the updates made, and {value!r} "
                f"cannot be called with one."
            ) from error
        error.add_note(f"{owner}: this came from the schedule of {name} at t = {t}; nothing was changed.")
        raise
    if type(x) is float and domain is not None and x in domain:
        return x  # the usual case first
    if not is_real(x):
        raise GradstepTypeError(f"{owner}: the schedule of {name} gave {x!r} at t = {t}; it must give a number.")
    return in_domain(name, as_float(x), f"{owner}, schedule at t = {t}", domain)


def evaluated(
    hyper: Mapping[str, Hyper], domains: Mapping[str, Domain], owner: str = "hyperparameter"
) -> Callable[[int], dict[str, float]]:
    """Return a function that gives all hyperparameters at t; those without a schedule are looked at once."""
    fixed = {key: x for key, x in hyper.items() if not callable(x)}
    moving = [(key, x, domains.get(key)) for key, x in hyper.items() if callable(x)]

    def at_t(t: int) -> dict[str, float]:
        values: dict[str, float] = {**fixed}
        for key, x, domain in moving:
            values[key] = at(x, key, t, owner, domain)
        return values

    return at_t


def _takes_one(function: Callable[..., Any]) -> bool:
    """Return False for a function that cannot be called with one argument, True where that is not known."""
    try:
        inspect.signature(function).bind(0)
    except TypeError:
        return False
    except ValueError:  # a built-in function without a signature
        return True
    return True


@dataclass(frozen=True)
class times:  # noqa: N801 - reads as a word in groups={"embed*": {"lr": gs.times(0.1)}}
    """In a group: the factor by which the group's value differs from the one that all share, schedules included.

    Parameters
    ----------
    factor
        A finite number; ``{"lr": gs.times(0.1)}`` is a tenth of the learning rate, whatever that is at the time.
    """

    factor: float

    def __post_init__(self) -> None:
        x = as_float(self.factor) if is_real(self.factor) else self.factor
        if not isinstance(x, float) or not math.isfinite(x):
            raise GradstepValueError(f"times: the factor must be a finite number, not {x!r}.")


def refuse_number_for_schedule(name: str, old: Any, new: Any, place: str) -> None:
    """Refuse a number in the place of a schedule, which would end it unseen; another schedule may take its place.

    Raises
    ------
    GradstepValueError
        With the code that ends the schedule, ``place`` being where the value is set.
    """
    if callable(old) and not callable(new):
        raise GradstepValueError(
            f"{name} follows the schedule {old!r}, and a number does not replace it; to end it, write "
            f"{place} = gs.schedules.constant({new!r})."
        )


class HyperView(MutableMapping[str, Hyper]):
    """Hyperparameters by name; a new value is checked, a schedule is replaced by a schedule, no name comes or goes."""

    def __init__(self, values: Mapping[str, Hyper], domains: Mapping[str, Domain] = MappingProxyType({})) -> None:
        self.raw, self._domains = dict(values), domains
        # Another object after each change. It is set after the value: whoever reads it before the values and finds it
        # the same afterwards has missed no change, by whatever thread or signal handler it was made.
        self.version = object()

    def __getitem__(self, name: str) -> Hyper:
        return self.raw[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self.raw:
            raise unknown("unknown hyperparameter", name, self.raw)
        new = checked(name, value, "optimizer", self._domains.get(name))
        refuse_number_for_schedule(name, self.raw[name], new, f"opt.hyper[{name!r}]")
        self.raw[name] = new
        self.touch()

    def replace(self, values: Mapping[str, Hyper]) -> None:
        """Take checked values for all names, schedules too."""
        self.raw = dict(values)
        self.touch()

    def touch(self) -> None:
        """Have the values evaluated anew: something that they depend on has been changed."""
        self.version = object()

    def __delitem__(self, name: str) -> None:
        raise GradstepTypeError(f"hyperparameter {name} cannot be removed.")

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def __repr__(self) -> str:
        return repr(self.raw)
