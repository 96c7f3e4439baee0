"""Checks of a schedule's fields: each returns the value as it is kept, or raises."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from reprlib import repr as short
from typing import Any

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.hyper import Domain
from gradstep.naming import as_float, is_real, is_whole, unknown
from gradstep.schedules.ramps import SHAPES

Check = Callable[[str, Any], Any]  # (name in errors, value) -> the value as it is kept


def number(domain: Domain | None = None) -> Check:
    """Check for a finite number, in the domain if there is one; it is kept as a float."""

    def check(what: str, value: Any) -> float:
        if not is_real(value):
            raise GradstepTypeError(f"{what} must be a number, not {short(value)} of type {type(value).__name__}.")
        x = as_float(value)
        if not math.isfinite(x) or (domain is not None and x not in domain):
            raise GradstepValueError(f"{what} must be finite{f' and {domain}' if domain else ''}, not {short(value)}.")
        return x

    return check


def count(least: int) -> Check:
    """Check for an integer of at least ``least``; it is kept as an int."""

    def check(what: str, value: Any) -> int:
        if not is_whole(value):
            raise GradstepTypeError(f"{what} must be an integer, not {short(value)} of type {type(value).__name__}.")
        if value < least:
            raise GradstepValueError(f"{what} must be at least {least}, not {short(value)}.")
        return int(value)

    return check


def instance(kind: type | tuple[type, ...], meant: str) -> Check:
    """Check for a type, which an error calls ``meant``."""

    def check(what: str, value: Any) -> Any:
        if not isinstance(value, kind):
            raise GradstepTypeError(f"{what} must be {meant}, not {short(value)}.")
        return value

    return check


def shape(what: str, value: Any) -> str:
    """Check for one of the names in ``SHAPES``."""
    name = instance(str, "the name of a shape")(what, value)
    if name not in SHAPES:
        raise unknown(f"{what}: there is no shape", name, SHAPES)
    return name


def each(check: Check) -> Check:
    """Check for a list or tuple of items that pass ``check``; it is kept as a tuple."""

    def check_all(what: str, value: Any) -> tuple[Any, ...]:
        instance((list, tuple), "a list or a tuple")(what, value)
        return tuple(check(f"{what}[{i}]", x) for i, x in enumerate(value))

    return check_all


def increasing(what: str, value: Any) -> tuple[int, ...]:
    """Check for boundaries: integers from 1 on, strictly increasing; they are kept as a tuple."""
    counts = each(count(1))(what, value)
    if any(a >= b for a, b in pairwise(counts)):
        raise GradstepValueError(f"{what} must increase from each to the next, not {counts}.")
    return counts


def miscount(what: str, items: Sequence[Any], boundaries: Sequence[int]) -> str | None:
    """Return the fault where the items are not one more than the boundaries between them."""
    if len(items) == len(boundaries) + 1:
        return None
    return f"{what} must be one more than boundaries, not {len(items)} for {len(boundaries)}"
