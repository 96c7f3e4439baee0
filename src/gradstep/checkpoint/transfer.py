"""From an optimizer to a file and back: what is handed over, and what has to be looked at before anything is taken."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

from gradstep.arrays import is_masked, to_numpy
from gradstep.chain import Program
from gradstep.checkpoint.load import Checkpoint
from gradstep.checkpoint.optimizer import PARAM, STATE, Saved, array_differences, listed
from gradstep.checkpoint.rng import Rng, rng_setter
from gradstep.errors import CheckpointError, GradstepTypeError
from gradstep.files import AnyPath
from gradstep.groups import Groups
from gradstep.hyper import Hyper
from gradstep.memory import is_writable
from gradstep.precision import Precision


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
        ``take(hyper, memory, t, skipped, arrays)``: into each first array of ``arrays`` go the numbers of the second.
    lock
        What a step holds; whoever reads or changes more than one of these while others step holds it too.
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

    def places(self) -> dict[str, Any]:
        """Every array by its name in a file."""
        params = {f"{PARAM}{name}": x for name, x in self.params.items()}
        state = {f"{STATE}{name}/{key}": x for name, own in self.state.items() for key, x in own.items()}
        return {**params, **state}

    def saved(self) -> Saved:
        """All but the arrays."""
        progress = self.t, self.skipped, self.memory
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
    return {name: to_numpy(x) for name, x in places.items()}, {"optimizer": asdict(parts.saved())}


def plan(
    parts: Parts, found: Checkpoint, path: AnyPath, *, strict: bool = True, hyper: bool = True, rng: Rng | None = None
) -> Callable[[], None]:
    """Return the function that restores a checkpoint, once everything that could be wrong with it has been looked at.

    Raises
    ------
    CheckpointError
        When it is not of this optimizer.
    """
    mine, places = parts.saved(), parts.places()
    try:
        saved = Saved.from_json(found.metadata.get("optimizer"))
        differences = [*saved.differences(mine, strict), *array_differences(found.arrays, places, strict)]
        if differences:
            raise CheckpointError(listed(differences))
        taken = saved.hyperparameters(parts.hyper) if hyper else parts.hyper
        memory = saved.memory(mine)
        put_rng = rng_setter({} if rng is None else rng, found.metadata.get("rng"))
    except CheckpointError as problem:
        message = f"checkpoint {os.fspath(path)!r} is not of this optimizer: {problem}. Nothing was changed."
        raise CheckpointError(message) from None
    pairs = [(x, y) for name, x in places.items() if (y := found.arrays.get(name)) is not None and is_writable(x)]

    def restore() -> None:
        parts.take(taken, memory, saved.t, saved.skipped, pairs)
        put_rng()

    return uninterrupted(restore)


def uninterrupted(act: Callable[[], None]) -> Callable[[], None]:
    """``act``, which may be called twice, such that an interrupt does not leave it half done."""

    def whole() -> None:
        try:
            act()
        except BaseException:  # also what a signal handler raises
            act()  # what is begun is finished, and then the interrupt goes on its way
            raise

    return whole
