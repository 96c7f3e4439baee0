"""Losses: a number and its gradient from the last layer's output and the targets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.naming import find
from gradstep.nn.activations import Array
from gradstep.nn.data import reals


@dataclass(frozen=True)
class Loss:
    """A mean over the examples of a batch.

    Attributes
    ----------
    name
        As ``compile`` is given it: ``"mse"``.
    on_logits
        It takes the sums that enter the last layer's softmax instead of that layer's output.
    targets
        ``(y, shape, dtype) -> y`` checked and converted, for outputs of ``shape`` = (examples, ...).
    value_and_gradient
        ``(outputs, targets, weights) -> (float, array shaped like outputs)``; weights of the examples have the mean
        one, or are None.
    correct
        ``(outputs, targets) -> int``: how many examples are classified rightly; ``None`` where there are no classes.
    """

    name: str
    on_logits: bool
    targets: Callable[[Any, tuple[int, ...], np.dtype[Any]], Array]
    value_and_gradient: Callable[..., tuple[float, Array]]
    correct: Callable[[Array, Array], int] | None = None


def _numbers(y: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    y = reals("targets", y, dtype)
    if y.shape == shape[:1] and shape[1:] == (1,):
        y = y[:, None]
    if y.shape != shape:
        raise GradstepValueError(f"the loss mse needs targets of the outputs' shape {shape}, not {y.shape}.")
    return y


def _squares(outputs: Array, targets: Array, weights: Array | None = None) -> tuple[float, Array]:
    difference = outputs - targets
    squares, gradient = difference * difference, difference * (2.0 / difference.size)
    if weights is not None:
        each = weights.reshape(-1, *[1] * (difference.ndim - 1))
        squares, gradient = squares * each, gradient * each
    return float(np.mean(squares, dtype=np.float64)), gradient


def _classes(y: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    y = np.asarray(y)
    count = shape[1]
    if y.shape == shape:
        rows = _numbers(y, shape, dtype)
        if (rows < 0).any() or not np.allclose(rows.sum(axis=1), 1.0, rtol=0.0, atol=1e-5):
            raise GradstepValueError("each row of one-hot targets must hold probabilities that sum to 1.")
        return rows
    if y.shape != shape[:1]:
        raise GradstepValueError(
            f"the loss cross_entropy needs labels of shape {shape[:1]} or one-hot rows of shape {shape}, not {y.shape}."
        )
    if y.dtype.kind not in "iub":
        raise GradstepTypeError(f"labels must be integers from 0 to {count - 1}, not {y.dtype}; use y.astype(int).")
    y = y.astype(np.intp)
    if y.min() < 0 or y.max() >= count:
        i = int(np.flatnonzero((y < 0) | (y >= count))[0])
        raise GradstepValueError(f"label {y[i]} of example {i} is out of range; the last layer knows 0 to {count - 1}.")
    return y


def _surprise(logits: Array, targets: Array, weights: Array | None = None) -> tuple[float, Array]:
    # Softmax and logarithm together: log p = shifted - log(total) is finite where p itself would round to 0,
    # and the gradient is p - target, with no division by p.
    shifted = logits - logits.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(axis=1, keepdims=True)
    gradient = e / total
    if targets.ndim == 1:
        rows = np.arange(len(targets))
        chosen = shifted[rows, targets]
        gradient[rows, targets] -= 1.0
    else:
        chosen = (shifted * targets).sum(axis=1)
        gradient -= targets
    gradient *= 1.0 / len(targets)
    each = np.log(total[:, 0]) - chosen
    if weights is not None:
        each, gradient = each * weights, gradient * weights[:, None]
    return float(np.mean(each, dtype=np.float64)), gradient


def _hits(outputs: Array, targets: Array) -> int:
    labels = targets if targets.ndim == 1 else targets.argmax(axis=1)
    return int(np.count_nonzero(outputs.argmax(axis=1) == labels))


LOSSES = {
    "mse": Loss("mse", False, _numbers, _squares),
    "cross_entropy": Loss("cross_entropy", True, _classes, _surprise, _hits),
}


def loss_named(name: object) -> Loss:
    """The loss of this name: ``"mse"`` (mean over examples and outputs) or ``"cross_entropy"`` (after softmax; nats).

    Raises
    ------
    GradstepValueError
        For an unknown name, with close matches.
    """
    return find("unknown loss", str(name), LOSSES)
