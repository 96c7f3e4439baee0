"""Whether a rule is declared well: its names, its two functions, and what the update does with checking operands."""

import inspect
from collections.abc import Callable
from typing import Any

from gradstep.checking import ARRAY, Checked, Checker
from gradstep.errors import RuleError
from gradstep.hyper import Hyper, checked


def examine(made: Any) -> tuple[tuple[str, ...], dict[str, int]]:
    """Refuse a rule whose parts do not fit together, or that its call with checking operands shows to be badly formed.

    Parameters
    ----------
    made
        A :class:`gradstep.rule.Rule`, as it was declared.

    Returns
    -------
    numbers, operations
        Names of the scalars that the update takes; how often it does what.

    Raises
    ------
    RuleError
        With the name, the operation, or the function at fault.
    """
    owner = made.name
    _check_names(made)
    sample = {key: _sample(key, value) for key, value in made.defaults.items()}
    given = {**sample, **made.memory, "t": 1, "total": 1.0}
    out = _call(owner, "scalars", made.scalars, **{key: given[key] for key in made.arguments})
    if not isinstance(out, dict):
        raise RuleError(f"rule {owner}: scalars() must return a dict of numbers, not {out!r}.")
    if missing := made.memory.keys() - out.keys():
        raise RuleError(f"rule {owner}: scalars() must return the new value of its memory {min(missing)}.")
    numbers = tuple(key for key in out if key not in made.memory)
    takes = tuple(inspect.signature(made.update).parameters)
    first = ("theta", "g", *made.state)
    if takes[: len(first)] != first or set(takes[len(first) :]) != set(numbers):
        raise RuleError(
            f"rule {owner}: update takes {takes}, but must take {(*first, *numbers)}: theta, g, state, scalars."
        )
    checker = Checker(owner)
    arrays = [checker.array(key) for key in first]
    if made.measure is not None:
        _check_result(owner, "measure", (_call(owner, "measure", made.measure, *arrays[:2]),), ("measure",))
    checker.operations.clear()  # the cost is that of the update alone
    result = _call(owner, "update", made.update, *arrays, **{key: checker.scalar(key) for key in numbers})
    _check_result(owner, "update", result, first)
    operations = dict(checker.operations)
    if made.read is not None:
        _check_result(owner, "read", (_call(owner, "read", made.read, arrays[0], *arrays[2:]),), ("average",))
    return numbers, operations


def _check_names(made: Any) -> None:
    owner = made.name
    for key in {*made.units, *made.start} - {*made.defaults, *made.state, "g"}:
        raise RuleError(f"rule {owner}: {key} is declared in units or start, but is no hyperparameter or slot.")
    if strange := set(made.nonnegative) - set(made.state):
        raise RuleError(f"rule {owner}: nonnegative has {min(strange)}, which is none of its slots {made.state}.")
    named = [*made.state, *made.memory, *made.defaults]
    for key in named:
        if key in ("theta", "g", "t", "total", "name") or named.count(key) > 1:
            raise RuleError(f"rule {owner}: the name {key} is taken; choose another for the slot or hyperparameter.")
    if (made.measure is None) != (made.over is None):
        raise RuleError(f'rule {owner}: reduce= and over="tensor" or "all" belong together.')
    known = {"t", *made.memory, *made.defaults, *(["total"] if made.measure else [])}
    for key in made.arguments:
        if key not in known:
            raise RuleError(f"rule {owner}: scalars() asks for {key}, which is none of {sorted(known)}.")
    if made.bounds is not None and made.bounds not in made.defaults:
        raise RuleError(f"rule {owner}: bounds={made.bounds!r} is none of its hyperparameters.")


def _call(owner: str, function: str, call: Callable[..., Any], *operands: Any, **scalars: Any) -> Any:
    """What a function of a rule gives for checking operands; whatever it raises is an error of the rule."""
    try:
        return call(*operands, **scalars)
    except RuleError:
        raise
    except Exception as error:
        raise RuleError(
            f"rule {owner}: {function} fails when it is called to be checked ({type(error).__name__}: {error}); "
            f"what it may use is in gradstep.vocabulary."
        ) from error


def _check_result(owner: str, function: str, result: Any, names: tuple[str, ...]) -> None:
    if not isinstance(result, tuple) or len(result) != len(names):
        raise RuleError(f"rule {owner}: {function} must return {', '.join(names)}.")
    for key, x in zip(names, result, strict=True):
        if not (isinstance(x, Checked) and x.kind == ARRAY):
            raise RuleError(f"rule {owner}: {function} returns {x} as {key}, which is no array; combine it with one.")


def _sample(key: str, value: Hyper | None) -> float:
    """A value for the checking call where none is given."""
    if value is None:
        return 0.5
    if callable(value):
        raise RuleError(
            f"hyperparameter {key}: a default must be a number; schedules are given where the rule is used."
        )
    checked(key, value, "default")
    return value
