"""From an optimizer to a file and back: its parts, a file's content, and the checks before anything is taken."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from gradstep.array.memory import is_writable
from gradstep.array.namespaces import is_masked, to_numpy
from gradstep.checkpoint.adopted import Adopted, shared_out
from gradstep.checkpoint.folder import is_folder, read_folder
from gradstep.checkpoint.format import canonical, read
from gradstep.checkpoint.rng import Rng, rng_setter, rng_state
from gradstep.checkpoint.state import BEST, PARAM, STATE, Saved, array_differences, listed
from gradstep.errors import CheckpointError, GradstepTypeError, GradstepValueError
from gradstep.files import AnyPath
from gradstep.form.chain import Program
from gradstep.form.hyper import Hyper
from gradstep.step.groups import Groups
from gradstep.step.precision import Precision
from gradstep.step.progress import Own, Snapshot
from gradstep.version import __version__

_DEEPEST = 100  # levels of nesting: far fewer than Python's JSON parser can read


@dataclass(frozen=True)
class Parts:
    """The parts of an optimizer that a checkpoint holds.

    Attributes
    ----------
    params, state
        Its arrays: ``params["layer.w"]``, ``state["layer.w"]["adam.m"]``.
    memory
        The host's numbers of each group.
    take
        ``take(hyper, memory, t, skipped, arrays, own)``: into each first array of ``arrays`` go the numbers of the
        second. The last two may be left out.
    lock
        What a step holds; whoever reads or changes more than one of these while others step holds it too.
    own
        Parameters that have numbers of their own.
    """

    program: Program
    groups: Groups
    precision: Precision
    params: Mapping[str, Any]
    state: Mapping[str, Mapping[str, Any]]
    hyper: Mapping[str, Hyper]
    t: int
    skipped: int
    memory: Sequence[Mapping[str, float]]
    take: Callable[..., None]
    lock: AbstractContextManager[Any]
    own: Mapping[str, Own] = field(default_factory=dict[str, Own])

    def places(self) -> dict[str, Any]:
        """Every array by its name in a file."""
        params = {f"{PARAM}{name}": x for name, x in self.params.items()}
        state = {f"{STATE}{name}/{key}": x for name, own in self.state.items() for key, x in own.items()}
        return {**params, **state}

    def saved(self) -> Saved:
        """Return everything but the arrays."""
        progress = Snapshot(self.t, self.skipped, self.memory, self.own)
        return Saved.of(self.program, self.hyper, self.groups, list(self.params), self.precision, progress)


def as_saved(parts: Parts) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays and the manifest of a checkpoint.

    Raises
    ------
    GradstepTypeError
        For masked arrays.
    """
    places = parts.places()
    for name, x in places.items():
        if is_masked(x):
            raise GradstepTypeError(f"checkpoint: {name!r} is a masked array, whose mask no file can hold.")
    return {name: to_numpy(x) for name, x in places.items()}, {"optimizer": parts.saved().as_json()}


def user_metadata(extra: Any, rng: Rng | None) -> dict[str, Any]:
    """Return the entries of a manifest that every checkpoint has besides its optimizer.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        For what JSON does not know, what is nested too deep, and what is no random generator.
    """
    _check(extra, _DEEPEST)
    canonical(extra)
    return {"library": __version__, "extra": extra, "rng": rng_state({} if rng is None else rng)}


