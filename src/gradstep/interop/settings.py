"""Hyperparameters under the names by which another library's groups hold them: a rule's own, or its constructor's."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gradstep.conventions import described, stage_of
from gradstep.conventions.constructor import REQUIRED, Constructor, number
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import chain, program
from gradstep.form.hyper import Hyper, checked
from gradstep.form.rule import Rule, Stage, lookup, registry
from gradstep.naming import alike

RATE = "lr"  # what schedulers change in a group, whatever a constructor calls it
_PLAIN = {float, int, bool, type(None)}  # what a group most often holds
_FLAGS = {"switch", "choice", "ignored", "label", "refused"}  # a group from an older version may be without
# A constructor that the library has as another one with an argument fixed; its groups hold that argument too.
_AS: Mapping[str, tuple[str, Mapping[str, Any]]] = {"torch.AdamW": ("torch.Adam", {"decoupled_weight_decay": True})}


class Setting(NamedTuple):
    """A stage, and the hyperparameters that it is to run with, by their flat names.

    The numbers of the stage itself are of no account; it is the same object where the switches are the same.
    """

    stage: Stage
    hyper: Mapping[str, Hyper]

    @property
    def form(self) -> tuple[Any, ...]:
        """The rules of the chain: equal where one pass can step both groups, whatever their numbers."""
        return tuple((part.rule, part.label) for part in self.stage.parts)


class Settings:
    """The meaning of a host's values for groups of parameters: a stage and its numbers.

    Parameters
    ----------
    rule
        A rule's name, another library's constructor (``"torch.Adam"``), or a stage.
    hyper
        Values that differ from the defaults; none beside a stage.

    Attributes
    ----------
    defaults
        The arguments of a constructor, the learning rate as ``lr``; else the hyperparameters by their flat names.
    name
        Of the rule or constructor; of a chain the rules. Optimizers with the same name take each other's state.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For unknown names, values out of range, and schedules.
    """

    def __init__(self, rule: str | Rule | Constructor[...] | Stage, hyper: Mapping[str, Any]) -> None:
        rule = rule.owner if isinstance(rule, Constructor) else rule
        numbers = {key: x if callable(x) else _plain(x) for key, x in hyper.items()}
        self._rule, self._stage = rule, stage_of(rule, numbers)
        self._constructor, self._fixed = None, dict[str, Any]()
        self.name = " + ".join(part.rule.name for part in self._stage.parts)
        self._rate = RATE
        self.defaults: dict[str, Any] = {**program(self._stage).hyper, **hyper}
        if isinstance(rule, str) and "." in rule:
            self.name, fixed = _AS.get(rule, (rule, {}))
            self._constructor, self._fixed = described(self.name), dict(fixed)
            self._rate = self._constructor.rate or RATE
            own = described(rule).takes.values()
            known = {x.name: x.default for x in own if x.default is not REQUIRED and not x.is_shared}
            self.defaults = self.renamed(known | dict(hyper)) | self._fixed
        self.of([self.defaults])

    def of(self, groups: Sequence[Mapping[str, Any]]) -> list[Setting]:
        """Return the stage and the hyperparameters that each group's values stand for."""
        return [self._of(values, f"group {k}") for k, values in enumerate(groups)]

    def values(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hyperparameters among a group's entries; tensors, which may change in place, as numbers."""
        if self._rate != RATE and self._rate in group:
            raise GradstepValueError(f"a group has {self._rate} = {group[self._rate]!r}; in groups it is {RATE}.")
        return {key: x if type(x := group[key]) in _PLAIN else _plain(x) for key in self.defaults if key in group}

    def completed(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """Return a group that was saved elsewhere with the flags that the library fills in where it loads one.

        A flag that is missing is at its default; an argument that a constructor fixes has its value.
        """
        takes = self._constructor.takes.values() if self._constructor else ()
        return {x.name: x.default for x in takes if x.kind in _FLAGS and not x.is_shared} | dict(group) | self._fixed

    def stages(self) -> list[Stage]:
        """Return the chain of each choice of switches."""
        return [x.stage for x in self._constructor.forms()] if self._constructor else [self._stage]

    def renamed(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """Return a group's entries with the learning rate, where it has the constructor's name, as ``lr``."""
        return {RATE if key == self._rate else key: x for key, x in group.items()}

    def check(self, group: Mapping[str, Any], owner: str) -> None:
        """Refuse hyperparameters that this optimizer does not have; other entries of a group are its owner's affair."""
        known = {key for rule in registry(None).values() for key in rule.defaults} | {"betas", "alpha", "rho"}
        for key in group:
            if key in known and key not in self.defaults:
                raise GradstepValueError(
                    f"{owner}: {key} is no hyperparameter of {self._rule!r}; it has {', '.join(self.defaults)}."
                )
            if key not in self.defaults and (meant := alike(key, self.defaults)):
                raise GradstepValueError(f"{owner} has {key!r}; here it is {' and '.join(meant)}.")

    def _of(self, group: Mapping[str, Any], owner: str) -> Setting:
        values = self.values(group)
        if missing := self.defaults.keys() - values.keys():
            raise GradstepValueError(
                f"{owner} has no {', '.join(sorted(missing))}; it is one of another optimizer, "
                f"whose state gs.interop.torch.load_state(opt, state_dict) may take."
            )
        for key, value in values.items():
            if callable(value):
                raise GradstepTypeError(
                    f"{owner}: {key} is a schedule, {value!r}; give a number, which a scheduler may change."
                )
        if not self._constructor:
            domains = program(self._stage).domains
            return Setting(
                self._stage, {key: checked(key, value, owner, domains.get(key)) for key, value in values.items()}
            )
        own = self._its_own(values)
        return Setting(self._constructor.form(own).stage, self._constructor.values(own))

    def _its_own(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values by the names of the constructor."""
        return {self._rate if key == RATE else key: x for key, x in values.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        """Rules go by their names: what they are made of cannot be copied, and need not be."""
        if isinstance(self._rule, str):
            own = {key: x for key, x in self.defaults.items() if key not in self._fixed}
            return Settings, (self._rule, self._its_own(own))
        return _restored, tuple((part.rule.name, dict(part.given), part.name) for part in self._stage.parts)


def _plain(x: Any) -> Any:
    """Return a tensor, which may change in place, as a number, and a pair of them as a pair of numbers."""
    if (kind := type(x)) is tuple or kind is list:
        return tuple([y if type(y) in _PLAIN else number(y) for y in x])
    return number(x)


def _restored(*parts: tuple[str, dict[str, Any], str | None]) -> Settings:
    return Settings(chain(*(lookup(rule)(name=name, **given) for rule, given, name in parts)), {})
