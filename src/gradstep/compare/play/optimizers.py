"""The optimizers that can be played with: all rules, and all constructors of other libraries, each with its knobs.

What a constructor's argument does is found by calling it: an argument is a knob where one hyperparameter of the stage
takes the value given, and a switch where the stage becomes another. So nothing about other libraries is written here.
"""

import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from gradstep.chain import program
from gradstep.compare.play.knobs import SWITCH, Knob, stops
from gradstep.conventions import LIBRARIES, constructor, stage_of
from gradstep.errors import GradstepError
from gradstep.hyper import Domain
from gradstep.naming import unknown
from gradstep.rule import Rule, Stage, registry
from gradstep.text import Named

Arguments = Mapping[str, Any]
_RATE = "learning_rate"
_MARKS = (0.4321, 5.4321)  # values that nothing has by chance; the second for what must be large
_PAIR = (0.4321, 0.8765)
_REQUIRED = {"momentum": 0.9}  # of arguments without a default; all others of them are rates, where 1 is Adadelta's
_ANYTHING = Domain(-math.inf)


@dataclass(frozen=True)
class Kind:
    """What there is under an optimizer's name.

    Attributes
    ----------
    knobs
        By name; hyperparameters of a rule, arguments of a constructor (``betas`` as ``beta1`` and ``beta2``).
    rate
        The name of the learning rate.
    unit
        Of the learning rate; empty where its default fits all problems.
    pairs
        Arguments that hold two of the knobs, with their names.
    required
        Arguments without a default, with a value for each.
    """

    name: str
    knobs: Mapping[str, Knob]
    rate: str
    unit: str
    pairs: Mapping[str, tuple[str, str]]
    required: Arguments

    def stage(self, numbers: Mapping[str, float]) -> Stage:
        """The stage with these numbers; all others have their defaults."""
        given: dict[str, Any] = {**self.required, **numbers}
        for argument, names in self.pairs.items():
            if any(name in given for name in names):
                given[argument] = tuple(given.pop(name, self.knobs[name].default) for name in names)
        for key in given:
            if key in self.knobs and self.knobs[key].is_switch:
                given[key] = bool(given[key])
        return stage_of(self.name, given)


@dataclass(frozen=True)
class Player:
    """An optimizer with all its numbers.

    Attributes
    ----------
    label
        As it was written: ``adam:lr=0.1``.
    given
        The numbers that were written.
    numbers
        Of all knobs, the defaults among them.
    """

    label: str
    kind: Kind
    given: Mapping[str, float]
    numbers: Mapping[str, float]
    stage: Stage

    def __str__(self) -> str:
        """The stage with the values of all hyperparameters."""
        made = program(self.stage)
        texts = [
            f"{part.label}({', '.join(f'{key}={made.hyper[flat]:g}' for key, flat in keys.items())})"
            for part, keys in zip(made.parts, made.keys, strict=True)
        ]
        return ", then ".join(texts)


def names() -> dict[str, list[str]]:
    """The names of all of them, by who calls them so."""
    import_module("gradstep.variants")  # which registers more rules
    found: dict[str, list[str]] = {"rules": [], "variants": []}
    for name, made in registry().items():
        whose = made.module.split(".")[1]
        if whose in found:  # and not a rule of the user's own, which may do anything
            found[whose].append(name)
    for library in LIBRARIES:
        found[library] = [f"{library}.{name}" for name in import_module(f"gradstep.conventions.{library}").__all__]
    return found


def choose(named: Named, scale: Mapping[str, float]) -> Player:
    """The optimizer of that name with its numbers; the learning rate, if none is given, is that of the surface's scale.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For unknown names and numbers out of range.
    """
    kind = known(named.name)
    numbers = {name: knob.default for name, knob in kind.knobs.items()}
    given: dict[str, float] = {}
    for name, x in named.values:
        if name not in kind.knobs:
            raise unknown(f"{named.name}: unknown hyperparameter", name, kind.knobs)
        given[name] = kind.knobs[name].checked(x, named.name)
    if kind.unit in scale and kind.rate not in given:
        given[kind.rate] = scale[kind.unit]
    numbers.update(given)
    return Player(str(named), kind, dict(named.values), numbers, kind.stage(given))


