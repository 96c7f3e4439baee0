"""Groups of parameters by name pattern: hyperparameters of their own, or frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import Program
from gradstep.form.hyper import Domain, Hyper, HyperView, at, checked, in_domain, times
from gradstep.naming import unknown

FREEZE = "freeze"


@dataclass(frozen=True)
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
        What the groups were made from: ``{pattern: {hyperparameter: value} or "freeze"}``.
    """

    labels: tuple[str, ...]
    overrides: tuple[Mapping[str, Hyper | times], ...]
    of: tuple[int | None, ...]
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])

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
    found: dict[tuple[str, ...], int] = {}
    of: list[int | None] = []
    for name in names:
        matching = tuple(pattern for pattern in clean if fnmatchcase(name, pattern))
        frozen = any(clean[pattern] is None for pattern in matching)
        of.append(None if frozen else found.setdefault(matching, len(found)))
    overrides = [{k: x for pattern in patterns for k, x in (clean[pattern] or {}).items()} for patterns in found]
    return Groups(tuple(" & ".join(patterns) for patterns in found), tuple(overrides), tuple(of), dict(groups or {}))


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
