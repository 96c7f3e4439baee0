"""Groups of parameters by name pattern: hyperparameters or a rule of their own, or frozen."""

import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import Program, program
from gradstep.form.hyper import (
    Domain,
    Hyper,
    HyperView,
    at,
    checked,
    evaluated,
    in_domain,
    refuse_number_for_schedule,
    times,
)
from gradstep.form.rule import Rule, Stage
from gradstep.naming import find, unknown

FREEZE = "freeze"


@dataclass
class Groups:
    """Which parameters differ in what.

    Attributes
    ----------
    patterns
        For each group the patterns that match its parameters, in order; none in the group of all others.
    of
        For each parameter its group, or ``None`` where it is frozen.
    given
        The values by pattern: ``{pattern: {hyperparameter: value} or "freeze"}``; of a rule all that it has.
    stages
        The rules by pattern, of those that have one of their own.
    program
        Of the parameters whose group has no rule of its own.
    """

    patterns: tuple[tuple[str, ...], ...]
    of: tuple[int | None, ...]
    given: Mapping[str, Any]
    stages: Mapping[str, Stage]
    program: Program

    def __post_init__(self) -> None:
        self.take(self.given)

    def take(self, given: Mapping[str, Any]) -> None:
        """Go on with other values for the same patterns."""
        own = (self._from_the_rule_on(patterns) for patterns in self.patterns)
        overrides = [{k: x for p in patterns if p not in self.stages for k, x in given[p].items()} for patterns in own]
        self.given, self.overrides = given, overrides

    def _from_the_rule_on(self, patterns: Sequence[str]) -> Sequence[str]:
        """Return the last pattern that has a rule and those after it; without one, all."""
        rules = [k for k, pattern in enumerate(patterns) if pattern in self.stages]
        return patterns[rules[-1] :] if rules else patterns

    @property
    def labels(self) -> list[str]:
        """The patterns of each group, joined by ``" & "``; the group of all others is ``""``."""
        return [" & ".join(patterns) for patterns in self.patterns]

    @cached_property
    def rules(self) -> list[str]:
        """For each group the pattern whose rule it has, or ``""`` for that of all others."""
        return [next((p for p in reversed(own) if p in self.stages), "") for own in self.patterns]

    @cached_property
    def programs(self) -> Mapping[str, Program]:
        """By pattern, or ``""``, the programs that groups have."""
        return {"": self.program} | {pattern: program(stage) for pattern, stage in self.stages.items()}

    @cached_property
    def used(self) -> Mapping[str, Program]:
        """The programs that parameters have; the shared one where all are frozen."""
        return {rule: self.programs[rule] for rule in dict.fromkeys(self.rules)} or {"": self.program}

    def limits(self, hyper: Mapping[str, Hyper], t: int) -> list[float]:
        """Return for each group the least bound that its stages put on each element of a gradient, or infinity."""
        each = zip(self.values(hyper)(t), self.rules, strict=True)
        return [min((own[key] for key in self.programs[rule].cuts), default=math.inf) for own, rule in each]

    def users(self, pattern: str, name: str = "") -> list[int]:
        """Return the groups that the values of a pattern are for; with a name, where no later pattern has that too."""
        own = [self._from_the_rule_on(patterns) for patterns in self.patterns]
        last = [next((p for p in reversed(patterns) if name in self.given[p]), pattern) for patterns in own]
        return [k for k, patterns in enumerate(own) if pattern in patterns and (not name or last[k] == pattern)]

    def domain(self, pattern: str, name: str) -> Domain | None:
        """Return the values that a hyperparameter may take in the groups of a pattern.

        Raises
        ------
        GradstepValueError
            When the rule of one of them has no such hyperparameter.
        """
        own = [pattern] if pattern in self.stages else dict.fromkeys(self.rules[k] for k in self.users(pattern)) or [""]
        found: Domain | None = None
        for rule in own:
            made = self.programs[rule]
            if name not in made.hyper:
                whose = f"for {rule!r}, which has a rule of its own, " if rule and rule != pattern else ""
                raise unknown(f"groups: {pattern!r} has {whose}the unknown hyperparameter", name, made.hyper)
            here = made.domains.get(name)
            found = here if found is None or here is None else found & here
        return found

    def scheduled(self, hyper: Mapping[str, Hyper]) -> bool:
        """Return whether a hyperparameter of any group changes with t."""
        every = [hyper, *(own for own in self.given.values() if own != FREEZE)]
        return any(callable(x) for own in every for x in own.values())

    def values(self, hyper: Mapping[str, Hyper]) -> Callable[[int], list[dict[str, float]]]:
        """Return a function that gives, when ``t`` updates have been made, each group's hyperparameters of the next."""
        shared = {
            rule: evaluated(
                self.given[rule] if rule else hyper,
                self.programs[rule].domains,
                f"groups: {rule!r}" if rule else "hyperparameter",
            )
            for rule in dict.fromkeys(self.rules)
        }
        cases, count = list(zip(self.rules, self.labels, self.overrides, strict=True)), len(self.patterns)
        if len(shared) == 1 and not any(self.overrides):
            (one,) = shared.values()
            return lambda t: [one(t)] * count

        def at_t(t: int) -> list[dict[str, float]]:
            now = {rule: own(t) for rule, own in shared.items()}
            return [
                {**now[rule], **{k: self._value(rule, label, k, x, now[rule], t) for k, x in own.items()}}
                for rule, label, own in cases
            ]

        return at_t

    def _value(self, rule: str, label: str, key: str, x: Hyper | times, shared: Mapping[str, float], t: int) -> float:
        domain = self.programs[rule].domains.get(key)
        if isinstance(x, times):
            return in_domain(key, x.factor * shared[key], f"groups: {label!r}", domain)
        return at(x, key, t, f"groups: {label!r}", domain)


