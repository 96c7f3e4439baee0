"""An optimizer as arrays and JSON, and the differences between a file's optimizer and the one that takes its state."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from reprlib import repr as short
from typing import Any

from numpy.typing import NDArray

from gradstep.array.memory import is_writable
from gradstep.array.namespaces import dtype_name, to_numpy
from gradstep.errors import CheckpointError, GradstepError, GradstepTypeError
from gradstep.form.chain import Program
from gradstep.form.hyper import Domain, Hyper, checked, times
from gradstep.form.rule import Part
from gradstep.naming import is_like
from gradstep.schedules import from_json, to_json
from gradstep.step.groups import FREEZE, Groups
from gradstep.step.precision import Precision
from gradstep.step.progress import Own, Snapshot

PARAM, STATE, BEST = "param/", "state/", "best/"
_MOST_NAMED = 3  # differences that an error lists
_MOST_UPDATES = 1 << 62


@dataclass(frozen=True)
class Saved:
    """An optimizer without its arrays, as JSON."""

    rule: list[dict[str, str]]
    hyper: dict[str, Any]
    groups: list[dict[str, Any]]
    precision: dict[str, Any]
    frozen: list[str]
    t: int
    skipped: int
    own: dict[str, Any] = field(default_factory=dict[str, Any])  # parameters with numbers of their own

    @classmethod
    def of(
        cls,
        program: Program,
        hyper: Mapping[str, Hyper],
        groups: Groups,
        names: Sequence[str],
        precision: Precision,
        progress: Snapshot,
    ) -> "Saved":
        """Collect the metadata of an optimizer."""
        kept = asdict(precision)
        if precision.is_default and not any(made.random for made in (program, *groups.programs.values())):
            del kept["seed"]  # nothing depends on it
        owned = [(group, name) for name, group in zip(names, groups.of, strict=True)]
        return cls(
            rule=_rule(program),
            hyper=_as_json(hyper),
            groups=[
                {
                    "members": sorted(name for group, name in owned if group == k),
                    "hyper": _as_json(own),
                    "memory": dict(numbers),
                    **(_own_rule(groups, key) if key else {}),
                }
                for k, (own, numbers, key) in enumerate(
                    zip(groups.overrides, progress.memory, groups.rules, strict=True)
                )
            ],
            precision=kept,
            frozen=sorted(name for group, name in owned if group is None),
            t=progress.t,
            skipped=progress.skipped,
            own={name: {"began": dict(own.began), "memory": dict(own.memory)} for name, own in progress.own.items()},
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as a dict; a file without parameters that have numbers of their own does not speak of them."""
        out = asdict(self)
        return out if self.own else {key: x for key, x in out.items() if key != "own"}

    @classmethod
    def from_json(cls, data: Any) -> "Saved":
        """The inverse of :meth:`as_json`.

        Raises
        ------
        CheckpointError
            When there is no such thing in the file.
        """
        own = data.get("own", {}) if isinstance(data, dict) else {}
        form = _FORM | ({"own": {str: _OWN_FORM}} if own else {})
        if not is_like(data, form) or not all(0 <= data[key] < _MOST_UPDATES for key in ("t", "skipped")):
            raise CheckpointError("it holds no optimizer; gs.load reads its arrays")
        saved = cls(**data)
        for name, numbers in own.items():
            began, labels = numbers["began"], {stage["label"] for stage in saved.rules.get(name, ())}
            if not labels or not labels.issuperset(began) or not _are_counts(began.values(), saved.t):
                raise CheckpointError(f"what it says of {name!r} makes no sense")
        return saved

    @cached_property
    def active(self) -> dict[str, Own]:
        """The numbers of each parameter that is not frozen: its host's memory is all there."""
        out: dict[str, Own] = {}
        for group in self.groups:
            for name in group["members"]:
                own = self.own.get(name, {"began": {}, "memory": {}})
                out[name] = Own(own["began"], {**group["memory"], **own["memory"]})
        return out

    @cached_property
    def rules(self) -> dict[str, list[dict[str, str]]]:
        """The chain of each parameter that is not frozen."""
        return {name: own.get("rule", self.rule) for own in self.groups for name in own["members"]}

    def has(self, name: str, part: Part) -> bool:
        """Return whether a parameter's chain in the file has a stage, under the same label."""
        return _stage(part) in self.rules.get(name, ())

    def shares_a_stage(self, mine: Groups) -> bool:
        """Return whether a stage of any chain here is in a chain of the file."""
        theirs = [stage for chain in (self.rule, *self.rules.values()) for stage in chain]
        return any(_stage(part) in theirs for rule in mine.rules or [""] for part in mine.programs[rule].parts)

    def other_rule(self, mine: "Saved") -> str:
        """Return the difference of the rules in words."""
        return f"its rule is {_chain(self.rule)}, and {_chain(mine.rule)} here"

    def differences(self, mine: "Saved") -> Iterator[str]:
        """Generate the differences that keep a file's optimizer from going on as ``mine``."""
        if self.rule != mine.rule:
            yield self.other_rule(mine)
            return
        for key in sorted(self.precision.keys() | mine.precision.keys()):
            theirs, ours = self.precision.get(key), mine.precision.get(key)
            if theirs != ours:
                yield f"{'state_dtype' if key == 'state' else key} is {short(theirs)} in the file, and {ours!r} here"
        theirs, ours = self.rules, mine.rules
        for name in sorted(theirs.keys() & ours.keys()):
            if theirs[name] != ours[name]:
                yield f"the rule of {name!r} is {_chain(theirs[name])} in the file, and {_chain(ours[name])} here"
        yield from _parted(_sharing(self), _sharing(mine))
        theirs, ours = _by_name(self), _by_name(mine)
        for name in sorted(theirs.keys() & ours.keys()):
            if _keys(theirs[name]) != _keys(ours[name]):
                yield f"parameter {name!r} {_own(theirs[name])} in the file, and {_own(ours[name])} here"

    def given(self, mine: Groups, names: Sequence[str]) -> dict[str, Any]:
        """Return the values of groups by the patterns of ``mine``, of which ``names`` are the parameters.

        Raises
        ------
        CheckpointError
            When parameters that share a value here have several in the file.
        """
        owners = {name: own for own in self.groups for name in own["members"]}
        members: dict[int | None, list[str]] = {}
        for name, group in zip(names, mine.of, strict=True):
            members.setdefault(group, []).append(name)
        out: dict[str, Any] = dict(mine.given)
        for pattern, own in mine.given.items():
            is_rule = pattern in mine.stages
            place = "shared" if is_rule else "hyper"
            for key, x in own.items() if own != FREEZE else ():
                using = mine.users(pattern, "" if is_rule else key)
                found = [
                    owners[n][place][key]
                    for k in using
                    for n in members.get(k, ())
                    if key in owners.get(n, {}).get(place, {})
                    and key in _common(mine.programs[mine.rules[k]], self.rules[n])
                ]
                if any(y != found[0] for y in found):
                    raise CheckpointError(f"{key} of {pattern!r} has several values there")
                if found:
                    domain = mine.programs[mine.rules[using[0]]].domains.get(key)
                    out[pattern] = {**out[pattern], key: _from_json(key, found[0], x, domain)}
        return out

    def hyperparameters(self, mine: Mapping[str, Hyper], program: Program, strict: bool) -> dict[str, Hyper]:
        """Return the file's hyperparameters; a plain function is the optimizer's own of that name.

        Where it is not ``strict``, those alone that belong to stages which the file has too; the others stay as they
        are.
        """
        if strict and self.hyper.keys() != mine.keys():
            raise CheckpointError(f"its hyperparameters are {sorted(self.hyper)}, and {sorted(mine)} here")
        known = mine.keys() if strict else _common(program, self.rule) & self.hyper.keys()
        domains = program.domains
        return {
            key: _from_json(key, self.hyper[key], x, domains.get(key)) if key in known else x for key, x in mine.items()
        }


