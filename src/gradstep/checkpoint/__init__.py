"""Checkpoints: what an optimizer is, in a file that is old or new but never between, and in which no bit is unchecked.

``opt.save("run.safetensors")``, ``opt.restore("run.safetensors")``, and :func:`load` for the plain arrays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from gradstep.checkpoint.format import canonical, read, write
from gradstep.checkpoint.optimizer import PARAM, STATE
from gradstep.checkpoint.rng import Rng, rng_state
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.files import AnyPath
from gradstep.version import __version__

__all__ = ["Checkpoint", "Rng", "load", "users", "write"]
_DEEPEST = 100  # levels of what a user saves: far from what Python's parser can read


@dataclass(frozen=True)
class Checkpoint:
    """What is in a file.

    Attributes
    ----------
    arrays
        All arrays by their names in the file: ``param/layer.w``, ``state/layer.w/adam.m``; with the dtype, byte order,
        shape and values that were saved, each in memory of its own.
    metadata
        What the manifest says besides: ``format``, ``library`` (the version that wrote it), ``optimizer`` (rule,
        hyperparameters, groups, t ...), ``rng``, ``extra``, ``run``.
    """

    arrays: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, Any]

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
    def t(self) -> int:
        """Updates made."""
        return self.metadata["optimizer"]["t"]

    @property
    def extra(self) -> Any:
        """What the user had saved with it."""
        return self.metadata.get("extra")


def users(extra: Any, rng: "Rng | None") -> dict[str, Any]:
    """The parts of a manifest that every checkpoint has besides its optimizer.

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


def load(path: AnyPath) -> Checkpoint:
    """Read a checkpoint as plain arrays; no code in it is run, and no optimizer is needed.

    Parameters
    ----------
    path
        A file that ``opt.save`` wrote.

    Raises
    ------
    CheckpointError
        When the file is not to the last bit what was written, or of a later format.
    FileNotFoundError, PermissionError
        When it cannot be opened.
    """
    return Checkpoint(*read(path))
