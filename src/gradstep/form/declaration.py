"""Checks of a rule's declaration: its names, its two functions, and the update called with checking operands."""

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from gradstep.errors import RuleError
from gradstep.form.checking import ARRAY, Checked, Checker
from gradstep.form.diagonal import Diagonal
from gradstep.form.hyper import DOMAINS, Domain, checked
from gradstep.form.matrices import SHAPES, SQUARES, identity_factor
from gradstep.naming import is_whole, unknown

# What gradstep.testing holds every rule to, by name: an exception names one of them.
LAWS = (
    "form", "equation", "namespaces", "compiled_equals_eager", "oracle", "defaults", "units", "purity",
    "refuses_nonfinite", "odd_symmetry", "nonnegative_slots", "first_step_descends", "zero_rate_keeps_theta",
    "smaller_state", "concatenation", "groups_and_chain", "sharding",
)  # fmt: skip


def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a function's parameters."""
    return tuple(inspect.signature(function).parameters)


def declared_hyper(
    owner: str, scalars: Callable[..., Any], early: Callable[..., Any] | None
) -> tuple[Mapping[str, Any], Mapping[str, Domain]]:
    """Return the defaults and domains of the hyperparameters: the parameters that have a default.

    Raises
    ------
    RuleError
        When ``early`` and ``scalars`` give one hyperparameter two defaults.
    """
    defaults: dict[str, Any] = {}
    domains: dict[str, Domain] = {}
    for function in (scalars, *(() if early is None else (early,))):
        for key, x in inspect.signature(function, eval_str=True).parameters.items():
            if x.default is x.empty:
                continue
            if defaults.setdefault(key, x.default) != x.default:
                raise RuleError(f"rule {owner}: {key} is {defaults[key]} in scalars() and {x.default} in early().")
            own = [y for y in getattr(x.annotation, "__metadata__", ()) if isinstance(y, Domain)]
            if own or key in DOMAINS:
                domains[key] = own[0] if own else DOMAINS[key]
    return MappingProxyType(defaults), MappingProxyType(domains)


def examine(made: Any) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, int]]:
    """Refuse a rule whose parts do not fit together, or that its call with checking operands shows to be badly formed.

    Parameters
    ----------
    made
        A :class:`gradstep.rule.Rule`, as it was declared.

    Returns
    -------
    early, numbers, operations
        Names of the scalars that the update takes, those known before the sums first; how often it does what.

    Raises
    ------
    RuleError
        With the name, the operation, or the function at fault.
    """
    owner = made.name
    _check_names(made)
    known: dict[str, Any] = {key: _sample(owner, key, x, made.domains.get(key)) for key, x in made.defaults.items()}
    known |= {**made.memory, "t": 1, **dict.fromkeys(made.per_step, 1.0)}
    early = {} if made.early is None else _numbers(made, "early", made.early, known)
    out = _numbers(made, "scalars", made.scalars, {**known, **early})
    if made.clips is not None and made.clips not in out:
        raise RuleError(f"rule {owner}: clips={made.clips!r} is none of the numbers that scalars() returns.")
    if missing := made.memory.keys() - out.keys():
        raise RuleError(f"rule {owner}: scalars() must return the new value of its memory {min(missing)}.")
    if twice := early.keys() & out.keys():
        raise RuleError(f"rule {owner}: early() and scalars() both return {min(twice)}; leave it to one of them.")
    numbers = tuple(key for key in out if key not in made.memory)
    named = [*made.state, *made.defaults, *made.memory, *made.per_step, *early, *numbers]
    _check_known(owner, "symbols", made.symbols, named)
    first, takes = made.arrays, parameters(made.update)
    if takes[: len(first)] != first or set(takes[len(first) :]) != {*early, *numbers}:
        raise RuleError(
            f"rule {owner}: update takes {takes}, but must take {(*first, *early, *numbers)}: "
            f"{'before, ' * bool(made.wraps)}theta, g, state, {'what is drawn, ' * (made.random is not None)}scalars."
        )
    checker = Checker(owner, made.whole)
    operands = dict(zip(made.arrays, operands_of(made, checker), strict=True))
    operands |= {key: checker.scalar(key) for key in early}
    seen = {key: x for key, x in operands.items() if key != made.random}
    for key, measure in made.measure.items():
        some = {x: operands[x] for x in _known(made, f"the sum {key}", measure, seen)}
        _check_result(owner, f"the sum {key}", (_call(owner, f"the sum {key}", measure, **some),), (key,))
    checker.operations.clear()  # the cost is that of the update alone
    operands |= {key: checker.scalar(key) for key in numbers}
    result = _call(owner, "update", made.update, **{key: operands[key] for key in takes})
    _check_result(owner, "update", result, ("theta", "g", *made.state))
    for key, x in zip(("theta", "g", *made.state), result, strict=True) if made.whole else ():
        if x.shape != operands[key].shape:
            raise RuleError(f"rule {owner}: update returns {x} as {key}, which has another shape than {key}.")
    operations = dict(checker.operations)
    if made.longest is not None:
        _check_long_sides(made, {**early, **out})
    if made.read is not None:
        shown = {key: x for key, x in operands.items() if key not in ("before", "g", made.random)}
        shown = {key: shown[key] for key in _known(made, "read", made.read, shown)}
        average = _call(owner, "read", made.read, **shown)
        _check_result(owner, "read", (average,), ("average",))
        if made.whole and average.shape != operands["theta"].shape:
            raise RuleError(f"rule {owner}: read returns {average}, which has another shape than theta.")
        _check_known_from_t(made, known, [key for key in shown if key in (*early, *numbers)])
    return tuple(early), numbers, operations


