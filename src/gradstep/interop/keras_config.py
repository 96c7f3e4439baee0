"""Rules, chains and schedules as a Keras config holds them, which is JSON."""

from collections.abc import Mapping
from typing import Any

from gradstep.conventions import constructor
from gradstep.conventions.constructor import Constructor
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import chain
from gradstep.form.rule import Rule, Stage
from gradstep.schedules import Schedule
from gradstep.schedules.saving import from_json, to_json


def to_config(x: Any, name: str) -> Any:
    """Return a rule, a stage or a hyperparameter as JSON; what is JSON as it is.

    Raises
    ------
    GradstepTypeError
        For a function that is none of :mod:`gradstep.schedules`, by ``name``.
    """
    if isinstance(x, Stage):
        parts = [(part.rule.name, part.name, part.given) for part in x.parts]
        own = [{"rule": rule, "name": label, "hyper": _given(hyper, rule)} for rule, label, hyper in parts]
        return {"stages": own}
    if isinstance(x, Rule):
        return x.name
    if isinstance(x, Constructor):
        return x.owner
    if isinstance(x, Schedule):
        return to_json(x)
    if callable(x):
        raise GradstepTypeError(
            f"{name} is {x!r}, and a Keras config holds no function; give one of gradstep.schedules, or a number."
        )
    return x


def _given(hyper: Mapping[str, Any], rule: str) -> dict[str, Any]:
    return {key: to_config(x, f"{key} of {rule}") for key, x in hyper.items()}


def from_config(x: Any) -> Any:
    """Return what :func:`to_config` was given, a rule as its name; all else as it is.

    Raises
    ------
    GradstepValueError
        For a rule that is not registered.
    """
    if not isinstance(x, Mapping):
        return x
    if "schedule" in x:
        return from_json(dict(x))
    return chain(*map(_stage, x["stages"])) if "stages" in x else x


def _stage(part: Mapping[str, Any]) -> Stage:
    try:
        rule = constructor(part["rule"])
    except GradstepValueError:
        raise GradstepValueError(
            f"the config has the rule {part['rule']!r}, which is not registered; import what declares it, then load."
        ) from None
    return rule(name=part["name"], **{key: from_config(x) for key, x in part["hyper"].items()})