def _check(x: Any, deeper: int) -> None:
    """Refuse keys that JSON would silently turn into text, and nests that could be written but not read everywhere."""
    if deeper < 0:
        raise GradstepValueError(f"checkpoint: extra is nested more than {_DEEPEST} levels deep, or contains itself.")
    if isinstance(x, Mapping):
        for key in x:
            if not isinstance(key, str):
                raise GradstepTypeError(f"checkpoint: a key in extra must be a str, not {key!r}.")
    for y in x.values() if isinstance(x, Mapping) else x if isinstance(x, list | tuple) else ():
        _check(y, deeper - 1)


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint.

    Attributes
    ----------
    arrays
        All arrays by their names in the file: ``param/layer.w``, ``state/layer.w/adam.m``, ``best/layer.w``; with the
        dtype, byte order, shape and values that were saved, each in memory of its own.
    metadata
        What the manifest says besides: ``format``, ``library`` (the version that wrote it), ``optimizer`` (rule,
        hyperparameters, groups, t ...), ``rng``, ``extra``, ``run``, ``best``.
    anew
        After ``opt.restore(path, strict=False)``: by parameter the stages whose state was not taken and started anew,
        ``{"layer.w": ("clip", "adam")}``.
    converted
        Likewise: arrays whose numbers were taken in another dtype, ``{"param/layer.w": "float32 to float64"}``.
    """

    arrays: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, Any]
    anew: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    converted: Mapping[str, str] = field(default_factory=dict[str, str])

    def __repr__(self) -> str:
        own = self.metadata["optimizer"]
        rules, size = " + ".join(one["rule"] for one in own["rule"]), sum(x.nbytes for x in self.arrays.values())
        return f"<Checkpoint of {rules}, t={own['t']}: {len(self.arrays)} arrays, {size:,} bytes>"

    @property
    def params(self) -> dict[str, NDArray[Any]]:
        """The parameters by dotted name."""
        return {name[len(PARAM) :]: x for name, x in self.arrays.items() if name.startswith(PARAM)}

    @property
    def state(self) -> dict[str, dict[str, NDArray[Any]]]:
        """The state as :attr:`gradstep.Optimizer.state` has it: ``state["layer.w"]["adam.m"]``."""
        out: dict[str, dict[str, NDArray[Any]]] = {}
        for full, x in self.arrays.items():
            if full.startswith(STATE):
                name, _, slot = full[len(STATE) :].rpartition("/")
                out.setdefault(name, {})[slot] = x
        return out

    @property
    def best(self) -> dict[str, NDArray[Any]]:
        """The best parameters of a run by dotted name; empty where none were kept. ``metadata["best"]``: how good."""
        return {name[len(BEST) :]: x for name, x in self.arrays.items() if name.startswith(BEST)}

    @property
    def t(self) -> int:
        """Updates made."""
        return self.metadata["optimizer"]["t"]

    @property
    def extra(self) -> Any:
        """The user's own data, as given to ``save(extra=...)``."""
        return self.metadata.get("extra")


def load(path: AnyPath) -> Checkpoint:
    """Read a checkpoint as plain arrays; no code in it is run, and no optimizer is needed.

    Parameters
    ----------
    path
        A file that ``opt.save`` wrote, or a folder of :class:`gradstep.distributed.Sharded`, whose arrays are put
        together.

    Raises
    ------
    CheckpointError
        When the file is not to the last bit what was written, or of a later format; when a folder lacks a file.
    FileNotFoundError, PermissionError
        When it cannot be opened.
    """
    return Checkpoint(*(read_folder(path) if is_folder(path) else read(path)))


def plan(
    parts: Parts, found: Checkpoint, path: AnyPath, *, strict: bool = True, hyper: bool = True, rng: Rng | None = None
) -> Callable[[], Checkpoint]:
    """Return the function that restores a checkpoint, once everything that could be wrong with it has been looked at.

    It returns the checkpoint, with what was not simply taken.

    Raises
    ------
    CheckpointError
        When it is not of this optimizer.
    """
    mine, places = parts.saved(), parts.places()
    try:
        saved = Saved.from_json(found.metadata.get("optimizer"))
        if strict:
            differences = [*saved.differences(mine), *array_differences(found.arrays, places)]
            if differences:
                raise CheckpointError(listed(differences))
        elif not saved.shares_a_stage(parts.groups):
            raise CheckpointError(saved.other_rule(mine))
        names = list(parts.params)
        if not strict and names and found.params.keys().isdisjoint(names):
            theirs, ours = (listed([*map(repr, each)]) for each in (found.params, names))
            raise CheckpointError(f"no parameter is in both: {theirs} in the file, and {ours} here")
        taken = saved.hyperparameters(parts.hyper, parts.program, strict) if hyper else parts.hyper
        given = saved.given(parts.groups, names) if hyper else parts.groups.given
        if strict:
            files = ((x, found.arrays.get(name)) for name, x in places.items())
            pairs = [(x, y) for x, y in files if y is not None and is_writable(x)]
            memory, own = shared_out(parts.groups, names, saved.active)
        else:
            values = replace(parts.groups, given=given).values(taken)(saved.t)
            adopted = Adopted(parts.groups, parts.precision, parts.params, parts.state, saved, found.arrays, values)
            pairs, (memory, own) = adopted.pairs, shared_out(parts.groups, names, adopted.numbers)
            found = replace(found, anew=adopted.anew, converted=adopted.converted)
        put_rng = rng_setter({} if rng is None else rng, found.metadata.get("rng"))
    except CheckpointError as problem:
        message = f"checkpoint {os.fspath(path)!r} is not of this optimizer: {problem}. Nothing was changed."
        raise CheckpointError(message) from None

    def restore() -> None:
        parts.groups.take(given)
        parts.take(taken, memory, saved.t, saved.skipped, pairs, own)
        put_rng()

    def act() -> Checkpoint:
        uninterrupted(restore)()
        return found

    return act


def uninterrupted(act: Callable[[], None]) -> Callable[[], None]:
    """Wrap ``act``, which may be called twice, so that an interrupt does not leave it half done."""

    def whole() -> None:
        try:
            act()
        except BaseException:  # also what a signal handler raises
            act()  # finish, and then raise the interrupt
            raise

    return whole
