"""Gradients of NumPy expressions by the chain rule backwards, for problems whose gradients are long by hand.

>>> import numpy as np
>>> value, grads = gradients(lambda p: tanh(p["w"]).sum(), {"w": np.zeros(2)})
>>> value, grads["w"]
(0.0, array([1., 1.]))
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray[Any, np.dtype[Any]]
Params = dict[str, Array]


class Var:
    """An array that remembers how it came about: ``parents`` with the gradient that each gets from this one's."""

    __array_ufunc__ = None  # an array on the left leaves the operation to this class
    __slots__ = ("grad", "number", "parents", "value")
    _numbers = itertools.count()  # in the order of their making, so parents have lower ones

    def __init__(self, value: Any, *parents: tuple["Var", Callable[[Array], Array]]) -> None:
        self.value: Array = value
        self.parents = parents
        self.grad: Any = None
        self.number = next(self._numbers)

    def __add__(self, other: Any) -> "Var":
        return _two(self, other, np.add, lambda d, _, __: d, lambda d, _, __: d)

    def __sub__(self, other: Any) -> "Var":
        return _two(self, other, np.subtract, lambda d, _, __: d, lambda d, _, __: -d)

    def __mul__(self, other: Any) -> "Var":
        return _two(self, other, np.multiply, lambda d, _, b: d * b, lambda d, a, _: d * a)

    def __matmul__(self, other: Any) -> "Var":
        return _two(
            self, other, np.matmul, lambda d, _, b: d @ b.swapaxes(-1, -2), lambda d, a, _: a.swapaxes(-1, -2) @ d
        )

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> "Var":
        return self * -1 + other

    def __rmatmul__(self, other: Any) -> "Var":
        return Var(other) @ self

    def __getitem__(self, key: Any) -> "Var":
        """The elements there; arrays of integers may name one several times."""

        def back(d: Array) -> Array:
            grad = np.zeros_like(self.value)
            if isinstance(key, np.ndarray):
                np.add.at(grad, key, d)
            else:
                grad[key] = d
            return grad

        return Var(self.value[key], (self, back))

    def sum(self) -> "Var":
        """The sum of all elements."""
        return Var(self.value.sum(), (self, lambda d: np.broadcast_to(d, self.value.shape)))

    def mean(self) -> "Var":
        """The mean of all elements."""
        return self.sum() * (1 / self.value.size)

    def reshape(self, *shape: int) -> "Var":
        """The same elements in another shape."""
        return Var(self.value.reshape(shape), (self, lambda d: d.reshape(self.value.shape)))

    def transpose(self, *axes: int) -> "Var":
        """The axes in another order."""
        return Var(self.value.transpose(axes), (self, lambda d: d.transpose(np.argsort(axes))))


def gradients(function: Callable[[Any], Var], params: Params) -> tuple[float, Params]:
    """Return the value of a function of named arrays, and the gradients by each of them."""
    own = {name: Var(x) for name, x in params.items()}
    top = function(own)
    top.grad = np.ones_like(top.value)
    for var in _all_of(top):
        for parent, back in var.parents:
            given = back(var.grad)
            parent.grad = given if parent.grad is None else parent.grad + given
    zero = {name: np.zeros_like(x) for name, x in params.items()}
    return float(top.value), {name: zero[name] if x.grad is None else x.grad for name, x in own.items()}


def value(function: Callable[[Any], Var], params: Mapping[str, Array]) -> float:
    """Return the value of such a function alone."""
    return float(function({name: Var(x) for name, x in params.items()}).value)


def stack(parts: list[Var]) -> Var:
    """Variables of one shape along a new first axis."""
    return Var(np.stack([x.value for x in parts]), *((x, lambda d, k=k: d[k]) for k, x in enumerate(parts)))


def exp(x: Var) -> Var:
    """The exponential function."""
    y = np.exp(x.value)
    return Var(y, (x, lambda d: d * y))


def tanh(x: Var) -> Var:
    """The hyperbolic tangent."""
    y = np.tanh(x.value)
    return Var(y, (x, lambda d: d * (1 - y * y)))


