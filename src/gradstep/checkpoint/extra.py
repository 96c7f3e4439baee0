"""The user's own data in a checkpoint: JSON and random generators."""

from collections.abc import Mapping
from typing import Any

from gradstep.checkpoint.format import canonical
from gradstep.checkpoint.rng import Rng, rng_state
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.version import __version__

_DEEPEST = 100  # levels of what a user saves: far from what Python's parser can read


def user_metadata(extra: Any, rng: Rng | None) -> dict[str, Any]:
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
