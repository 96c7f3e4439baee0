"""Hyperparameters under the names by which another library's groups hold them: a rule's own, or its constructor's."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gradstep.chain import chain, program
from gradstep.conventions import constructor, stage_of
from gradstep.conventions.common import number
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.hyper import DOMAINS, Hyper, checked
from gradstep.rule import Rule, Stage, lookup

DECAY = "weight_decay"
KNOWN = {*DOMAINS, "betas"}  # names that stand for hyperparameters wherever they are met


class Setting(NamedTuple):
    """A stage, and the hyperparameters that it is to run with, by their flat names."""

    stage: Stage
    hyper: Mapping[str, Hyper]

    @property
    def form(self) -> tuple[Any, ...]:
        """What is alike in settings that differ by numbers alone."""
        return tuple((part.rule, part.label) for part in self.stage.parts)


class Settings:
    """What the values of groups of parameters stand for.

    Parameters
    ----------
    rule
        A rule's name, another library's constructor (``"torch.Adam"``), or a stage.
    hyper
        Values that differ from the defaults; none beside a stage.

    Attributes
    ----------
    defaults
        The arguments of a constructor, else the hyperparameters by their flat names.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For unknown names, values out of range, and schedules.
    """

    def __init__(self, rule: str | Rule | Stage, hyper: Mapping[str, Any]) -> None:
        self._rule, self._stage = rule, stage_of(rule, hyper)
        self._constructor = rule if isinstance(rule, str) and not isinstance(constructor(rule), Rule) else None
        self.defaults: dict[str, Any] = dict(program(self._stage).hyper)
        if self._constructor:
            known = inspect.signature(constructor(self._constructor)).parameters.values()
            self.defaults = {x.name: x.default for x in known if x.default is not x.empty} | dict(hyper)
        self.of([self.defaults])

    def of(self, groups: Sequence[Mapping[str, Any]]) -> list[Setting]:
        """The stage and the hyperparameters that each group's values stand for."""
        decays = any(values.get(DECAY) for values in groups)
        return [self._of(values, f"group {k}", decays) for k, values in enumerate(groups)]

    def values(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """The hyperparameters among a group's entries; tensors, which may change in place, as numbers."""
        return {key: number(group[key]) for key in self.defaults if key in group}

    def check(self, group: Mapping[str, Any], owner: str) -> None:
        """Refuse hyperparameters that this optimizer does not have; other entries of a group are its owner's affair."""
        for key in group:
            if key in KNOWN and key not in self.defaults:
                raise GradstepValueError(
                    f"{owner}: {key} is no hyperparameter of {self._rule!r}; it has {', '.join(self.defaults)}."
                )

    def _of(self, group: Mapping[str, Any], owner: str, decays: bool) -> Setting:
        values = self.values(group)
        if missing := self.defaults.keys() - values.keys():
            raise GradstepValueError(f"{owner} has no {', '.join(sorted(missing))}; it is one of another optimizer.")
        for key, value in values.items():
            if callable(value):
                raise GradstepTypeError(
                    f"{owner}: {key} is a schedule, {value!r}; give a number, which a scheduler may change."
                )
        if not self._constructor:
            return Setting(self._stage, {key: checked(key, value, owner) for key, value in values.items()})
        if decays and values.get(DECAY) == 0:
            values[DECAY] = lambda _: 0.0  # keeps its place, where a number would not: groups then go in one pass
        stage = stage_of(self._constructor, values)
        return Setting(stage, program(stage).values(program(stage).hyper, 0))

    def __reduce__(self) -> tuple[Any, ...]:
        """Rules go by their names: what they are made of cannot be copied, and need not be."""
        if isinstance(self._rule, str):
            return Settings, (self._rule, self.defaults)
        return _restored, tuple((part.rule.name, dict(part.given), part.name) for part in self._stage.parts)


def _restored(*parts: tuple[str, dict[str, Any], str | None]) -> Settings:
    return Settings(chain(*(lookup(rule)(name=name, **given) for rule, given, name in parts)), {})
