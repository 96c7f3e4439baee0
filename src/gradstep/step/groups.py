"""Groups of parameters by name pattern: hyperparameters of their own, or frozen."""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import Program
from gradstep.form.hyper import Domain, Hyper, HyperView, at, checked, in_domain, refuse_number_for_schedule, times
from gradstep.naming import find, unknown

FREEZE = "freeze"


@dataclass
class Groups:
    """Which parameters differ in what.

    Attributes
    ----------
    labels
        The patterns of each group, joined by ``" & "``; the group of all others is ``""``.
    overrides
        For each group the hyperparameters that differ.
    of
        For each parameter its group, or ``None`` where it is frozen.
    given
        The groups by pattern: ``{pattern: {hyperparameter: value} or "freeze"}``.
    patterns
        For each group the patterns that match its parameters.
    """

    labels: tuple[str, ...]
    overrides: tuple[Mapping[str, Hyper | times], ...]
    of: tuple[int | None, ...]
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])
    patterns: tuple[tuple[str, ...], ...] = ()

    def scheduled(self, hyper: Mapping[str, Hyper]) -> bool:
        """Return whether a hyperparameter of any group changes with t."""
        return any(map(callable, hyper.values())) or any(callable(x) for own in self.overrides for x in own.values())

    def values(self, program: Program, hyper: Mapping[str, Hyper], t: int) -> list[dict[str, float]]:
        """For each group the hyperparameters of the next update, when ``t`` updates have been made."""
        shared = program.values(hyper, t)
        if not any(self.overrides):
            return [shared] * len(self.labels)
        domains = program.domains
        return [
            {**shared, **{k: _value(k, x, shared, t, label, domains.get(k)) for k, x in own.items()}}
            for label, own in self._items()
        ]

    def _items(self) -> list[tuple[str, Mapping[str, Hyper | times]]]:
        return list(zip(self.labels, self.overrides, strict=True))


def assign(groups: Mapping[str, Any] | None, names: Sequence[str], program: Program) -> Groups:
    """Sort parameters into groups.

    Parameters
    ----------
    groups
        ``{pattern: {hyperparameter: value or gs.times(factor)} or "freeze"}``; patterns as in a shell (``*.bias``),
        matched against dotted names, case and all. Where several match, later ones win; a frozen one stays frozen.

    Raises
    ------
    GradstepValueError
        When a pattern matches no parameter, or a hyperparameter is unknown or out of range.
    GradstepTypeError
        When a group is neither a dict nor ``"freeze"``.
    """
    if not isinstance(groups, Mapping | None):
        raise GradstepTypeError(f"groups must be a dict by name pattern, not {groups!r}.")
    clean = {pattern: _check(pattern, own, program) for pattern, own in (groups or {}).items()}
    for pattern in clean:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise GradstepValueError(f"groups: {pattern!r} matches no parameter; there are {', '.join(names[:8])}.")
    given = {pattern: FREEZE if own is None else own for pattern, own in clean.items()}
    found: dict[tuple[str, ...], int] = {}
    of: list[int | None] = []
    for name in names:
        matching = tuple(pattern for pattern in clean if fnmatchcase(name, pattern))
        frozen = any(clean[pattern] is None for pattern in matching)
        of.append(None if frozen else found.setdefault(matching, len(found)))
    labels, patterns = tuple(" & ".join(own) for own in found), tuple(found)
    return Groups(labels, _overrides(patterns, given), tuple(of), given, patterns)


def _overrides(patterns: Sequence[Sequence[str]], given: Mapping[str, Any]) -> tuple[Mapping[str, Hyper | times], ...]:
    """Return for each group the hyperparameters of its patterns, of which later ones win."""
    return tuple({k: x for pattern in own for k, x in given[pattern].items()} for own in patterns)


class GroupsView(Mapping[str, "GroupView"]):
    """The hyperparameters of groups by pattern, without those that are frozen."""

    def __init__(self, program: Program, groups: Groups, hyper: HyperView) -> None:
        self._all = {
            pattern: GroupView(pattern, program, groups, hyper)
            for pattern, own in groups.given.items()
            if isinstance(own, Mapping)
        }

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

    def __init__(self, pattern: str, program: Program, groups: Groups, hyper: HyperView) -> None:
        self._pattern, self._program, self._groups, self._hyper = pattern, program, groups, hyper

    @property
    def _own(self) -> Mapping[str, Hyper | times]:
        return self._groups.given[self._pattern]

    def __getitem__(self, name: str) -> Hyper | times:
        return self._own[name]

    def __setitem__(self, name: str, value: Any) -> None:
        new = (_check(self._pattern, {name: value}, self._program) or {})[name]
        if name in self._own and not isinstance(new, times):
            refuse_number_for_schedule(name, self._own[name], new, f"opt.groups[{self._pattern!r}][{name!r}]")
        self._change({**self._own, name: new})

    def __delitem__(self, name: str) -> None:
        if name not in self._own:
            raise KeyError(name)
        self._change({key: x for key, x in self._own.items() if key != name})

    def _change(self, own: Mapping[str, Hyper | times]) -> None:
        groups = self._groups
        groups.given = {**groups.given, self._pattern: own}
        groups.overrides = _overrides(groups.patterns, groups.given)
        self._hyper.touch()

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)

    def __repr__(self) -> str:
        return repr(dict(self._own))


class GroupValues:
    """The hyperparameters of each group, evaluated anew only where one has been set or follows a schedule."""

    def __init__(self, program: Program, groups: Groups, hyper: HyperView) -> None:
        self._program, self._groups, self._hyper = program, groups, hyper
        self._version: Any = None
        self._is_scheduled = False
        self._values: list[dict[str, float]] | None = None

    def at(self, t: int) -> list[dict[str, float]]:
        """Return the values for the next update, when ``t`` have been made: the same list while nothing changes."""
        version = self._hyper.version  # before the values: what is set meanwhile is seen the next time
        if version is not self._version:
            self._is_scheduled, self._values = self._groups.scheduled(self._hyper.raw), None
            self._version = version
        values = self._values
        if values is None or self._is_scheduled:
            values = self._values = self._groups.values(self._program, self._hyper.raw, t)
        return values


def _check(pattern: Any, own: Any, program: Program) -> dict[str, Hyper | times] | None:
    if not isinstance(pattern, str):
        raise GradstepTypeError(f"groups: a pattern of dotted names is a str, not {pattern!r}.")
    if isinstance(own, str) and own == FREEZE:
        return None
    if not isinstance(own, Mapping):
        raise GradstepTypeError(f'groups: {pattern!r} must be a dict of hyperparameters or "freeze", not {own!r}.')
    for key in own:
        if key not in program.hyper:
            raise unknown(f"groups: {pattern!r} has the unknown hyperparameter", str(key), program.hyper)
    owner, domains = f"groups: {pattern!r}", program.domains
    return {key: x if isinstance(x, times) else checked(key, x, owner, domains.get(key)) for key, x in own.items()}


def _value(key: str, x: Hyper | times, shared: Mapping[str, float], t: int, label: str, domain: Domain | None) -> float:
    if isinstance(x, times):
        return in_domain(key, x.factor * shared[key], f"groups: {label!r}", domain)
    return at(x, key, t, f"groups: {label!r}", domain)