def operands_of(made: Any, checker: Checker) -> list[Checked]:
    """Return operands for the arrays that the update takes, in their order."""
    return [checker.array(key, made.shapes.get(key, "rows columns")) for key in made.arrays]


def _check_long_sides(made: Any, numbers: Mapping[str, Any]) -> None:
    """Refuse an update that needs the whole square of a side of which the diagonal alone is kept."""
    long = replace(made, longest=1)
    arrays = {key: np.ones(long.slot_shape(key, (3, 2))) for key in made.arrays}
    squares = [key for key in made.state if made.shapes.get(key) in SQUARES]
    arrays |= {key: Diagonal(arrays[key]) for key in squares}
    others = {key: np.asarray(x, np.float64) for key, x in numbers.items() if key not in made.memory}
    with np.errstate(all="ignore"):
        result = _call(made.name, "update, of sides above longest=,", made.update, **arrays, **others)
    for key, x in zip(made.state, result[2:], strict=True):
        if isinstance(x, Diagonal) != (key in squares):
            raise RuleError(f"rule {made.name}: update gives no diagonal as {key} where a side is above longest=.")


def _check_known_from_t(made: Any, known: Mapping[str, Any], asked: Sequence[str]) -> None:
    """Refuse a ``read`` that asks for scalars that no longer can be known after a step."""

    def host(t: int, factor: float) -> dict[str, float]:
        hyper = {key: known[key] for key in made.defaults}
        memory = {key: factor * x + factor - 1 for key, x in made.memory.items()}
        return made.host(t, hyper, memory, dict.fromkeys(made.per_step, factor), (*asked,))[0]

    for key in asked:
        if any(host(t, 1.0)[key] != host(t, 1.25)[key] for t in (1, 2, 3)):
            raise RuleError(
                f"rule {made.name}: read asks for {key}, which depends on what is summed or remembered; after a step "
                f"only what t and the hyperparameters give is known."
            )


def _check_names(made: Any) -> None:
    owner = made.name
    own = [*made.state, *made.defaults]
    _check_known(owner, "units", made.units, [*own, *made.takes, "g"])
    _check_known(owner, "start", made.start, made.state)
    _check_known(owner, "nonnegative", made.nonnegative, made.state)
    _check_known(owner, "exceptions", made.exceptions, LAWS)
    for key, unit in made.units.items():
        _check_known(owner, f"units of {key}", [x.strip() for x in re.split("[*/]", unit)], ("theta", "g", "1"))
    drawn = [] if made.random is None else [made.random]
    named = [*made.state, *made.memory, *made.defaults, *made.per_step, *drawn]
    for key in named:
        if key in ("before", "theta", "g", "t", "name") or named.count(key) > 1:
            raise RuleError(f"rule {owner}: the name {key} is taken; choose another for the slot or hyperparameter.")
    if bool(made.measure) != (made.over is not None):
        raise RuleError(f'rule {owner}: reduce= and over="tensor" or "all" belong together.')
    if made.early is not None and not made.measure:
        raise RuleError(f"rule {owner}: early= is for numbers that reduce= needs; without it scalars() gives them all.")
    if made.wraps and made.kind == "rule":
        raise RuleError(f"rule {owner}: wraps= is for a stage behind a rule; declare it by @stage.")
    if made.wraps not in (False, True, "all"):
        raise RuleError(f"rule {owner}: wraps= is True, or 'all' for all that stands before it; not {made.wraps!r}.")
    if made.wraps == "all" and made.measure:
        raise RuleError(f"rule {owner}: wraps='all' goes not with reduce=; wraps=True does.")
    if made.inputs and (made.wraps or made.whole or made.read is not None):
        raise RuleError(f"rule {owner}: inputs= goes with neither wraps=, whole= nor read=.")
    if made.every is not None and (made.every not in made.memory or made.measure or made.kind == "rule"):
        raise RuleError(f"rule {owner}: every= names a memory number of a stage without reduce= that counts calls.")
    if (made.shapes or made.axes is not None or made.folds is not None or made.fewest) and not made.whole:
        raise RuleError(f"rule {owner}: shapes=, axes=, folds= and fewest= are for rules of whole arrays (whole=True).")
    if made.folds not in (None, "first", "last") and not (is_whole(made.folds) and made.folds > 0):
        raise RuleError(
            f"rule {owner}: folds= is 'first' or 'last', the axis that stays one, or a number; not {made.folds!r}."
        )
    if made.folds is not None and ((made.shapes and not is_whole(made.folds)) or made.read is not None):
        raise RuleError(f"rule {owner}: folds= goes with neither shapes= nor read=; a number goes with shapes=.")
    if made.longest is not None and not (
        is_whole(made.longest) and made.longest > 0 and {*made.shapes.values()} & {*SQUARES}
    ):
        raise RuleError(
            f"rule {owner}: longest= is the longest side, at least 1, of the squares that shapes= declares."
        )
    if not made.vectors and made.longest is None:
        raise RuleError(f"rule {owner}: vectors=False is for rules with longest=, which know diagonals.")
    if made.whole and made.measure:
        raise RuleError(f"rule {owner}: a rule of whole arrays has no reduce=; it sees all elements: mean, max, norm.")
    if made.whole and made.wraps:
        raise RuleError(
            f"rule {owner}: a stage of whole arrays has no wraps=; an elementwise stage may wrap such a rule."
        )
    for key, word in made.shapes.items():
        if key not in made.state or word not in SHAPES:
            raise RuleError(
                f"rule {owner}: the shape of {key} is {word!r}; shapes= is for slots, and knows {', '.join(SHAPES)}."
            )
    for key, how in made.start.items():
        _check_start(made, key, how)
    if made.clips is not None and made.over is None:
        raise RuleError(f"rule {owner}: clips= names the factor that a sum gives, and there is no reduce=.")
    if made.bounds is not None and made.bounds not in made.defaults:
        raise RuleError(f"rule {owner}: bounds={made.bounds!r} is none of its hyperparameters.")


