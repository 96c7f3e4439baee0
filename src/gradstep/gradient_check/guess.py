"""Guesses at what is wrong with a gradient, from a few of its elements."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gradstep.array.namespaces import is_complex
from gradstep.gradient_check.function import RealFunction, Reals

NEAR = 1e-3


def guess(function: RealFunction, k: int, found: Sequence[tuple[int, float, float, float]]) -> str:
    """Return a guess such as ``: the sign is wrong``, or an empty text.

    Parameters
    ----------
    function, k
        The function, and which parameter.
    found
        Of some elements: which, gradient, derivative, and how far these may be apart.
    """
    where, given, true, slack = (np.array(column) for column in zip(*found, strict=True))
    return next((f": {words}" for words in _words(function, k, where, given, true, slack)), "")


def _words(
    function: RealFunction, k: int, where: NDArray[np.int64], given: Reals, true: Reals, slack: Reals
) -> Iterator[str]:
    if not given.any():
        yield "it is zero"
        return
    large = np.abs(true) >= 0.1 * np.max(np.abs(true))
    c = float(np.median(given[large] / true[large]))
    if abs(c - 1) > NEAR and np.all(np.abs(given - c * true) <= NEAR * np.abs(c * true) + slack * max(1.0, abs(c))):
        yield _factor(c)
    for name, other in _others(function, k):
        if other.shape == function.grads[k].shape and np.all(
            np.abs(other[where] - true) <= NEAR * np.abs(true) + slack
        ):
            yield f"it is {name}"


def _factor(c: float) -> str:
    if abs(c + 1) <= NEAR:
        return "the sign is wrong"
    n = round(1 / c) if abs(c) < 1 else round(c)
    near = abs((c if abs(c) > 1 else 1 / c) - n) <= NEAR * abs(n) and abs(n) < 1e6
    if near and abs(c) < 1:
        return f"it is 1/{n} of what it should be" if n > 0 else f"it is -1/{-n} of what it should be"
    return f"it is {n if near else f'{c:.4g}'} times what it should be"


def _others(function: RealFunction, k: int) -> Iterator[tuple[str, Reals]]:
    """Generate other arrays that could have been given in a gradient's place, with their names."""
    shape = tuple(function.leaves[k].shape)
    if is_complex(function.leaves[k]):
        yield "conjugated", function.grads[k] * np.tile([1.0, -1.0], len(function.grads[k]) // 2)
    elif len(shape) == 2:
        yield "transposed", function.grads[k].reshape(shape[::-1]).T.reshape(-1)
    for i, g in enumerate(function.grads):
        if i != k:
            yield f"that of {function.names[i]!r}", g
