"""Activations: a function and its derivative, written by its output."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep.naming import find

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Activation:
    """A function applied to the weighted sums of a layer.

    Attributes
    ----------
    name
        As layers are given it: ``"relu"``.
    forward
        ``z -> a``, arrays of the same shape and dtype; softmax works along the last axis.
    backward
        ``(a, d) -> dz``: the gradient of the loss with respect to z, from the output and the gradient there.
    """

    name: str
    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]

    def __reduce__(self) -> tuple[Any, ...]:
        return activation, (self.name,)  # its functions have no names under which a pickle could find them


def _sigmoid(z: Array) -> Array:
    with np.errstate(over="ignore"):  # exp(-z) = inf gives 0, which is right
        return 1.0 / (1.0 + np.exp(-z))


def softmax(z: Array) -> Array:
    """Probabilities along the last axis; the largest entry is taken off first, so that nothing overflows."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation("linear", lambda z: z, lambda a, d: d),  # noqa: ARG005 - its derivative is 1 everywhere
        Activation("relu", lambda z: np.maximum(z, 0.0), lambda a, d: d * (a > 0)),
        Activation("tanh", np.tanh, lambda a, d: d * (1.0 - a * a)),
        Activation("sigmoid", _sigmoid, lambda a, d: d * (a * (1.0 - a))),
        Activation("softmax", softmax, lambda a, d: a * (d - (a * d).sum(axis=-1, keepdims=True))),
    )
}


def activation(name: object) -> Activation:
    """Return the activation of this name.

    Raises
    ------
    GradstepValueError
        For an unknown name, with close matches.
    """
    return find("unknown activation", str(name), ACTIVATIONS)
