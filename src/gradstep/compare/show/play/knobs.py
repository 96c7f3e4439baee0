"""Knobs: a number of an optimizer or a surface, its domain, and the stops of its slider."""

import math
from dataclasses import dataclass

from gradstep.errors import GradstepValueError
from gradstep.form.hyper import Domain
from gradstep.text import short

_TENTHS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)  # of a decade, about, and easy to read


SWITCH = Domain(0.0, 1.0)


@dataclass(frozen=True)
class Knob:
    """A number of an optimizer or a surface.

    Attributes
    ----------
    name
        As written before ``=``.
    default
        Its value where none is given.
    domain
        The values that it may take.
    stops
        Stops of its slider, rising.
    is_whole, is_switch
        A whole number; a switch, on (1) or off (0).
    """

    name: str
    default: float
    domain: Domain
    stops: tuple[float, ...]
    is_whole: bool = False
    is_switch: bool = False

    def checked(self, x: float, owner: str) -> float:
        """Return ``x``; raise a :class:`GradstepValueError` if it is outside the domain."""
        if x not in self.domain or (self.is_whole and x != int(x)):
            whole = "a whole number" if self.is_whole else "finite"
            raise GradstepValueError(f"{owner}: {self.name} must be {whole} and {self.domain}, not {short(x)}.")
        return x

    def shown(self, value: float) -> dict[str, object]:
        """Return the description of a slider at ``value``, as the page reads it."""
        stops = sorted({*self.stops, value})
        return {
            "name": self.name,
            "value": value,
            "default": self.default,
            "stops": stops,
            "at": stops.index(value),
            "switch": self.is_switch,
        }


def decades(low: int, high: int) -> tuple[float, ...]:
    """Return ten values a decade from 10**low to 10**high."""
    return (*(float(f"{x:g}e{k}") for k in range(low, high) for x in _TENTHS), float(f"1e{high}"))


def even(low: float, high: float, step: float) -> tuple[float, ...]:
    """Return the values from ``low`` to ``high`` in equal steps."""
    return tuple(round(low + step * k, 9) for k in range(round((high - low) / step) + 1))


def stops(name: str, domain: Domain) -> tuple[float, ...]:
    """Return the stops of a hyperparameter's slider: evenly in its logarithm, or in that of its distance from 1."""
    if domain.high == 1:
        near = (0.92, 0.95, 0.97, 0.98, 0.99, 0.993, 0.995, 0.997, 0.998, 0.999, 0.9995, 0.9999)
        return (*even(0, 0.9, 0.05), *near, *(() if domain.open_high else (1.0,)))
    if domain.low >= 1:
        return even(domain.low, domain.low + 6, 1 if domain.whole else 0.25)
    rates = decades(-5, 1) if name == "lr" else decades(-12, 0) if name == "eps" else decades(-6, 1)
    return (0.0, *rates) if 0.0 in domain and name != "lr" else rates


def read_pair(text: str, what: str, largest: float) -> tuple[float, float]:
    """Return two numbers that are written with a comma between.

    Raises
    ------
    GradstepValueError
        If it is anything else, or a number is larger than ``largest``.
    """
    try:
        a, b = map(float, text.split(","))
    except ValueError:
        raise GradstepValueError(f"{what} must be two numbers as in 1.5,-2, not {text!r}.") from None
    if not max(math.hypot(a), math.hypot(b)) <= largest:
        raise GradstepValueError(f"{what} must lie within {largest:g} of the origin, not at {short(a)},{short(b)}.")
    return a, b
