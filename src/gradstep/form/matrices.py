"""Whole arrays as matrices: what a stage that sees all elements at once computes with, and the shapes of its state.

An array of two axes is a matrix of rows and columns. One of more is a stack of them, over its last two axes; one of one
axis is a column; a number is a matrix of one element.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
from array_api_compat import device, is_jax_array

from gradstep.array.namespaces import namespace
from gradstep.array.reduction import axis_sums

Folds = Literal["first", "last"] | int
AXES = {"rows": (-2,), "columns": (-1,), "all": (-1, -2)}  # what a mean over rows goes along, and so on
BLOCK = 64  # rows that trisolve finds at once
OVER = (*AXES, "array")  # the last goes over the matrices of a stack too

# The shape of a slot, by the word that a rule declares for it: its last two axes.
SHAPES: Mapping[str, Callable[[int, int], tuple[int, int]]] = {
    "rows": lambda rows, _: (rows, 1),
    "columns": lambda _, columns: (1, columns),
    "rows rows": lambda rows, _: (rows, rows),
    "columns columns": lambda _, columns: (columns, columns),
    "one": lambda _rows, _columns: (1, 1),
}


SQUARES = ("rows rows", "columns columns")  # the shapes that have an identity


@dataclass(frozen=True)
class Identity:
    """The start of a square slot: the identity times a factor."""

    factor: float = 1.0

    def added_to(self, x: Any) -> Any:
        """Return the sum with a square matrix, a stack of them, or a diagonal."""
        if x.shape[-1] != x.shape[-2]:  # the diagonal of one
            return x + self.factor
        place = None if is_jax_array(x) else device(x)  # JAX's own lies where it is needed
        one = namespace(x).eye(x.shape[-1], dtype=x.dtype, device=place)
        return x + one * self.factor


def identity_factor(how: Any) -> str | None:
    """Return the hyperparameter of a start such as ``"eps identity"``, ``""`` without one; None for other starts."""
    words = how.split() if isinstance(how, str) else []
    return " ".join(words[:-1]) if words[-1:] == ["identity"] else None


def matrix_shape(shape: tuple[int, ...], folds: Folds | None = None) -> tuple[int, ...]:
    """Return the shape of an array as a matrix or a stack of them.

    Folded, all axes but the first, or the last, are one: an array of one axis is one row, or one column. Folded by a
    number, an array whose second longest axis is shorter is one column of all its elements.
    """
    if isinstance(folds, int):
        is_small = len(shape) < 2 or sorted(shape)[-2] < folds
        return (prod(shape), 1) if is_small else shape
    if folds is None:
        return (*shape, *(1,) * (2 - len(shape)))
    if folds == "first":
        kept, rest = (shape[:1], shape[1:]) if len(shape) > 1 else ((), shape)
        return prod(kept), prod(rest)
    kept, rest = (shape[-1:], shape[:-1]) if len(shape) > 1 else ((), shape)
    return prod(rest), prod(kept)


def slot_shape(
    word: str, shape: tuple[int, ...], longest: int | None = None, *, vectors: bool = True
) -> tuple[int, ...]:
    """Return the shape of a slot of a parameter of that shape.

    Of a square with a side above ``longest`` it is a column: the diagonal. So it is of those of a vector without
    ``vectors``.
    """
    *stack, rows, columns = matrix_shape(shape)
    side, other = SHAPES[word](rows, columns)
    is_long = longest is not None and side > longest
    is_diagonal = word in SQUARES and (is_long or not (vectors or columns > 1))
    return (*stack, side, 1 if is_diagonal else other)


def as_matrix(x: Any, folds: Folds | None = None) -> Any:
    """Return an array as a matrix or a stack of them; folded as :func:`matrix_shape` says."""
    shape = matrix_shape(tuple(x.shape), folds)
    return x if shape == tuple(x.shape) else namespace(x).reshape(x, shape)


def squares(xp: Any, x: Any) -> Any:
    """Return the diagonal of ``x`` times its transpose, as a column; NumPy's sums in one fixed order."""
    if xp is not np:
        return xp.sum(x * x, axis=-1, keepdims=True)
    wide = np.asarray(x, np.float64)
    return axis_sums(wide * wide, -1).astype(x.dtype)


def _along(x: Any, over: str) -> tuple[int, ...]:
    return tuple(range(-x.ndim, 0)) if over == "array" else AXES[over]