def assign(groups: Mapping[str, Any] | None, names: Sequence[str], program: Program) -> Groups:
    """Sort parameters into groups.

    Parameters
    ----------
    groups
        ``{pattern: {hyperparameter: value or gs.times(factor)}, a stage, or "freeze"}``; patterns as in a shell
        (``*.bias``), matched against dotted names, case and all. Where several match, later ones win; after a stage,
        values of earlier ones are gone, for they were another rule's. A frozen parameter stays frozen.

    Raises
    ------
    GradstepValueError
        When a pattern matches no parameter, or a hyperparameter is unknown or out of range.
    GradstepTypeError
        When a group is neither a dict, a stage nor ``"freeze"``.
    """
    if not isinstance(groups, Mapping | None):
        raise GradstepTypeError(f"groups must be a dict by name pattern, not {groups!r}.")
    given = {pattern: _kind_of(pattern, own) for pattern, own in (groups or {}).items()}
    found: dict[tuple[str, ...], int] = {}
    of: list[int | None] = []
    for name in names:
        matching = tuple(pattern for pattern in given if fnmatchcase(name, pattern))
        frozen = any(given[pattern] == FREEZE for pattern in matching)
        of.append(None if frozen else found.setdefault(matching, len(found)))
    stages = {pattern: own for pattern, own in given.items() if isinstance(own, Stage)}
    values = {pattern: {} if isinstance(own, Stage) else own for pattern, own in given.items()}
    made = Groups(tuple(found), tuple(of), values, stages, program)
    values |= {pattern: made.programs[pattern].hyper for pattern in stages}
    for pattern, own in values.items():
        if own != FREEZE and pattern not in stages:
            values[pattern] = {key: _checked(made, pattern, key, x) for key, x in own.items()}
    for pattern in given:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise GradstepValueError(f"groups: {pattern!r} matches no parameter; there are {', '.join(names[:8])}.")
    made.take(values)
    return made


def numbered(program: Program, values: Sequence[Mapping[str, float]], of: Sequence[int]) -> Groups:
    """Return groups that have all values of their own, and numbers as patterns."""
    own = {str(k): x for k, x in enumerate(values)}
    return Groups(tuple((pattern,) for pattern in own), tuple(of), own, {}, program)


