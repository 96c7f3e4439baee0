"""The optimizers that can be played with: all rules, and all constructors of other libraries, each with its knobs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradstep.compare.contender import moving, rate_unit
from gradstep.compare.own_stage import own_constructor
from gradstep.compare.show.play.knobs import SWITCH, Knob, stops
from gradstep.conventions import constructors, described
from gradstep.errors import GradstepValueError
from gradstep.form.chain import program
from gradstep.form.hyper import Domain
from gradstep.form.rule import Stage, registry
from gradstep.naming import unknown
from gradstep.text import Named

if TYPE_CHECKING:
    from gradstep.conventions.constructor import Argument, Constructor

_ANYTHING = Domain(-math.inf)


@dataclass(frozen=True)
class Kind:
    """The optimizer that a name stands for.

    Attributes
    ----------
    knobs
        By name: its numbers and switches, ``betas`` as ``beta1`` and ``beta2``.
    unit
        Of the learning rate; empty where its default fits all problems.
    """

    name: str
    constructor: "Constructor[...]"
    knobs: Mapping[str, Knob]
    unit: str

    @property
    def rate(self) -> str:
        """The name of the learning rate."""
        return self.constructor.rate or "lr"

    def stage(self, numbers: Mapping[str, float]) -> Stage:
        """Return the stage with these numbers; all others have their defaults."""
        return self.constructor.stage(self.constructor.arguments(numbers))


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
        package, _, rest = made.module.partition(".")
        whose = rest.partition(".")[0]
        if (
            package == "gradstep" and whose in found and not made.inputs
        ):  # and not a rule of the user's own, which may do anything
            found[whose].append(name)
    found |= {library: [x for x in own if _takes_points(x)] for library, own in constructors().items()}
    return ({"your own": list(_own)} if _own else {}) | found


def _takes_points(name: str) -> bool:
    """True for a constructor whose stage steps a vector by its gradient alone."""
    return _is_for_points(described(name).stage({}))


def _is_for_points(stage: Stage) -> bool:
    return not any(part.is_for_matrices or part.rule.inputs for part in stage.parts)


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


def allow(name: str) -> None:
    """Make a file's rule or chain known, ``FILE.py:NAME``: one that the command line names, and never a request.

    Raises
    ------
    GradstepValueError, GradstepTypeError, UserCodeError
        As :func:`gradstep.compare.own_stage.own_constructor` does; for what does not move points by gradients.
    """
    made = own_constructor(name)[0]
    if not moving(made.stage({})):
        raise GradstepValueError(f"{name} moves no parameters; give an optimizer such as adam.")
    if not _is_for_points(made.stage({})):
        raise GradstepValueError(f"{name} needs matrices, or more than the gradient, and the page has points alone.")
    _own[name] = made


_own: "dict[str, Constructor[...]]" = {}


@cache
def known(name: str) -> Kind:
    """Return the optimizer of a name.

    Raises
    ------
    GradstepValueError
        For an unknown name.
    """
    listed = [x for group in names().values() for x in group]
    if name not in listed and name not in _own:
        raise unknown("unknown optimizer", name, listed)
    made = _own[name] if name in _own else described(name)
    stage, samples = made.stage({}), made.values({})
    knobs = {key: _knob(x, samples, stage) for key, x in made.numbers.items() if not x.is_shared}
    return Kind(name, made, knobs, "" if moving(stage)[-1].finds_scale else rate_unit(stage))


def _knob(x: "Argument", samples: Mapping[str, Any], stage: Stage) -> Knob:
    """The knob of an argument of a stage; ``samples`` has a number for one that must be given."""
    if x.kind == "switch":
        return Knob(x.name, float(x.default), SWITCH, (0.0, 1.0), is_whole=True, is_switch=True)
    own = [part.rule for part in stage.parts]  # a switch may choose others
    declared = (rule.domains.get(x.becomes[0]) for rule in (*own, *registry(None).values()))
    domain = next(filter(None, declared), _ANYTHING)
    default = x.there(samples[x.becomes[0]]) if x.is_required else x.default or 0.0
    turned = sorted(map(x.there, stops(x.becomes[0], domain)))
    return Knob(x.name, float(default), x.domain(domain), tuple(turned))
