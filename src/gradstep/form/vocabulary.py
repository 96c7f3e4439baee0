"""The words a rule may use besides ``+ - * /``, unary minus and a single ``<`` or ``>``.

A word does what its operands ask for. An operand that is no number and no array (one that writes LLVM
instructions, a symbol, a checking operand) has a method ``speak(word, operands)``; Python numbers are computed
with :mod:`math`; arrays of any namespace are computed in that namespace. The meaning is the same everywhere:

=============== ======================================================================================
``sqrt(x)``      the correctly rounded root; NaN for x < 0
``cbrt(x)``      the cube root, also of x < 0, less than an ulp off
``abs(x)``       the absolute value; clears the sign of zero
``sign(x)``      1.0, -1.0, +0.0 for either zero, NaN for NaN
``minimum(a, b)``  a if a < b or a is NaN, else b
``maximum(a, b)``  a if a > b or a is NaN, else b
``where(c, a, b)`` a where the comparison c holds, else b; c may compare scalars
=============== ======================================================================================

A rule of whole arrays (``whole=True``) has more of them, on matrices (an array of one axis is a column). ``over`` is
``"rows"``, ``"columns"``, ``"all"`` of a matrix, or ``"array"``, all of a stack of them; what is taken over an axis
keeps it, with one element:

===================== ==================================================================================
``mean(x, over)``      the mean; on NumPy in one fixed order, in float64, rounded once
``max(x, over)``       the largest element
``norm(x)``            the Frobenius norm, as ``mean``
``matmul(a, b)``       the matrix product
``gram(x, like)``      x times its transpose; the diagonal alone where ``like`` is the square of a long side
``transpose(x)``       rows and columns exchanged
``wide(x)``            x, or its transpose where it has more rows than columns
``shaped_as(x, y)``    x, or its transpose where y has more rows than columns
``eigh(x)``            eigenvalues, as a row, and eigenvectors, as columns, of a symmetric matrix
``qr(x)``              the orthogonal and the triangular factor of a square matrix
``iterated(x, q)``     the eigenvectors q of a matrix near to x, after one orthogonal iteration
``upper(x)``           a square with zeros below its diagonal
``trisolve(a, b)``     the inverse of a square a times b; of a, nothing above the diagonal is read
``least_norm(x)``      a bound from below of the largest eigenvalue of a square that has none below zero
``simplex(x, s)``      the nearest matrix to x of numbers not below zero that add up to s
``repeat(f, x, n)``    f of f of ... of x, n times; x keeps its shape
``when(n, f, x)``      f of x where the scalar n is above zero, else x, and then f costs nothing; x keeps its shape, and
                       may be several: ``p, q = when(n, f, p, q)``
``rows(x)``            how many rows x has, a number; ``columns(x)`` likewise
``spacing(x)``         from 1 to the next number of the dtype that x is computed in
===================== ==================================================================================

A literal that meets an array is rounded to the array's dtype. Some libraries round less well than the table says:
torch's float32 root may be an ulp off, and XLA flushes denormals.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat
import numpy as np

from gradstep.array.namespaces import compute_dtype, namespace
from gradstep.form import matrices

__all__ = [
    "abs", "cbrt", "columns", "eigh", "gram", "iterated", "least_norm", "matmul", "max", "maximum", "mean", "minimum",
    "norm", "qr", "repeat", "rows", "shaped_as", "sign", "simplex", "spacing", "sqrt", "transpose", "trisolve", "upper",
    "when", "where", "wide",
]  # fmt: skip


def _literal(x: Any) -> bool:
    """Return whether ``x`` is a Python number; numpy.float64 derives from float, but has a dtype."""
    return type(x) in (int, float, bool)


def sqrt(x: Any) -> Any:
    """Correctly rounded square root."""
    if type(x) is float and x >= 0.0:  # what scalars() asks at each step, at once
        return math.sqrt(x)
    return _speak("sqrt", x)


def cbrt(x: Any) -> Any:
    """Cube root: less than an ulp off, and by the same operations everywhere."""
    return _speak("cbrt", x)


def cube_root(x: Any, is_double: bool) -> Any:
    """Return :func:`cbrt` by the other words: the system's own function has other bits on each machine.

    |x| is brought into [1, 8] by powers of 8. A parabola gives the root there to 1.6 percent, and Halley's iteration,
    of third order, makes that 3e-6 and 2e-17.
    """
    up, down = ((1023, 54), (768, 384, 192, 96, 48, 24, 12, 6, 3)) if is_double else ((126, 24), (96, 48, 24, 12, 6, 3))
    size = abs(x)
    a, scale = size, size * 0.0 + 1.0
    for n in up:
        is_small = a < 1.0
        a, scale = where(is_small, a * 2.0**n, a), where(is_small, scale * 2.0 ** (-n // 3), scale)
    for n in down:
        is_large = a > 2.0**n
        a, scale = where(is_large, a * 2.0**-n, a), where(is_large, scale * 2.0 ** (n // 3), scale)
    y = 0.7625 + a * (0.2681 - 0.01467 * a)
    for _ in range(2):
        cube = y * y * y
        y = y + y * ((a - cube) / (cube + cube + a))
    y = y * scale
    return where(size * 0.5 < size, where(x < 0.0, -y, y), x)  # zeros, infinities and NaN are their own roots


def normal_number(u: Any) -> Any:
    """Return the number below which a share ``u`` of the standard normal distribution lies, by the other words.

    ``u`` is an odd multiple of 2^-24 between 0 and 1, so that all here up to the logarithm is exact in float32. The
    polynomials are those of Giles 2010 ("Approximating the erfinv function"), and some 3e-7 off.
    """
    x = u + u - 1.0
    y = (1.0 - x) * (1.0 + x)
    order = u * 0.0
    for n in (16, 8, 4, 2, 1):  # y in [1/2, 1]
        is_small = y < 2.0**-n
        y, order = where(is_small, y * 2.0**n, y), where(is_small, order + float(n), order)
    is_small = y < 0.7071067811865476
    y, order = where(is_small, y + y, y), where(is_small, order + 1.0, order)
    s = (y - 1.0) / (y + 1.0)
    q = s * s
    w = order * 0.6931471805599453 - s * (2.0 + q * (2 / 3 + q * (2 / 5 + q * (2 / 7 + q * (2 / 9)))))  # -log
    return 1.4142135623730951 * (x * where(w < 5.0, _series(_MIDDLE, w - 2.5), _series(_TAILS, sqrt(w) - 3.0)))


_MIDDLE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
    0.246640727, 1.50140941,
)  # fmt: skip
_TAILS = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
    1.00167406, 2.83297682,
)  # fmt: skip


def _series(coefficients: Sequence[float], x: Any) -> Any:
    """Return a polynomial, that of the highest power first."""
    total = x * 0.0 + coefficients[0]
    for c in coefficients[1:]:
        total = total * x + c
    return total


def abs(x: Any) -> Any:  # noqa: A001 - the word that mathematics uses
    """Absolute value."""
    return _speak("abs", x)


def sign(x: Any) -> Any:
    """1, -1, +0 for either zero, NaN for NaN."""
    return _speak("sign", x)


def minimum(a: Any, b: Any) -> Any:
    """``a`` if ``a < b`` or ``a`` is NaN, else ``b``."""
    return _speak("minimum", a, b)


def maximum(a: Any, b: Any) -> Any:
    """``a`` if ``a > b`` or ``a`` is NaN, else ``b``."""
    return _speak("maximum", a, b)


def where(condition: Any, a: Any, b: Any) -> Any:
    """``a`` where ``condition`` (a single ``<`` or ``>``) holds, else ``b``."""
    return _speak("where", condition, a, b)


def mean(x: Any, over: str) -> Any:
    """Mean over ``"rows"``, ``"columns"``, ``"all"`` or ``"array"``, with the axes kept."""
    return _whole("mean", x, over)


def max(x: Any, over: str) -> Any:  # noqa: A001 - the word that mathematics uses
    """Largest element over ``"rows"``, ``"columns"``, ``"all"`` or ``"array"``, with the axes kept."""
    return _whole("max", x, over)


def norm(x: Any) -> Any:
    """Frobenius norm, with the axes kept."""
    return _whole("norm", x)


def squares(x: Any) -> Any:
    """Sum of the squares of each row, as a column: what the square of a long side is made of."""
    return _whole("squares", x)


def matmul(a: Any, b: Any) -> Any:
    """Matrix product."""
    return _whole("matmul", a, b)


def gram(x: Any, like: Any) -> Any:
    """``x`` times its transpose; of the square of a long side, as ``like`` is then, the diagonal alone."""
    return _whole("gram", x, like)


def transpose(x: Any) -> Any:
    """Rows and columns exchanged."""
    return _whole("transpose", x)


def wide(x: Any) -> Any:
    """``x``, or its transpose where it has more rows than columns."""
    return _whole("wide", x)


def shaped_as(x: Any, like: Any) -> Any:
    """``x``, or its transpose where ``like`` has more rows than columns: the inverse of :func:`wide`."""
    return _whole("shaped_as", x, like)


def eigh(x: Any) -> Any:
    """Eigenvalues, as a row, and eigenvectors, as columns, of a symmetric matrix."""
    return _whole("eigh", x)


def qr(x: Any) -> Any:
    """Orthogonal and triangular factor of a square matrix."""
    return _whole("qr", x)


def iterated(x: Any, q: Any) -> Any:
    """Eigenvectors ``q`` of a symmetric matrix near to ``x``, after one orthogonal iteration."""
    return _whole("iterated", x, q)


def upper(x: Any) -> Any:
    """A square with zeros below its diagonal."""
    return _whole("upper", x)


def trisolve(a: Any, b: Any) -> Any:
    """The inverse of a square ``a`` times ``b``, where nothing above the diagonal of ``a`` is read."""
    return _whole("trisolve", a, b)


def least_norm(x: Any) -> Any:
    """Bound from below of the largest eigenvalue of a symmetric square that has none below zero."""
    return _whole("least_norm", x)


def when(number: Any, step: Callable[..., Any], *x: Any) -> Any:
    """``step`` of ``x`` where the scalar ``number`` is above zero, else ``x``: of one array, or of several at once."""
    speak: Callable[[str, tuple[Any, ...]], Any] | None = getattr(number, "speak", None)
    return matrices.when(number, step, *x) if speak is None else speak("when", (number, step, *x))


def simplex(x: Any, total: Any) -> Any:
    """The nearest matrix to ``x`` of numbers that are not below zero and add up to ``total``."""
    return _whole("simplex", x, total)


def repeat(step: Callable[[Any], Any], x: Any, n: int) -> Any:
    """``step`` of ``x``, and of what comes of it, ``n`` times."""
    speak: Callable[[str, tuple[Any, ...]], Any] | None = getattr(x, "speak", None)
    if speak is not None:
        return speak("repeat", (step, x, n))
    for _ in range(n):
        x = step(x)
    return x


def rows(x: Any) -> Any:
    """Number of rows."""
    return _whole("rows", x)


def columns(x: Any) -> Any:
    """Number of columns."""
    return _whole("columns", x)


def spacing(x: Any) -> Any:
    """Distance from 1 to the next number of the dtype."""
    return _whole("spacing", x)


def _whole(word: str, x: Any, *others: Any) -> Any:
    for operand in (x, *others):
        speak: Callable[[str, tuple[Any, ...]], Any] | None = getattr(operand, "speak", None)
        if speak is not None:
            return speak(word, (x, *others))
    return matrices.WORDS[word](namespace(x), x, *others)


def _speak(word: str, *operands: Any) -> Any:
    if all(_literal(x) for x in operands):
        return _PYTHON[word](*operands)
    for x in operands:
        speak: Callable[[str, tuple[Any, ...]], Any] | None = getattr(x, "speak", None)
        if speak is not None:
            return speak(word, operands)
    xp = namespace(*(x for x in operands if not _literal(x)))
    return _ARRAYS[word](xp, *_as_arrays(xp, word, operands))


def _as_arrays(xp: Any, word: str, operands: tuple[Any, ...]) -> list[Any]:
    """Literals as 0-d arrays of the dtype and device of the arrays that they meet: namespaces promote differently."""
    values = operands[1:] if word == "where" else operands  # where's condition gives no dtype
    like = next((x for x in values if not _literal(x)), None)
    if like is None:
        raise TypeError("where() needs an array or a scalar among its two values: two literals have no dtype")
    device = array_api_compat.device(like)
    arrays = [xp.asarray(x, dtype=like.dtype, device=device) if _literal(x) else x for x in values]
    return [xp.asarray(operands[0]), *arrays] if word == "where" else arrays


_ARRAYS: dict[str, Callable[..., Any]] = {
    "sqrt": lambda xp, x: xp.sqrt(x),
    "cbrt": lambda _, x: np.errstate(over="ignore", invalid="ignore")(cube_root)(x, compute_dtype(x, "x") == "float64"),
    "abs": lambda xp, x: xp.abs(x),
    "sign": lambda xp, x: xp.where(x > 0, xp.ones_like(x), xp.where(x < 0, -xp.ones_like(x), xp.abs(x))),
    "minimum": lambda xp, a, b: xp.where((a < b) | (a != a), a, b),
    "maximum": lambda xp, a, b: xp.where((a > b) | (a != a), a, b),
    "where": lambda xp, c, a, b: xp.where(c, a, b),
}

_PYTHON: dict[str, Callable[..., Any]] = {
    "sqrt": lambda x: math.nan if x < 0 else math.sqrt(x),
    "cbrt": lambda x: cube_root(float(x), is_double=True),
    "abs": math.fabs,
    "sign": lambda x: float((x > 0) - (x < 0)) if x == x else x,
    "minimum": lambda a, b: a if a < b or a != a else b,
    "maximum": lambda a, b: a if a > b or a != a else b,
    "where": lambda c, a, b: a if c else b,
}