class GroupsView(Mapping[str, "GroupView"]):
    """The hyperparameters of groups by pattern, without those that are frozen."""

    def __init__(self, groups: Groups, touch: Callable[[], None]) -> None:
        own = {pattern for pattern, own in groups.given.items() if own != FREEZE}
        self._all = {pattern: GroupView(pattern, groups, touch) for pattern in groups.given if pattern in own}

    def __getitem__(self, pattern: str) -> "GroupView":
        return find("groups: there is no", pattern, self._all)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return repr(self._all)


class GroupView(MutableMapping[str, "Hyper | times"]):
    """A group's own hyperparameters by name; a new value is checked, and holds from the next step on."""

    def __init__(self, pattern: str, groups: Groups, touch: Callable[[], None]) -> None:
        self._pattern, self._groups, self._touch = pattern, groups, touch

    @property
    def _own(self) -> Mapping[str, Hyper | times]:
        return self._groups.given[self._pattern]

    def __getitem__(self, name: str) -> Hyper | times:
        return self._own[name]

    def __setitem__(self, name: str, value: Any) -> None:
        new = _checked(self._groups, self._pattern, name, value)
        if name in self._own and not isinstance(new, times):
            refuse_number_for_schedule(name, self._own[name], new, f"opt.groups[{self._pattern!r}][{name!r}]")
        self._change({**self._own, name: new})

    def __delitem__(self, name: str) -> None:
        if name not in self._own:
            raise KeyError(name)
        if self._pattern in self._groups.stages:
            raise GradstepTypeError(f"hyperparameter {name} of the rule of {self._pattern!r} cannot be removed.")
        self._change({key: x for key, x in self._own.items() if key != name})

    def _change(self, own: Mapping[str, Hyper | times]) -> None:
        self._groups.take({**self._groups.given, self._pattern: own})
        self._touch()

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)

    def __repr__(self) -> str:
        return repr(dict(self._own))


class GroupValues:
    """The hyperparameters of each group, evaluated anew only where one has been set or follows a schedule."""

    def __init__(self, groups: Groups, hyper: HyperView) -> None:
        self._groups, self._hyper = groups, hyper
        self._version: Any = None
        self._is_scheduled = False
        self._evaluate: Callable[[int], list[dict[str, float]]]
        self._values: list[dict[str, float]] | None = None

    def at(self, t: int) -> list[dict[str, float]]:
        """Return the values for the next update, when ``t`` have been made: the same list while nothing changes."""
        version = self._hyper.version  # before the values: what is set meanwhile is seen the next time
        if version is not self._version:
            self._is_scheduled, self._values = self._groups.scheduled(self._hyper.raw), None
            self._evaluate = self._groups.values(self._hyper.raw)
            self._version = version
        values = self._values
        if values is None or self._is_scheduled:
            values = self._values = self._evaluate(t)
        return values


def _kind_of(pattern: Any, own: Any) -> Any:
    """Return what a pattern is given, of the right kind: a dict, a stage or "freeze"."""
    if not isinstance(pattern, str):
        raise GradstepTypeError(f"groups: a pattern of dotted names is a str, not {pattern!r}.")
    if isinstance(own, Rule):
        return own()
    if isinstance(own, Stage | Mapping) or (isinstance(own, str) and own == FREEZE):
        return own
    raise GradstepTypeError(
        f"groups: {pattern!r} must be a dict of hyperparameters, a rule such as gs.sgd(lr=0.1) or "
        f'"freeze", not {own!r}.'
    )


def _checked(groups: Groups, pattern: str, key: str, x: Any) -> Hyper | times:
    domain = groups.domain(pattern, str(key))
    if isinstance(x, times):
        if pattern in groups.stages:
            raise GradstepTypeError(f"groups: {pattern!r} has a rule of its own; its {key} is times(...) of nothing.")
        return x
    return checked(key, x, f"groups: {pattern!r}", domain)
