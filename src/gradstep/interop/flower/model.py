"""Layers of the global model: checks of their form, and buffers, which are not optimized."""

from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from gradstep.errors import GradstepTypeError, GradstepValueError, NonFiniteError

Array = np.ndarray[Any, np.dtype[Any]]
Layers = dict[str, Array]


BUFFERS = ("*running_mean", "*running_var", "*moving_mean", "*moving_variance", "batch_stats*")
"""Names of floating layers that clients compute and do not train: those of torch, Keras and Flax."""


def is_whole(x: Array) -> bool:
    """Return True for a layer of integers or booleans."""
    return x.dtype.kind in "iub"


class Buffers:
    """The layers that are not optimized: those of integers or booleans, and those whose names match a pattern.

    Parameters
    ----------
    patterns
        A pattern or several, as those of groups; those of the user's own are held to match a layer.

    Raises
    ------
    GradstepTypeError
        For what is no str.
    """

    def __init__(self, patterns: Any) -> None:
        self.patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        if odd := [x for x in self.patterns if not isinstance(x, str)]:
            raise GradstepTypeError(f"buffers must be patterns of layers' names, not {odd[0]!r}.")

    def among(self, layers: Layers) -> set[str]:
        """Return the names of those that are not optimized.

        Raises
        ------
        GradstepValueError
            For a pattern that matches no layer.
        """
        for pattern in self.patterns if self.patterns != BUFFERS else ():
            if not any(fnmatchcase(name, pattern) for name in layers):
                raise GradstepValueError(f"buffers: {pattern!r} matches no layer; there are {', '.join(layers)}.")
        named = {name for name in layers for pattern in self.patterns if fnmatchcase(name, pattern)}
        return named | {name for name, x in layers.items() if is_whole(x)}


def check_alike(current: Layers, mean: Layers) -> None:
    """Refuse an average of other layers than those of the model.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        By the name of the first that differs.
    """
    if odd := sorted(current.keys() ^ mean.keys()):
        where = "current model" if odd[0] in current else "aggregate"
        raise GradstepValueError(f"layer {odd[0]!r} is in the {where} alone; all clients must send the model's layers.")
    for name, x in current.items():
        y = mean[name]
        if y.shape != x.shape:
            raise GradstepValueError(f"layer {name!r} has shape {x.shape}, but {y.shape} in the aggregate.")
        if not np.can_cast(y.dtype, float if is_whole(x) else x.dtype, "same_kind"):
            raise GradstepTypeError(f"layer {name!r} is {x.dtype}, but {y.dtype} in the aggregate.")


def check_same(known: Layers, params: Layers) -> None:
    """Refuse layers that are not those which an optimizer has state for.

    Raises
    ------
    GradstepValueError
        By the name of the first that differs.
    """
    again = "make a new ServerOptimizer for another model."
    if odd := sorted(known.keys() ^ params.keys()):
        what = "was optimized in the rounds before, and is not now" if odd[0] in known else "is new"
        raise GradstepValueError(f"layer {odd[0]!r} {what}; {again}")
    for name, x in params.items():
        y = known[name]
        if (x.shape, x.dtype) != (y.shape, y.dtype):
            was = f"{x.dtype} of shape {x.shape}, but was {y.dtype} of shape {y.shape} in the rounds before"
            raise GradstepValueError(f"layer {name!r} is {was}; {again}")


def as_buffer(name: str, mean: Array, like: Array) -> Array:
    """The average of a buffer, in the dtype of the buffer; for one of integers rounded half to even.

    Raises
    ------
    NonFiniteError
        When it is NaN or infinite.
    """
    if not np.isfinite(mean).all():
        raise NonFiniteError(f"layer {name!r} holds NaN or infinity in the aggregate.")
    return np.asarray(np.rint(mean) if is_whole(like) and not is_whole(mean) else mean).astype(like.dtype)