def _check_known(owner: str, option: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse a name in an option that stands for nothing, with close matches."""
    for key in given:
        if not known:
            raise RuleError(f"rule {owner}: {option}= has {key!r}, and the rule has no slot.")
        if key not in known:
            raise RuleError(str(unknown(f"rule {owner}: {option}= has", key, known)))


def _check_start(made: Any, key: str, how: Any) -> None:
    """Refuse a start that there is not, or that does not have the slot's shape."""
    owner, word, factor = made.name, made.shapes.get(key), identity_factor(how)
    if factor is not None:
        if word not in SQUARES:
            raise RuleError(
                f"rule {owner}: {key} cannot start as {how!r}; an identity is for the shapes {' and '.join(SQUARES)}."
            )
        if factor and factor not in made.defaults:
            raise RuleError(f"rule {owner}: {key} starts as {how!r}, and {factor!r} is no hyperparameter.")
    elif isinstance(how, str) and how != "theta" and how not in made.defaults:
        raise RuleError(
            f'rule {owner}: {key} cannot start as {how!r}; a start is a number, a hyperparameter, "theta", "identity" '
            f"or a function of theta."
        )
    elif word is not None and (how == "theta" or callable(how)):
        raise RuleError(f"rule {owner}: {key} has another shape than theta, and cannot start from it.")


def _numbers(made: Any, name: str, function: Callable[..., Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``scalars`` or ``early`` gives for sample values."""
    have = known if name == "scalars" else {key: x for key, x in known.items() if key not in made.per_step}
    asked = _known(made, f"{name}()", function, have)
    out = _call(made.name, name, function, **{key: have[key] for key in asked})
    if not isinstance(out, dict):
        raise RuleError(f"rule {made.name}: {name}() must return a dict of numbers, not {out!r}.")
    return out


def _known(made: Any, what: str, function: Callable[..., Any], known: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a function asks for; an error where that is not there."""
    asked = parameters(function)
    for key in asked:
        if key not in known:
            is_host = what in ("scalars()", "early()")
            hint = f" A hyperparameter has its default there: {key}=0.9, or {key}=shared." if is_host else ""
            raise RuleError(f"rule {made.name}: {what} asks for {key}, which is none of {sorted(known)}.{hint}")
    return asked


def _call(owner: str, function: str, call: Callable[..., Any], *operands: Any, **scalars: Any) -> Any:
    """Call a function of a rule with checking operands; an exception that it raises is an error of the rule."""
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


def _sample(owner: str, key: str, value: Any, domain: Domain | None) -> float:
    """Return a value for the checking call, also where no default is given."""
    if value is None:
        return 0.5
    if callable(value):
        raise RuleError(
            f"rule {owner}: the default of {key} must be a number; schedules are given where the rule is used."
        )
    checked(key, value, f"{owner}, default", domain)
    return value
