"""Schedules as JSON, and back."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.naming import unknown
from gradstep.schedules.base import KINDS, Schedule


def to_json(schedule: Callable[[int], float]) -> dict[str, Any]:
    """Return all that makes a schedule, as JSON.

    Parameters
    ----------
    schedule
        One of :mod:`gradstep.schedules`.

    Returns
    -------
    dict
        ``{"schedule": name, field: value, ...}``; a schedule within it is such a dict again, a tuple is a list.

    Raises
    ------
    GradstepTypeError
        For a plain function, or a schedule from elsewhere.
    """
    if not isinstance(schedule, Schedule) or KINDS.get(type(schedule).__name__) is not type(schedule):
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
    if name not in KINDS:
        raise unknown("from_json: there is no schedule", name, KINDS)
    given, needed = data.keys() - {"schedule"}, {field.name for field in fields(KINDS[name])}
    if given != needed:
        raise GradstepValueError(f"from_json: {name} has the fields {sorted(needed)}, not {sorted(map(str, given))}.")
    return KINDS[name](**{key: _made(data[key]) for key in needed})


def _made(value: Any) -> Any:
    if isinstance(value, list):
        return [_made(x) for x in value]
    return from_json(value) if isinstance(value, Mapping) else value
