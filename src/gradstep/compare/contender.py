"""An optimizer as it is written for a comparison: a rule or another library's constructor, with what is held."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from gradstep.conventions import constructor, stage_of
from gradstep.errors import GradstepValueError
from gradstep.hyper import checked
from gradstep.naming import unknown
from gradstep.rule import Rule, Stage, registry
from gradstep.text import Named

RATES = ("lr", "learning_rate")  # what libraries call it


@dataclass(frozen=True)
class Contender:
    """``adam``, ``momentum:momentum=0.95``, ``keras.RMSprop``: a name, and the hyperparameters that are held."""

    named: Named

    @property
    def label(self) -> str:
        """As it is written."""
        return str(self.named)

    @property
    def held(self) -> dict[str, float]:
        """What the label gives."""
        return dict(self.named.values)

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """Arguments by name, with their defaults; None where there is none."""
        made = constructor(self.named.name)
        if isinstance(made, Rule):
            return made.defaults
        empty = inspect.Parameter.empty
        arguments = inspect.signature(made).parameters.values()
        return {x.name: None if x.default is empty else x.default for x in arguments if x.kind is not x.VAR_KEYWORD}

    @property
    def rate(self) -> str | None:
        """What the learning rate is called here."""
        return next((name for name in RATES if name in self.defaults), None)

    def stage(self, hyper: Mapping[str, float]) -> Stage:
        """The optimizer itself, with these hyperparameters beside those that are held.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            For what it does not take.
        """
        return stage_of(self.named.name, {**self.held, **hyper})

    @property
    def moves(self) -> bool:
        """Whether there is a rule in it that moves the parameters."""
        return bool(self._parts)

    @property
    def mover(self) -> Rule:
        """That rule."""
        return self._parts[-1]

    @cached_property
    def unit(self) -> str:
        """Of its learning rate, in terms of ``theta`` and ``g``; where a stage before it makes g a pure number, so."""
        unit = self.mover.units.get("lr", "")
        pure = any(rule.units.get("g") == "1" for rule in self._parts[:-1])
        return "theta" if pure and unit == "theta/g" else unit

    @cached_property
    def _parts(self) -> list[Rule]:
        """Its rules and stages up to the one that moves."""
        missing = {self.rate: 0.1} if self.rate and self.defaults[self.rate] is None else {}
        rules = [part.rule for part in self.stage({**missing, **self.held}).parts]
        last = max((k for k, rule in enumerate(rules) if rule.kind == "rule"), default=-1)
        return rules[: last + 1]


def contender(named: Named) -> Contender:
    """The contender of a name, with all that can be wrong in it found.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For unknown names and hyperparameters, values out of range, and stages that move nothing.
    """
    if "." not in named.name:
        known = registry()
        if named.name not in known:
            import_module("gradstep.variants")  # which registers more
        if named.name not in registry():
            raise unknown("unknown optimizer", named.name, known)
        rule = registry()[named.name]
        for key, value in named.values:
            if key not in rule.defaults:
                raise unknown(f"{rule.name}: unknown hyperparameter", key, rule.defaults)
            checked(key, value, rule.name, rule.domains.get(key))
    made = Contender(named)
    for key in made.held:
        if key not in made.defaults:
            raise unknown(f"{named.name}: unknown argument", key, made.defaults)
    if not made.moves:
        raise GradstepValueError(f"{named.name} moves no parameters; give an optimizer such as adam.")
    return made
