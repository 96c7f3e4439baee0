"""An optimizer as it is written for a comparison: a rule or another library's constructor, with what is held."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradstep.compare.own_stage import is_file, own_constructor, stand_in
from gradstep.compare.record import Source
from gradstep.compare.shapes import DEFAULT_SHARE, SHARE, check_shape, over_a_run
from gradstep.conventions import described
from gradstep.errors import GradstepError, GradstepTypeError, GradstepValueError
from gradstep.form.rule import LISTED, Rule, Stage, refuse_method, registry
from gradstep.naming import unknown
from gradstep.text import Named

if TYPE_CHECKING:
    from gradstep.conventions.constructor import Constructor


@dataclass(frozen=True)
class Contender:
    """An optimizer to compare: ``adam``, ``momentum:momentum=0.95``, ``adamw:lr=cosine``, ``keras.Adam``, ``my.py:f``.

    Attributes
    ----------
    named
        The name, and what is held; of a file its name alone.
    source
        The file, for a rule or chain of the user's own.
    is_absent
        Whether that cannot be had here: then it has nothing but its name, its rate's name and what is held.
    """

    named: Named
    source: Source | None = None
    is_absent: bool = False

    @property
    def label(self) -> str:
        """As it is written."""
        return str(self.named)

    @property
    def held(self) -> dict[str, float]:
        """The numbers that the label gives."""
        return dict(self.named.values)

    @property
    def shape(self) -> str | None:
        """The name of the schedule over a run whose peak the learning rate is; None where it is constant."""
        return dict(self.named.words).get(self.rate or "")

    @cached_property
    def constructor(self) -> "Constructor[...]":
        """The constructor that the name stands for.

        Raises
        ------
        ChangedError, GradstepError
            For a file that is no longer what it was, or no longer there.
        """
        if self.source is None:
            return described(self.named.name)
        if self.is_absent:
            return stand_in(self.label, self.source.rate, self.held)
        return own_constructor(f"{self.source.path}:{self.named.name.rpartition(':')[2]}", self.source.sha256)[0]

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The numbers and switches that it takes, with their defaults; None where there is none."""
        return {key: None if x.is_required else x.default for key, x in self.constructor.numbers.items()}

    @property
    def rate(self) -> str | None:
        """The name of the learning rate here."""
        return self.constructor.rate

    def stage(self, hyper: Mapping[str, float], steps: int = 1) -> Stage:
        """Return the optimizer itself, with these hyperparameters beside those that are held.

        Parameters
        ----------
        hyper
            Numbers by name.
        steps
            Of the run, over which a schedule goes.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            For what it does not take, and what it needs.
        """
        made = self.constructor
        numbers: dict[str, Any] = {**self.held, **hyper}
        if self.shape is not None:
            share = numbers.pop(SHARE, DEFAULT_SHARE)
            peak = numbers.get(self.rate or "", self.defaults[self.rate or ""])
            numbers[self.rate or ""] = over_a_run(self.shape, 1.0 if peak is None else peak, steps, share)
        return made(**made.arguments(numbers))

    @cached_property
    def rules(self) -> list[Rule]:
        """The rules up to that which moves the parameters, the last one if there are several."""
        return moving(self.sample)

    @property
    def mover(self) -> Rule:
        """The rule that moves the parameters."""
        return self.rules[-1]

    @cached_property
    def unit(self) -> str:
        """The unit of its learning rate, in terms of ``theta`` and ``g``."""
        return rate_unit(self.sample)

    @cached_property
    def sample(self) -> Stage:
        """The stage with the rule's default for a learning rate that must be given."""
        held = {key: x for key, x in self.held.items() if key != SHARE or self.shape is None}
        return self.constructor.stage(self.constructor.arguments(held))


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


def kept_contender(named: Named, source: Source | None) -> Contender:
    """Return the contender of a name in a study, which can be read where a file of the user's own is not."""
    try:
        return contender(named, source)
    except GradstepError:
        if source is None:
            raise
        return Contender(named, source, is_absent=True)


def contender(named: Named, source: Source | None = None) -> Contender:
    """Return the contender of a name, with all that can be wrong in it found.

    Parameters
    ----------
    named
        The name, and what is held. That of a file, ``FILE.py:NAME``, may have a path.
    source
        The file as it was when a study began; None: as it is now.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For unknown names and hyperparameters, values out of range, and stages that move nothing.
    """
    if is_file(named.name):
        if source is None:
            made, path, sha256 = own_constructor(named.name)
            source = Source(str(path), sha256, rate=made.rate)
        named = replace(named, name=f"{Path(source.path).name}:{named.name.rpartition(':')[2]}")
    elif "." not in named.name:
        if named.name not in (known := registry()):
            import_module("gradstep.variants")  # which registers more
        if named.name not in registry():
            refuse_method(named.name)
            raise unknown("unknown optimizer", named.name, known, LISTED)
    made = Contender(named, source)
    for key, word in named.words:
        if key != made.rate:
            raise GradstepValueError(f"{named.name}: {key} must be a number, not {word!r}.")
        check_shape(named.name, word, made.held)
    rules = moving(made.sample)
    if asked := [(rule.name, key) for rule in rules for key in rule.inputs]:
        name, key = asked[0]
        raise GradstepValueError(f"{name} takes {key} beside the gradient, and problems give gradients alone.")
    for key in made.constructor.required:
        if key not in (made.rate, *made.held):
            raise GradstepTypeError(f"{named.name}: missing a required argument: {key!r}; write {named.name}:{key}=...")
    if not rules:
        raise GradstepValueError(f"{named.name} moves no parameters; give an optimizer such as adam.")
    return made
