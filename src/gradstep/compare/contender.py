"""An optimizer as it is written for a comparison: a rule or another library's constructor, with what is held."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradstep.conventions import described
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.rule import Rule, Stage, refuse_method, registry
from gradstep.naming import unknown
from gradstep.text import Named

if TYPE_CHECKING:
    from gradstep.conventions.constructor import Constructor


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
        """The hyperparameters that the label gives."""
        return dict(self.named.values)

    @property
    def constructor(self) -> "Constructor[...]":
        """The constructor that the name stands for."""
        return described(self.named.name)

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The numbers and switches that it takes, with their defaults; None where there is none."""
        return {key: None if x.is_required else x.default for key, x in self.constructor.numbers.items()}

    @property
    def rate(self) -> str | None:
        """The name of the learning rate here."""
        return self.constructor.rate

    def stage(self, hyper: Mapping[str, float]) -> Stage:
        """Return the optimizer itself, with these hyperparameters beside those that are held.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            For what it does not take, and what it needs.
        """
        made = self.constructor
        return made(**made.arguments({**self.held, **hyper}))

    @cached_property
    def rules(self) -> list[Rule]:
        """The rules up to that which moves the parameters, the last one if there are several."""
        return moving(self._sample)

    @property
    def mover(self) -> Rule:
        """The rule that moves the parameters."""
        return self.rules[-1]

    @cached_property
    def unit(self) -> str:
        """The unit of its learning rate, in terms of ``theta`` and ``g``."""
        return rate_unit(self._sample)

    @cached_property
    def _sample(self) -> Stage:
        """The stage with the rule's default for a learning rate that must be given."""
        return self.constructor.stage(self.constructor.arguments(self.held))


def moving(stage: Stage) -> list[Rule]:
    """Return the rules of a chain up to the last one that moves the parameters; none where nothing does."""
    rules = [part.rule for part in stage.parts]
    last = max((k for k, rule in enumerate(rules) if rule.kind == "rule"), default=-1)
    return rules[: last + 1]


def rate_unit(stage: Stage) -> str:
    """Return the unit of a chain's learning rate: theta's, where a stage before the rule makes g a pure number."""
    *before, mover = moving(stage)
    unit = mover.units.get("lr", "")
    is_pure = any(rule.units.get("g") == "1" for rule in before)
    return "theta" if is_pure and unit == "theta/g" else unit


def contender(named: Named) -> Contender:
    """Return the contender of a name, with all that can be wrong in it found.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For unknown names and hyperparameters, values out of range, and stages that move nothing.
    """
    if "." not in named.name:
        if named.name not in (known := registry()):
            import_module("gradstep.variants")  # which registers more
        if named.name not in registry():
            refuse_method(named.name)
            raise unknown("unknown optimizer", named.name, known)
    made = Contender(named)
    rules = moving(made.constructor.stage(made.constructor.arguments(made.held)))
    if asked := [(rule.name, key) for rule in rules for key in rule.inputs]:
        name, key = asked[0]
        raise GradstepValueError(f"{name} takes {key} beside the gradient, and problems give gradients alone.")
    for key in made.constructor.required:
        if key not in (made.rate, *made.held):
            raise GradstepTypeError(f"{named.name}: missing a required argument: {key!r}; write {named.name}:{key}=...")
    if not rules:
        raise GradstepValueError(f"{named.name} moves no parameters; give an optimizer such as adam.")
    return made