def array_differences(file: Mapping[str, NDArray[Any]], mine: Mapping[str, Any]) -> Iterator[str]:
    """Generate the differences that keep a file's arrays out of an optimizer; both by their names in the file."""
    for name, x in mine.items():
        y = file.get(name)
        if y is None:
            yield f"{describe(name)} is missing in the file"
        elif difference := array_difference(name, y, x):
            yield difference
    own = (name for name in file if name.startswith((PARAM, STATE)))
    yield from (f"{describe(name)} is in the file alone" for name in own if name not in mine)


def array_difference(name: str, y: NDArray[Any], x: Any) -> str:
    """Return the difference that keeps a file's array out of one here; empty where it fits."""
    if y.shape != tuple(x.shape):
        return f"{describe(name)} has the shape {y.shape} in the file, and {tuple(x.shape)} here"
    if dtype_name(y) != dtype_name(x):
        return f"{describe(name)} is {dtype_name(y)} in the file, and {dtype_name(x)} here"
    if not is_writable(x) and _native(y) != _native(to_numpy(x)):
        return f"{describe(name)} is read-only here, and has other values in the file"
    return ""


def _native(x: NDArray[Any]) -> bytes:
    """The bytes of an array in the machine's order, in which equal numbers are equal bytes."""
    return x.astype(x.dtype.newbyteorder("=")).tobytes()