def mean(xp: Any, x: Any, over: str) -> Any:
    """Return the mean over one of :data:`OVER`, with the axes kept; NumPy's in one fixed order."""
    axes = _along(x, over)
    count = max(prod(x.shape[axis] for axis in axes), 1)  # the mean of nothing is 0
    if xp is not np:
        return xp.sum(x, axis=axes, keepdims=True) / count
    wide = np.asarray(x, np.float64)
    for axis in AXES.get(over, AXES["all"]):
        wide = axis_sums(wide, axis)
    if over == "array":  # a sum for each matrix
        wide = axis_sums(wide.reshape(1, -1), -1).reshape((1,) * x.ndim)
    return (wide / count).astype(x.dtype)


def norm(xp: Any, x: Any) -> Any:
    """Return the Frobenius norm of each matrix, with the axes kept."""
    if xp is not np:
        return xp.sqrt(xp.sum(x * x, axis=AXES["all"], keepdims=True))
    wide = np.asarray(x, np.float64)
    return np.sqrt(axis_sums(axis_sums(wide * wide, -1), -2)).astype(x.dtype)


def largest(xp: Any, x: Any, over: str) -> Any:
    """Return the largest element over one of :data:`OVER`, with the axes kept; NaN if one is."""
    axes = _along(x, over)
    if any(x.shape[axis] == 0 for axis in axes):
        return xp.sum(x, axis=axes, keepdims=True)
    return xp.max(x, axis=axes, keepdims=True)


def transpose(xp: Any, x: Any) -> Any:
    """Exchange rows and columns."""
    return xp.matrix_transpose(x)


def wide(xp: Any, x: Any) -> Any:
    """Return ``x``, or its transpose where it has more rows than columns."""
    return transpose(xp, x) if x.shape[-2] > x.shape[-1] else x


def shaped_as(xp: Any, x: Any, like: Any) -> Any:
    """Return ``x``, or its transpose where ``like`` has more rows than columns: the inverse of :func:`wide`."""
    return transpose(xp, x) if like.shape[-2] > like.shape[-1] else x


def eigh(xp: Any, x: Any) -> tuple[Any, Any]:
    """Return the eigenvalues of a symmetric matrix as a row, and its eigenvectors as columns; NumPy works in float64.

    The largest element of each vector is positive: libraries choose signs of their own. All are NaN if an element of
    the matrix is not finite, or LAPACK does not find them: an error in the midst of a step could not be undone.
    """
    if xp is not np:
        values, vectors = xp.linalg.eigh(x)
        return xp.expand_dims(values, axis=-2), vectors * _signs(xp, vectors)
    try:
        values, vectors = np.linalg.eigh(x) if np.isfinite(x).all() else (None, None)
    except np.linalg.LinAlgError:
        values = vectors = None
    if values is None or vectors is None:
        return np.full((*x.shape[:-2], 1, x.shape[-1]), np.nan, x.dtype), np.full(x.shape, np.nan, x.dtype)
    vectors *= _signs(np, vectors)
    return values[..., None, :], vectors


def _signs(xp: Any, vectors: Any) -> Any:
    """Return a row of the signs of the largest elements of columns, 1 where there is none."""
    if vectors.shape[-1] == 0:
        return vectors
    top = xp.take_along_axis(vectors, xp.argmax(xp.abs(vectors), axis=-2, keepdims=True), axis=-2)
    return xp.where(top < 0.0, -xp.ones_like(top), xp.ones_like(top))


def qr(xp: Any, x: Any) -> tuple[Any, Any]:
    """Return the orthogonal and the triangular factor of a square matrix."""
    q, r = xp.linalg.qr(x)
    return q, r


def iterated(xp: Any, x: Any, q: Any) -> Any:
    """Return the eigenvectors ``q`` of a symmetric matrix near to ``x`` after one orthogonal iteration.

    They are the columns of x q, made orthonormal one after the other, those with the largest q x q first; each stays in
    its place, and has the sign that :func:`eigh` gives it.
    """
    y = xp.matmul(x, q)
    order = xp.argsort(-xp.sum(q * y, axis=-2, keepdims=True), axis=-1, stable=True)
    y = xp.take_along_axis(y, xp.broadcast_to(order, y.shape), axis=-1)
    y, _ = qr(xp, y)
    y = xp.take_along_axis(y, xp.broadcast_to(xp.argsort(order, axis=-1), y.shape), axis=-1)
    return y * _signs(xp, y)


def upper(xp: Any, x: Any) -> Any:
    """Return a square matrix with zeros below its diagonal."""
    return xp.triu(x)


def trisolve(xp: Any, a: Any, b: Any) -> Any:
    """Return the inverse of a lower triangle times another matrix; above the diagonal of ``a`` nothing is read.

    On NumPy the rows are found a block after the other, blocks on the diagonal in float64; NaN where there is no
    inverse.
    """
    if xp is not np:
        return xp.linalg.solve(xp.tril(a), b)
    out = np.empty(b.shape, b.dtype)
    for start in range(0, b.shape[-2], BLOCK):
        own = slice(start, start + BLOCK)
        rest = b[..., own, :] - a[..., own, :start] @ out[..., :start, :]
        try:
            out[..., own, :] = np.linalg.solve(np.tril(a[..., own, own]).astype(np.float64), rest)
        except np.linalg.LinAlgError:
            return np.full_like(b, np.nan)
    return out


