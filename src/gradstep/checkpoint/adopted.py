"""The part of a file that an optimizer takes where not all of it is the same, and the state that starts anew."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.array.memory import is_writable
from gradstep.array.namespaces import copied, dtype_name, put
from gradstep.array.storage import BLOCKS, FORMATS
from gradstep.checkpoint.state import PARAM, STATE, Saved, array_difference, describe, listed
from gradstep.errors import CheckpointError
from gradstep.form.rule import Part
from gradstep.step.groups import Groups
from gradstep.step.precision import STATES, Precision, encoded
from gradstep.step.progress import Own
from gradstep.step.start import stored_slots

Arrays = Mapping[str, NDArray[Any]]
Pair = tuple[Any, Any]  # an array here, and the numbers that go into it


class Adopted:
    """The part of a file that an optimizer takes by name, once every parameter and stage has been looked at.

    Parameters
    ----------
    groups, precision, params, state
        Of the optimizer, as in :class:`gradstep.checkpoint.Parts`.
    saved, arrays
        The content of the file.
    values
        The hyperparameters of each group at the file's t: state may start at one.

    Attributes
    ----------
    pairs
        Each array here that changes, and the numbers that go into it.
    anew
        By parameter the stages whose state starts anew.
    converted
        Arrays, by their names in the file, whose numbers are taken in another dtype.
    numbers
        The numbers of each parameter that is not frozen.

    Raises
    ------
    CheckpointError
        When a parameter does not fit.
    """

    def __init__(
        self,
        groups: Groups,
        precision: Precision,
        params: Mapping[str, Any],
        state: Mapping[str, Mapping[str, Any]],
        saved: Saved,
        arrays: Arrays,
        values: Sequence[Mapping[str, float]],
    ) -> None:
        self.groups, self.precision, self.params = groups, precision, params
        self.state, self.saved, self.arrays, self.values = state, saved, arrays, values
        self.pairs: list[Pair] = []
        self.anew: dict[str, tuple[str, ...]] = {}
        self.converted: dict[str, str] = {}
        self.numbers: dict[str, Own] = {}
        self._theirs = self._their_precision()
        differences: list[str] = []
        taken: dict[str, NDArray[Any]] = {}  # the numbers of parameters that the file has
        for name, x in params.items():
            if (y := arrays.get(PARAM + name)) is None:
                continue
            y, difference = self._parameter(name, x, y)
            differences += [difference] if difference else []
            taken[name] = y
            if is_writable(x):
                self.pairs.append((x, y))
        if differences:
            raise CheckpointError(listed(differences))
        owners = {name: group for name, group in zip(params, groups.of, strict=True) if group is not None}
        self.programs = {name: groups.programs[groups.rules[group]] for name, group in owners.items()}
        found = {
            (name, part.label): self._slots(name, i)
            for name, program in self.programs.items()
            for i, part in enumerate(program.parts)
        }
        found |= dict.fromkeys(self._gathers_anew(found))
        for name, group in owners.items():
            self._take(name, group, taken.get(name), found)

    def _their_precision(self) -> Precision:
        state = self.saved.precision.get("state")
        if state is not None and state not in STATES:
            raise CheckpointError(f"its state_dtype makes no sense: {state!r}")
        return Precision(state)

    def _parameter(self, name: str, x: Any, y: NDArray[Any]) -> tuple[NDArray[Any], str]:
        """Return the numbers of a parameter in the dtype here, and the difference that forbids to take them."""
        full = PARAM + name
        if dtype_name(x) == dtype_name(y) or y.shape != tuple(x.shape):
            return y, array_difference(full, y, x)
        source = self._exact(name, y)
        out = _converted(source, dtype_name(x))
        if out is None:
            return y, array_difference(full, y, x)
        self.converted[full] = f"{dtype_name(source)} to {dtype_name(x)}"
        if not np.isfinite(out).all():
            return out, f"{describe(full)} has numbers that are too large for {dtype_name(x)}"
        return out, array_difference(full, out, x)

    def _exact(self, name: str, y: NDArray[Any]) -> NDArray[Any]:
        """Return the file's numbers of a parameter, with the digits of its float32 copy where that belongs to them."""
        master = self.arrays.get(f"{STATE}{name}/master")
        if master is None or master.shape != y.shape:
            return y
        return np.where(_converted(master, dtype_name(y)) == y, master, y.astype(np.float32))

    def _slots(self, name: str, i: int) -> list[Pair] | None:
        """Return the arrays of a stage here with the file's numbers; None where the file does not have them."""
        program = self.programs[name]
        part = program.parts[i]
        if not self.saved.has(name, part):
            return None
        if not {f"{part.label}.{key}" for key in part.rule.memory} <= self.saved.active[name].memory.keys():
            return None
        out: list[Pair] = []
        formats = zip(self._theirs.formats(part.rule), self.precision.formats(part.rule), strict=True)
        for key, (theirs, ours) in zip(program.slots[i], formats, strict=True):
            pairs = self._slot(name, key, theirs, ours)
            if pairs is None:
                return None
            out += pairs
        return out

    def _slot(self, name: str, key: str, theirs: str | None, ours: str | None) -> list[Pair] | None:
        """Return a slot's arrays here with the file's numbers, from one format to the other; None: it has none."""
        own, full = self.state[name], f"{STATE}{name}/{key}"
        x, y = own[key], self.arrays.get(full)
        if y is None or y.shape != tuple(x.shape):
            return None
        scale = self.arrays.get(f"{full}.scale") if theirs in BLOCKS else None
        if theirs in BLOCKS and scale is None:
            return None
        stored = [y] if scale is None else [y, scale]
        places = [x, own[f"{key}.scale"]] if ours in BLOCKS else [x]
        if theirs == ours and dtype_name(x) == dtype_name(y):
            return list(zip(places, stored, strict=True))
        try:
            values = y if theirs is None else FORMATS[theirs].decode((y.reshape(-1), *stored[1:])).reshape(y.shape)
        except ValueError:  # scales of another number of blocks
            return None
        values = _converted(values, dtype_name(x) if ours is None else "float32")
        if values is None or not np.isfinite(values).all():
            return None
        self.converted[full] = f"{_storage(y, theirs)} to {_storage(x, ours)}"
        codes = [values] if ours is None else encoded(FORMATS[ours], values)
        return [(place, numbers.reshape(place.shape)) for place, numbers in zip(places, codes, strict=True)]

    def _gathers_anew(self, found: Mapping[tuple[str, str], Any]) -> list[tuple[str, str]]:
        """Return each parameter with its stage that gathers gradients, where that starts anew for all.

        In the midst of a gathering a parameter that starts anew would miss the calls that were made.
        """
        gathering = {name: program.gathering.parts[-1] for name, program in self.programs.items() if program.gathering}
        counts = {name: f"{part.label}.{part.rule.every}" for name, part in gathering.items()}
        is_midst = any(self.saved.active.get(name, Own()).memory.get(key) for name, key in counts.items())
        each = [(name, part.label) for name, part in gathering.items()]
        return each if is_midst and any(found[x] is None for x in each) else []

    def _take(self, name: str, group: int, value: Any, found: Mapping[tuple[str, str], list[Pair] | None]) -> None:
        """Take the state of a parameter, and start the rest of it anew."""
        theirs, own = self.saved.active.get(name, Own()), self.state[name]
        began, memory, anew = dict[str, int](), dict[str, float](), list[int]()
        parts = self.programs[name].parts
        for i, part in enumerate(parts):
            pairs = found[name, part.label]
            if pairs is not None:
                self.pairs += pairs
                since = theirs.began.get(part.label, 0)
            else:
                since = self.saved.t if part.rule.counts else 0
            if since:
                began[part.label] = since
            if pairs is None and (part.rule.state or part.rule.counts):
                anew.append(i)
            memory |= _memory(part, self._of_all(part) if pairs is None else theirs.memory)
        self.numbers[name] = Own(began, memory)
        if anew:
            self.anew[name] = tuple(parts[i].label for i in anew)
            self._start(name, group, value, anew)
        if "master" in own and value is not None:
            self.pairs.append((own["master"], np.asarray(self._exact(name, self.arrays[PARAM + name]), np.float32)))

    def _of_all(self, part: Part) -> Mapping[str, float]:
        """Return the file's numbers of a stage that sums over all arrays: they are no less true of a new one."""
        if part.rule.over != "all":
            return {}
        return next((own.memory for name, own in self.saved.active.items() if self.saved.has(name, part)), {})

    def _start(self, name: str, group: int, value: Any, stages: Sequence[int]) -> None:
        """Let the state of some stages start, at the parameter as it will be."""
        x, own = self.params[name], self.state[name]
        if value is not None:
            x = copied(x)
            put(x, value)
        program = self.programs[name]
        started = stored_slots(program, self.precision, name, x, self.values[group])
        for key in [key for i in stages for key in program.slots[i]]:
            self.pairs += [(own[full], started[full]) for full in (key, f"{key}.scale") if full in started]