def listed(differences: Sequence[str]) -> str:
    """Join the first of some differences to one text, with the number of the others."""
    more = len(differences) - _MOST_NAMED
    return "; ".join([*differences[:_MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])


def describe(name: str) -> str:
    """An array's name in the file, in words."""
    if name.startswith(PARAM):
        return f"parameter {name[len(PARAM) :]!r}"
    owner, _, slot = name[len(STATE) :].rpartition("/")
    return f"state {slot!r} of {owner!r}"


def _as_json(hyper: Mapping[str, Hyper | times]) -> dict[str, Any]:
    return {key: _value(x) for key, x in hyper.items()}


def _value(x: Hyper | times) -> Any:
    if isinstance(x, times):
        return {"times": float(x.factor)}
    if not callable(x):
        return x
    try:
        return to_json(x)
    except GradstepTypeError:  # a plain function
        return {"function": getattr(x, "__qualname__", type(x).__qualname__)}


def _from_json(key: str, saved: Any, mine: Hyper | times, domain: Domain | None) -> Any:
    if isinstance(saved, dict) and "function" in saved:
        if callable(mine) and _value(mine) == saved:
            return mine
        raise CheckpointError(
            f"{key} follows the function {saved['function']!r}, which no file can hold; make the optimizer with it, "
            f"or restore with hyper=False"
        )
    try:
        if isinstance(saved, dict) and saved.keys() == {"times"}:
            return times(saved["times"])
        return from_json(saved) if isinstance(saved, dict) else checked(key, saved, "checkpoint", domain)
    except (GradstepError, RecursionError) as error:
        raise CheckpointError(f"its {key} makes no sense: {error}") from None


def _stage(part: Part) -> dict[str, str]:
    return {"rule": part.rule.name, "label": part.label}


def _rule(program: Program) -> list[dict[str, str]]:
    return [{"rule": part.rule.name, "label": part.label} for part in program.parts]


def _own_rule(groups: Groups, pattern: str) -> dict[str, Any]:
    """Return a rule of a group: its stages, its values, and the number that groups of the same rule have in common."""
    number = list(dict.fromkeys(groups.rules)).index(pattern)
    return {"rule": _rule(groups.programs[pattern]), "shared": _as_json(groups.given[pattern]), "number": number}


def _sharing(saved: Saved) -> dict[str, int | None]:
    """Return for each parameter the number of its own rule; None where it has the optimizer's."""
    return {name: own.get("number") for own in saved.groups for name in own["members"]}


def _parted(theirs: Mapping[str, int | None], ours: Mapping[str, int | None]) -> Iterator[str]:
    """Generate the difference where parameters that share a rule on one side do not on the other."""
    pairs: dict[tuple[bool, int | None], tuple[int | None, str]] = {}
    for name in sorted(theirs.keys() & ours.keys()):
        a, b = theirs[name], ours[name]
        if (a is None) != (b is None):
            here, there = ("the optimizer's rule" if x is None else "a rule of its own" for x in (b, a))
            yield f"parameter {name!r} has {there} in the file, and {here} here"
            return
        for is_file, one, other in ((True, a, b), (False, b, a)):
            seen, first = pairs.setdefault((is_file, one), (other, name))
            if seen != other:
                side, without = ("in the file", "not here") if is_file else ("here", "not in the file")
                yield f"parameters {first!r} and {name!r} share a rule of their own {side}, and {without}"
                return


def _chain(rule: Sequence[Mapping[str, str]]) -> str:
    names = [p["rule"] if p["label"] == p["rule"] else f"{p['rule']} called {p['label']!r}" for p in rule]
    return names[0] if len(names) == 1 else f"chain({', '.join(names)})"


def _by_name(saved: Saved) -> dict[str, dict[str, Any] | None]:
    """Return each parameter's own hyperparameters, by whatever patterns; None: it is frozen."""
    owned = {name: own["hyper"] for own in saved.groups for name in own["members"]}
    return owned | dict.fromkeys(saved.frozen)


def _common(program: Program, rule: Sequence[Mapping[str, str]]) -> set[str]:
    """Return the hyperparameters of which each stage that takes them is in both chains."""
    each = zip(program.parts, program.keys, strict=True)
    return {*program.hyper} - {key for part, own in each if _stage(part) not in rule for key in own.values()}


def _keys(hyper: dict[str, Any] | None) -> set[str] | None:
    return None if hyper is None else {*hyper}


def _own(hyper: dict[str, Any] | None) -> str:
    return "is frozen" if hyper is None else f"has {short(hyper)} of its own" if hyper else "has no values of its own"


_RULE: Any = [{"rule": str, "label": str}]
_GROUP: Any = {"members": [str], "hyper": {str: object}, "memory": {str: float}}
_FORM: Any = {
    "rule": _RULE,
    "hyper": {str: object},
    "groups": [(_GROUP, _GROUP | {"rule": _RULE, "shared": {str: object}, "number": int})],
    "precision": {str: object},
    "frozen": [str],
    "t": int,
    "skipped": int,
}
_OWN_FORM: Any = {"began": {str: int}, "memory": {str: float}}


def _are_counts(values: Iterable[int], t: int) -> bool:
    return all(0 <= x <= t for x in values)