@cache
def known(name: str) -> Kind:
    """What there is under a name.

    Raises
    ------
    GradstepValueError
        When there is nothing.
    """
    listed = [x for group in names().values() for x in group]
    if name not in listed:
        raise unknown("unknown optimizer", name, listed)
    make = constructor(name)
    if isinstance(make, Rule):
        defaults = {key: x for key, x in make.defaults.items() if isinstance(x, float)}
        knobs = {key: _number(key, x, key) for key, x in defaults.items()}
        return Kind(name, knobs, "lr", _unit(make()), {}, {})
    return _probed(name, make)


def _probed(name: str, make: Callable[..., Stage]) -> Kind:
    """The knobs of a constructor, found by what its arguments do."""
    parameters = [x for x in inspect.signature(make).parameters.values() if x.kind is not x.VAR_KEYWORD]
    base = {x.name: _REQUIRED.get(x.name, 1.0) for x in parameters if _is_required(x)}
    # Some arguments matter only beside others, such as nesterov= beside momentum=: each is tried beside each number.
    settings = [
        base,
        *({**base, x.name: 0.5} for x in parameters if x.default is None or _is_number(x.default)),
    ]
    knobs: dict[str, Knob] = {}
    pairs: dict[str, tuple[str, str]] = {}
    rate = _RATE
    for x in parameters:
        if isinstance(x.default, bool):
            if any(_differs(make, setting, x.name, not x.default) for setting in settings):
                knobs[x.name] = Knob(x.name, float(x.default), SWITCH, (0.0, 1.0), is_whole=True, is_switch=True)
        elif isinstance(x.default, tuple):
            first, second = (_taken(make, [base], x.name, _PAIR, mark) for mark in _PAIR)
            if first and second:
                pairs[x.name] = first, second
                knobs |= {key: _number(key, start, key) for key, start in zip(pairs[x.name], x.default, strict=True)}
        elif x.default is None or _is_required(x) or _is_number(x.default):
            key = next(filter(None, (_taken(make, settings, x.name, mark, mark) for mark in _MARKS)), None)
            if key is not None:
                start = float(x.default or 0.0) if x.name not in base else base[x.name]
                knobs[x.name] = _number(x.name, start, key)
                rate = x.name if key == "lr" else rate
    return Kind(name, knobs, rate, _unit(make(**base)), pairs, base)


def _is_required(x: inspect.Parameter) -> bool:
    return x.default is x.empty or (x.name, x.default) == (_RATE, None)


def _number(name: str, default: float, key: str) -> Knob:
    own = key.rpartition(".")[2]
    domain = next((x.domains[own] for x in registry(None).values() if own in x.domains), _ANYTHING)
    return Knob(name, float(default), domain, stops(own, domain))


def _unit(stage: Stage) -> str:
    """The unit of the learning rate, given what the stages before hand on."""
    handed_on = "g"
    for part in stage.parts:
        if "lr" in part.rule.defaults and part.rule.kind == "rule":
            if part.rule.name == "adadelta":  # it finds the scale itself
                return ""
            return "theta" if handed_on == "1" else part.rule.units["lr"]
        handed_on = part.rule.units.get("g", handed_on)
    return ""


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool)


def _made(make: Callable[..., Stage], arguments: Arguments) -> Stage | None:
    """What a constructor gives for these arguments; None where it refuses or ignores one."""
    try:
        return _quietly(lambda: make(**arguments))
    except (GradstepError, UserWarning):
        return None


def _quietly(make: Callable[[], Stage]) -> Stage:
    """The stage; a note that an argument is ignored is an error here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return make()


def _differs(make: Callable[..., Stage], setting: Arguments, name: str, value: Any) -> bool:
    stage, other = _made(make, setting), _made(make, {**setting, name: value})
    return stage is not None and other is not None and repr(stage) != repr(other)


def _taken(make: Callable[..., Stage], settings: Sequence[Arguments], name: str, value: Any, mark: float) -> str | None:
    """The hyperparameter that becomes ``mark`` when this argument is given this value."""
    for setting in settings:
        stage = _made(make, {**setting, name: value})
        if stage is not None:
            key = next((key for key, x in program(stage).hyper.items() if x == mark), None)
            if key is not None:
                return key
    return None
