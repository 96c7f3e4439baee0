"""Input, checked and converted, in pieces; results by epoch."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.nn.activations import Array

CHUNK = 256  # examples that evaluate and predict look at together: enough for speed, small for the memory of windows


def reals(what: str, x: Any, dtype: np.dtype[Any]) -> Array:
    """``x`` as an array of this dtype.

    Raises
    ------
    GradstepTypeError
        For anything but real numbers.
    GradstepValueError
        For NaN and infinity, also those that come of rounding to this dtype.
    """
    x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise GradstepTypeError(f"the {what} must be real numbers, not {x.dtype}.")
    with np.errstate(over="ignore"):
        x = x.astype(dtype, copy=False)
    if not np.isfinite(x).all():
        raise GradstepValueError(f"the {what} hold NaN or infinity (as {dtype}); remove or replace those examples.")
    return x


def as_shares(weights: Any, count: int, dtype: np.dtype[Any]) -> Array:
    """Weights of ``count`` examples, checked, and scaled to the mean one.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        For what is no real number, another shape, a weight that is below zero or not finite, and zeros alone.
    """
    w = reals("weights", weights, np.dtype(np.float64))
    if w.shape != (count,):
        raise GradstepValueError(f"there are {count} examples, but the weights have shape {w.shape}.")
    total = float(w.sum())
    if (w < 0).any() or not total > 0:
        raise GradstepValueError("the weights must not be below zero, and not all be zero.")
    return (w * (count / total)).astype(dtype)


def chunks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Generate the same pieces of each array, of at most ``CHUNK`` examples."""
    for i in range(0, len(arrays[0]), CHUNK):
        yield tuple(a[i : i + CHUNK] for a in arrays)


def batches(rng: np.random.Generator, examples: int, size: int, shuffle: bool) -> list[Array]:
    """Cut one pass over the examples into batches of indices, of which the last may be smaller."""
    order = rng.permutation(examples) if shuffle else np.arange(examples)
    return np.split(order, range(size, examples, size))


def pair(data: Any) -> tuple[Any, Any]:
    """Return validation data as ``x, y``."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise GradstepValueError("validation_data must be a pair (x, y).")
    return data[0], data[1]


class Evaluation(NamedTuple):
    """Mean loss over all examples, and the share of them classified rightly (``None`` for mse)."""

    loss: float
    accuracy: float | None


@dataclass
class History:
    """One number for each epoch. Accuracies stay empty for mse, ``val_*`` without validation data.

    ``loss`` and ``accuracy`` are means over the epoch's batches, each before its step and with Dropout on.
    """

    loss: list[float] = field(default_factory=list[float])
    accuracy: list[float] = field(default_factory=list[float])
    val_loss: list[float] = field(default_factory=list[float])
    val_accuracy: list[float] = field(default_factory=list[float])

    def add(self, prefix: str, result: Evaluation) -> None:
        """Append to ``{prefix}loss`` and, if there is one, to ``{prefix}accuracy``."""
        getattr(self, f"{prefix}loss").append(result.loss)
        if result.accuracy is not None:
            getattr(self, f"{prefix}accuracy").append(result.accuracy)

    def last(self) -> str:
        """Return the results of the last epoch in words."""
        return "  ".join(f"{name} {numbers[-1]:.4f}" for name, numbers in vars(self).items() if numbers)
