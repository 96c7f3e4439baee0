"""An optimizer as arrays and JSON, and the differences between a file's optimizer and the one that takes its state."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from reprlib import repr as short
from typing import Any

from numpy.typing import NDArray

from gradstep.array.memory import is_writable
from gradstep.array.namespaces import dtype_name, to_numpy
from gradstep.errors import CheckpointError, GradstepError, GradstepTypeError
from gradstep.form.chain import Program
from gradstep.form.hyper import Hyper, checked, times
from gradstep.naming import is_like
from gradstep.schedules import from_json, to_json
from gradstep.step.groups import FREEZE, Groups
from gradstep.step.precision import Precision

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

    @classmethod
    def of(
        cls,
        program: Program,
        hyper: Mapping[str, Hyper],
        groups: Groups,
        names: Sequence[str],
        precision: Precision,
        progress: tuple[int, int, Sequence[Mapping[str, float]]],
    ) -> "Saved":
        """Collect the metadata of an optimizer; ``progress`` is t, the skipped steps and the memory of each group."""
        t, skipped, memory = progress
        kept = asdict(precision)
        if precision.is_default:
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
                    **({"rule": _rule(groups.programs[key]), "shared": _as_json(groups.given[key])} if key else {}),
                }
                for k, (own, numbers, key) in enumerate(zip(groups.overrides, memory, groups.rules, strict=True))
            ],
            precision=kept,
            frozen=sorted(name for group, name in owned if group is None),
            t=t,
            skipped=skipped,
        )

    @classmethod
    def from_json(cls, data: Any) -> "Saved":
        """The inverse of :func:`dataclasses.asdict`.

        Raises
        ------
        CheckpointError
            When there is no such thing in the file.
        """
        if not is_like(data, _FORM) or not all(0 <= data[key] < _MOST_UPDATES for key in ("t", "skipped")):
            raise CheckpointError("it holds no optimizer; gs.load reads its arrays")
        return cls(**data)

    def differences(self, mine: "Saved", strict: bool) -> Iterator[str]:
        """Generate the differences that keep a file's optimizer from going on as ``mine``."""
        if self.rule != mine.rule:
            yield f"its rule is {_chain(self.rule)}, and {_chain(mine.rule)} here"
            return
        for key in sorted(self.precision.keys() | mine.precision.keys()):
            theirs, ours = self.precision.get(key), mine.precision.get(key)
            if theirs != ours:
                yield f"{'state_dtype' if key == 'state' else key} is {short(theirs)} in the file, and {ours!r} here"
        theirs, ours = _rules(self), _rules(mine)
        for name in sorted(theirs.keys() & ours.keys()):
            if theirs[name] != ours[name]:
                yield f"the rule of {name!r} is {_chain(theirs[name])} in the file, and {_chain(ours[name])} here"
        theirs, ours = _by_name(self), _by_name(mine)
        for name in sorted(theirs.keys() & ours.keys()) if strict else ():
            if _keys(theirs[name]) != _keys(ours[name]):
                yield f"parameter {name!r} {_own(theirs[name])} in the file, and {_own(ours[name])} here"

    def memory(self, mine: "Saved") -> list[dict[str, float]]:
        """Return the memory of each group of ``mine``: that of the group that its parameters had in the file."""
        known = {name: own["memory"] for own in self.groups for name in own["members"]}
        out = [dict(next((known[n] for n in own["members"] if n in known), own["memory"])) for own in mine.groups]
        for found, own in zip(out, mine.groups, strict=True):
            if found.keys() != own["memory"].keys():
                raise CheckpointError(f"its memory is {sorted(found)}, and {sorted(own['memory'])} here")
        return out

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
            is_rule, users = pattern in mine.stages, mine.users(pattern)
            place = "shared" if is_rule else "hyper"
            for key, x in own.items() if own != FREEZE else ():
                using = [k for k in users if is_rule or mine.overrides[k][key] is x]
                theirs = [owners.get(n, {}).get(place, {}) for k in using for n in members[k]]
                found = [values[key] for values in theirs if key in values]
                if any(y != found[0] for y in found):
                    raise CheckpointError(f"{key} of {pattern!r} has several values there")
                if found:
                    out[pattern] = {**out[pattern], key: _from_json(key, found[0], x)}
        return out

    def hyperparameters(self, mine: Mapping[str, Hyper]) -> dict[str, Hyper]:
        """Return the file's hyperparameters; a plain function is the optimizer's own of that name."""
        if self.hyper.keys() != mine.keys():
            raise CheckpointError(f"its hyperparameters are {sorted(self.hyper)}, and {sorted(mine)} here")
        return {key: _from_json(key, self.hyper[key], x) for key, x in mine.items()}


