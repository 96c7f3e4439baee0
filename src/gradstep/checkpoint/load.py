"""A file as plain arrays and what is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from gradstep.checkpoint.format import read
from gradstep.checkpoint.optimizer import BEST, PARAM, STATE
from gradstep.files import AnyPath


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
        A file that ``opt.save`` wrote.

    Raises
    ------
    CheckpointError
        When the file is not to the last bit what was written, or of a later format.
    FileNotFoundError, PermissionError
        When it cannot be opened.
    """
    return Checkpoint(*read(path))