def sigmoid(x: Var) -> Var:
    """``1 / (1 + exp(-x))``, which never overflows."""
    y = 0.5 * (1 + np.tanh(0.5 * x.value))
    return Var(y, (x, lambda d: d * (y * (1 - y))))


def relu(x: Var) -> Var:
    """The positive part."""
    return Var(np.maximum(x.value, 0), (x, lambda d: d * (x.value > 0)))


def softplus(x: Var) -> Var:
    """``log(1 + exp(x))``."""
    return Var(np.logaddexp(x.value, 0), (x, lambda d: d * (0.5 * (1 + np.tanh(0.5 * x.value)))))


def softmax(x: Var) -> Var:
    """Probabilities along the last axis."""
    y = np.exp(x.value - x.value.max(axis=-1, keepdims=True))
    y /= y.sum(axis=-1, keepdims=True)
    return Var(y, (x, lambda d: y * (d - (y * d).sum(axis=-1, keepdims=True))))


def cross_entropy(x: Var, labels: Array) -> Var:
    """Mean negative logarithm of the softmax along the last axis, at the labels."""
    flat, at = x.value.reshape(-1, x.value.shape[-1]), labels.ravel()
    shifted = flat - flat.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    total, rows = e.sum(axis=1), np.arange(len(at))

    def back(d: Array) -> Array:
        p = e / total[:, None]
        p[rows, at] -= 1
        return (p * (d / len(at))).reshape(x.value.shape)

    return Var((np.log(total) - shifted[rows, at]).mean(), (x, back))


def normalise(x: Var, axes: tuple[int, ...], eps: float = 1e-5) -> Var:
    """Take mean 0 and variance 1 over these axes, as batch and layer normalisation do."""
    centred = x.value - x.value.mean(axis=axes, keepdims=True)
    scale = 1 / np.sqrt((centred * centred).mean(axis=axes, keepdims=True) + eps)
    y = centred * scale

    def back(d: Array) -> Array:
        return scale * (d - d.mean(axis=axes, keepdims=True) - y * (d * y).mean(axis=axes, keepdims=True))

    return Var(y, (x, back))


def patches(x: Var, size: int) -> Var:
    """All squares of so many pixels in images (examples, height, width, channels), each as one row of numbers."""
    many, height, width, channels = x.value.shape
    down, across = height - size + 1, width - size + 1
    seen = sliding_window_view(x.value, (size, size), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)

    def back(d: Array) -> Array:
        each = d.reshape(many, down, across, size, size, channels)
        grad = np.zeros_like(x.value)
        for i, j in np.ndindex(size, size):
            grad[:, i : i + down, j : j + across] += each[:, :, :, i, j]
        return grad

    return Var(seen.reshape(many, down, across, size * size * channels), (x, back))


def _two(a: Var, other: Any, function: Any, back_a: Any, back_b: Any) -> Var:
    """Return a function of two; a number or an array in place of the second gets no gradient."""
    if not isinstance(other, Var):
        x = a.value
        return Var(function(x, other), (a, lambda d: _summed(back_a(d, x, other), x.shape)))
    x, y = a.value, other.value
    return Var(
        function(x, y),
        (a, lambda d: _summed(back_a(d, x, y), x.shape)),
        (other, lambda d: _summed(back_b(d, x, y), y.shape)),
    )


def _summed(d: Array, shape: tuple[int, ...]) -> Array:
    """Return the gradient of what was broadcast: the sum over all places where it was used."""
    if d.shape == shape:
        return d
    d = d.sum(axis=tuple(range(d.ndim - len(shape))))
    return d.sum(axis=tuple(k for k, n in enumerate(shape) if n == 1 < d.shape[k]), keepdims=True)


def _all_of(top: Var) -> list[Var]:
    """Return all that a variable came from and itself, the latest first."""
    found, stack = {top.number: top}, [top]
    while stack:
        for parent, _ in stack.pop().parents:
            if parent.number not in found:
                found[parent.number] = parent
                stack.append(parent)
    return [found[number] for number in sorted(found, reverse=True)]