def shared_out(
    groups: Groups, names: Sequence[str], numbers: Mapping[str, Own]
) -> tuple[list[dict[str, float]], dict[str, Own]]:
    """Return the memory of each group, that of its first parameter, and the parameters that have other numbers.

    Parameters
    ----------
    numbers
        Of each parameter: the whole of its memory.

    Raises
    ------
    CheckpointError
        When a memory is not that of the parameter's rule.
    """
    programs = [groups.programs[rule] for rule in groups.rules]
    memory: dict[int, dict[str, float]] = {}
    own: dict[str, Own] = {}
    for name, group in zip(names, groups.of, strict=True):
        if group is None:
            continue
        shared = programs[group].memory()
        wanted = shared | programs[group].memory_of_each()
        began, found = numbers.get(name) or Own({}, wanted)
        if found.keys() != wanted.keys():
            raise CheckpointError(f"its memory is {sorted(found)}, and {sorted(wanted)} here")
        first = memory.setdefault(group, {key: found[key] for key in shared})
        differing = {key: x for key, x in found.items() if first.get(key) != x}
        if began or differing:
            own[name] = Own(began, differing)
    return [memory.get(group, program.memory()) for group, program in enumerate(programs)], own


def _storage(x: Any, form: str | None) -> str:
    return "8bit" if form in BLOCKS else dtype_name(x)


def _memory(part: Part, known: Mapping[str, float]) -> dict[str, float]:
    """Return the host's numbers of a stage, those that are known and the others as they start."""
    return {f"{part.label}.{key}": known.get(f"{part.label}.{key}", x) for key, x in part.rule.memory.items()}


def _converted(y: NDArray[Any], dtype: str) -> NDArray[Any] | None:
    """Return numbers in another dtype, rounded to the nearest; None where they are of another kind."""
    here = FORMATS["bfloat16"].dtype if dtype == "bfloat16" else np.dtype(dtype)
    kinds = ["c" if name.startswith("complex") else "f" if "float" in name else "" for name in (dtype_name(y), dtype)]
    if kinds[0] != kinds[1] or not kinds[0]:
        return None
    with np.errstate(over="ignore", under="ignore"):
        return y.astype(here)