def array_differences(file: Mapping[str, NDArray[Any]], mine: Mapping[str, Any], strict: bool) -> Iterator[str]:
    """Generate the differences that keep a file's arrays out of an optimizer; both by their names in the file."""
    for name, x in mine.items():
        what, y = _describe(name), file.get(name)
        if y is None:
            if strict:
                yield f"{what} is missing in the file"
        elif y.shape != tuple(x.shape):
            yield f"{what} has the shape {y.shape} in the file, and {tuple(x.shape)} here"
        elif dtype_name(y) != dtype_name(x):
            yield f"{what} is {dtype_name(y)} in the file, and {dtype_name(x)} here"
        elif not is_writable(x) and _native(y) != _native(to_numpy(x)):
            yield f"{what} is read-only here, and has other values in the file"
    if strict:
        own = (name for name in file if name.startswith((PARAM, STATE)))
        yield from (f"{_describe(name)} is in the file alone" for name in own if name not in mine)


def _native(x: NDArray[Any]) -> bytes:
    """The bytes of an array in the machine's order, in which equal numbers are equal bytes."""
    return x.astype(x.dtype.newbyteorder("=")).tobytes()


def listed(differences: Sequence[str]) -> str:
    """Join the first of some differences to one text, with the number of the others."""
    more = len(differences) - _MOST_NAMED
    return "; ".join([*differences[:_MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])


def _describe(name: str) -> str:
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


def _from_json(key: str, saved: Any, mine: Hyper | times) -> Any:
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
        return from_json(saved) if isinstance(saved, dict) else checked(key, saved, "checkpoint")
    except (GradstepError, RecursionError) as error:
        raise CheckpointError(f"its {key} makes no sense: {error}") from None


def _rule(program: Program) -> list[dict[str, str]]:
    return [{"rule": part.rule.name, "label": part.label} for part in program.parts]


def _chain(rule: Sequence[Mapping[str, str]]) -> str:
    names = [p["rule"] if p["label"] == p["rule"] else f"{p['rule']} called {p['label']!r}" for p in rule]
    return names[0] if len(names) == 1 else f"chain({', '.join(names)})"


def _by_name(saved: Saved) -> dict[str, dict[str, Any] | None]:
    """Return each parameter's own hyperparameters, by whatever patterns; None: it is frozen."""
    owned = {name: own["hyper"] for own in saved.groups for name in own["members"]}
    return owned | dict.fromkeys(saved.frozen)


def _rules(saved: Saved) -> dict[str, list[dict[str, str]]]:
    """Return the rule of each parameter that is updated."""
    return {name: own.get("rule", saved.rule) for own in saved.groups for name in own["members"]}


def _keys(hyper: dict[str, Any] | None) -> set[str] | None:
    return None if hyper is None else {*hyper}


def _own(hyper: dict[str, Any] | None) -> str:
    return "is frozen" if hyper is None else f"has {short(hyper)} of its own" if hyper else "has no values of its own"


_RULE: Any = [{"rule": str, "label": str}]
_GROUP: Any = {"members": [str], "hyper": {str: object}, "memory": {str: float}}
_FORM: Any = {
    "rule": _RULE,
    "hyper": {str: object},
    "groups": [(_GROUP, _GROUP | {"rule": _RULE, "shared": {str: object}})],
    "precision": {str: object},
    "frozen": [str],
    "t": int,
    "skipped": int,
}
