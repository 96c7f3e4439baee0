"""The square of a long side, of which the diagonal alone is kept: what such a slot is to an update."""

from typing import Any

from gradstep.array.namespaces import namespace
from gradstep.form.vocabulary import max as largest
from gradstep.form.vocabulary import squares, transpose


class Diagonal:
    """A square matrix that is zero off its diagonal, which is kept as a column.

    It does what a matrix does in products and sums with others of its kind, and is refused where the result would be a
    whole square.
    """

    __slots__ = ("column",)
    __array_ufunc__ = None  # NumPy's arrays leave their products with it to it

    def __init__(self, column: Any) -> None:
        self.column = column

    def __add__(self, other: Any) -> "Diagonal":
        return Diagonal(self.column + _diagonal("+", other).column)

    def __sub__(self, other: Any) -> "Diagonal":
        return Diagonal(self.column - _diagonal("-", other).column)

    def __neg__(self) -> "Diagonal":
        return Diagonal(-self.column)

    def __mul__(self, other: Any) -> "Diagonal":
        return Diagonal(self.column * _along(other))

    def __rmul__(self, other: Any) -> "Diagonal":
        return Diagonal(_along(other) * self.column)

    def speak(self, word: str, operands: tuple[Any, ...]) -> Any:
        """Return what a vocabulary word gives."""
        match word:
            case "transpose" | "upper":
                return self
            case "trisolve":
                return operands[1] / self.column
            case "least_norm":
                return largest(self.column, "rows")
            case "matmul":
                return _product(*operands)
            case "gram":
                return Diagonal(squares(operands[0]))
            case "iterated":
                return Diagonal(_ones(self.column))
            case "eigh":
                return transpose(self.column), Diagonal(_ones(self.column))
            case _:
                raise TypeError(f"{word} is not known of a square of which the diagonal alone is kept")


def _diagonal(symbol: str, x: Any) -> Diagonal:
    if not isinstance(x, Diagonal):
        raise TypeError(f"a diagonal {symbol} a whole square; gram(x, like) gives the diagonal alone where like is one")
    return x


def _along(factor: Any) -> Any:
    """Return a factor as a number or a column: that of a column's elements, or of a row's."""
    if isinstance(factor, Diagonal):
        return factor.column
    shape = getattr(factor, "shape", ())
    if len(shape) < 2 or shape[-1] == 1:
        return factor
    if shape[-2] == 1:
        return transpose(factor)
    raise TypeError("a diagonal * a whole square")


def _ones(x: Any) -> Any:
    """Return ones in the shape of a column."""
    return x.ones_like() if hasattr(x, "speak") else namespace(x).ones_like(x)


def _product(a: Any, b: Any) -> Any:
    if isinstance(a, Diagonal):
        return Diagonal(a.column * b.column) if isinstance(b, Diagonal) else a.column * b
    return a * transpose(b.column)
