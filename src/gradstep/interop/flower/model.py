"""Layers of the global model: checks of their form, and buffers, which are not optimized."""

from typing import Any

import numpy as np

from gradstep.errors import GradstepTypeError, GradstepValueError, NonFiniteError

Array = np.ndarray[Any, np.dtype[Any]]
Layers = dict[str, Array]


def is_buffer(x: Array) -> bool:
    """Return True for a layer of integers or booleans, which is not optimized."""
    return x.dtype.kind in "iub"


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
        if not np.can_cast(y.dtype, float if is_buffer(x) else x.dtype, "same_kind"):
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
    """The average of a buffer, in the dtype of the buffer; where it is no integer, rounded half to even.

    Raises
    ------
    NonFiniteError
        When it is NaN or infinite.
    """
    if not np.isfinite(mean).all():
        raise NonFiniteError(f"layer {name!r} holds NaN or infinity in the aggregate.")
    return np.asarray(mean if is_buffer(mean) else np.rint(mean)).astype(like.dtype)