def least_norm(xp: Any, x: Any) -> Any:
    """Return a bound from below of the largest eigenvalue of a symmetric matrix that has none below zero.

    It is the length of x times a unit vector: that along x times the longest column of x.
    """
    if x.shape[-1] == 0:
        return xp.sum(x, axis=AXES["all"], keepdims=True)
    top = largest(xp, xp.abs(x), "all")
    y = x / xp.where(top > 0.0, top, xp.ones_like(top))
    place = xp.argmax(xp.sum(y * y, axis=-2, keepdims=True), axis=-1, keepdims=True)
    column = xp.matmul(y, xp.take_along_axis(y, xp.broadcast_to(place, (*y.shape[:-1], 1)), axis=-1))
    length = norm(xp, column)
    unit = column / xp.where(length > 0.0, length, xp.ones_like(length))
    return top * norm(xp, xp.matmul(y, unit))


def when(number: Any, step: Callable[..., Any], *x: Any) -> Any:
    """Return ``step`` of ``x``, which gives as many, where the number is above zero, else ``x``."""
    if is_jax_array(number):
        from jax import core, lax  # pyright: ignore[reportMissingImports]  # there is an array of JAX's

        if isinstance(number, core.Tracer):  # which knows its value later
            alone = lax.cond(number > 0, lambda *y: _columns(step(*map(_like, x, y))), lambda *y: y, *_columns(x))
            x = tuple(map(_like, x, alone))
            return x[0] if len(x) == 1 else x
    if number > 0:
        return step(*x)
    return x[0] if len(x) == 1 else x


def _columns(x: Any) -> tuple[Any, ...]:
    """Return arrays, the diagonals among them as the columns in which they lie."""
    return tuple(getattr(y, "column", y) for y in (x if isinstance(x, tuple) else (x,)))


def _like(x: Any, y: Any) -> Any:
    """Return an array as a diagonal where ``x`` is one."""
    return type(x)(y) if hasattr(x, "column") else y


def simplex(xp: Any, x: Any, total: Any) -> Any:
    """Return the nearest matrix to ``x`` of numbers that are not below zero and add up to ``total``, a number.

    All elements less one number, and what comes below zero cut there: Held, Wolfe & Crowder 1974. On NumPy by float64.
    """
    shape = (*x.shape[:-2], x.shape[-2] * x.shape[-1])
    if shape[-1] == 0:
        return x
    flat = xp.reshape(x, shape)
    if xp is np:
        flat, total = np.asarray(flat, np.float64), np.asarray(total, np.float64)
    flat = flat - xp.max(flat, axis=-1, keepdims=True)  # the same point, and the first of these numbers always stays
    down = xp.flip(xp.sort(flat, axis=-1), axis=-1)
    sums = np.cumsum(down, axis=-1) if xp is np else xp.cumulative_sum(down, axis=-1)
    count = xp.cumulative_sum(xp.ones_like(down), axis=-1) if xp is not np else np.arange(1.0, shape[-1] + 1.0)
    stays = xp.where(down * count > sums - total, xp.ones_like(down), xp.zeros_like(down))
    number = xp.sum(stays, axis=-1, keepdims=True)
    last = xp.where(count == number, sums, xp.zeros_like(sums))  # the sum of those that stay above zero
    less = (xp.sum(last, axis=-1, keepdims=True) - total) / number
    out = xp.reshape(xp.where(flat > less, flat - less, xp.zeros_like(flat)), x.shape)
    return out.astype(x.dtype) if xp is np else out


WORDS: Mapping[str, Callable[..., Any]] = {
    "mean": mean,
    "max": largest,
    "norm": norm,
    "squares": squares,
    "matmul": lambda xp, a, b: xp.matmul(a, b),
    "gram": lambda xp, x, _: xp.matmul(x, xp.matrix_transpose(x)),
    "transpose": transpose,
    "wide": wide,
    "shaped_as": shaped_as,
    "eigh": eigh,
    "qr": qr,
    "iterated": iterated,
    "upper": upper,
    "trisolve": trisolve,
    "least_norm": least_norm,
    "simplex": simplex,
    "rows": lambda _, x: float(max(x.shape[-2], 1)),  # at least 1: a number to divide by
    "columns": lambda _, x: float(max(x.shape[-1], 1)),
    "spacing": lambda xp, x: float(xp.finfo(x.dtype).eps),
}
