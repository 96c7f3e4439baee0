"""Operands that check a rule: calling it with them is the check, and counts what it costs.

A rule is refused, with a sentence that says what to move, when it does what not every engine can do alike:
branch, combine scalars alone (in float32 that loses bits), divide by a scalar (slow), or leave the vocabulary.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NoReturn

from gradstep.errors import RuleError
from gradstep.form.matrices import OVER, SHAPES, WORDS

ARRAY, SCALAR, CONDITION, EXTENT = "array", "scalar", "condition", "extent"
NUMBERS = "only arrays, scalars and literals are numbers in update"
_FOREIGN = "is not in the vocabulary; use + - * / and the words of gradstep.vocabulary"
_OTHERS = ("//", "%", "@", "&", "|", "^")


@dataclass
class Checker:
    """Collects the cost of one rule; ``owner`` is its name in messages, ``whole`` whether it sees whole arrays."""

    owner: str
    whole: bool = False
    operations: Counter[str] = field(default_factory=Counter[str])

    def array(self, name: str, shape: str = "rows columns") -> "Checked":
        """An operand that stands for an array; ``shape`` is a word of :data:`gradstep.form.matrices.SHAPES`."""
        return Matrix(self, ARRAY, name, _DIMENSIONS[shape]) if self.whole else Checked(self, ARRAY, name)

    def scalar(self, name: str) -> "Checked":
        """An operand that stands for a number computed by ``scalars``."""
        return Matrix(self, SCALAR, name, (1, 1)) if self.whole else Checked(self, SCALAR, name)

    def refuse(self, what: str, do: str) -> NoReturn:
        """Raise the error of a rule that is not in the form that all engines can run."""
        raise RuleError(f"rule {self.owner}: `{what}` {do}.")


def _is_literal(x: object) -> bool:
    return type(x) in (int, float)  # numpy.float64 derives from float, but would promote float32 arrays


def _refused(symbol: str, do: str, reflected: bool = False) -> Any:
    def method(self: "Checked", *others: Any) -> NoReturn:
        left, right = (", ".join(map(str, x)) for x in (((self,), others)[:: -1 if reflected else 1]))
        self.checker.refuse(f"{left} {symbol} {right}".strip(), do)

    return method


def _binary(symbol: str, reflected: bool = False) -> Any:
    def method(self: "Checked", other: Any) -> "Checked":
        return self.combine(symbol, other, self) if reflected else self.combine(symbol, self, other)

    return method


class Checked:
    """An operand that knows whether it is an array or a scalar, and the expression that made it."""

    __slots__ = ("checker", "kind", "text")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, checker: Checker, kind: str, text: str) -> None:
        self.checker, self.kind, self.text = checker, kind, text

    def __str__(self) -> str:
        return self.text

    def combine(self, symbol: str, a: Any, b: Any) -> "Checked":
        """The result of ``a symbol b``, or the error of a rule that may not do that."""
        text = f"{a} {symbol} {b}"
        for x in (a, b):
            if not (isinstance(x, Checked) or _is_literal(x)) or (isinstance(x, Checked) and x.kind == CONDITION):
                self.checker.refuse(text, f"uses {x} as a number; {NUMBERS}")
        kinds = [x.kind for x in (a, b) if isinstance(x, Checked)]
        comparison = symbol in "<>"
        if ARRAY not in kinds and not comparison:
            self.checker.refuse(
                text,
                "combines scalars alone, which loses bits in float32; compute it in scalars() and hand it in",
            )
        if symbol == "/" and not (isinstance(b, Checked) and b.kind == ARRAY):
            self.checker.refuse(
                text,
                "divides an array by a scalar; hand in its reciprocal from scalars() and multiply (faster)",
            )
        self.checker.operations[symbol] += 1
        return Checked(self.checker, CONDITION if comparison else ARRAY, f"({text})")

    __add__, __radd__ = _binary("+"), _binary("+", reflected=True)
    __sub__, __rsub__ = _binary("-"), _binary("-", reflected=True)
    __mul__, __rmul__ = _binary("*"), _binary("*", reflected=True)
    __truediv__, __rtruediv__ = _binary("/"), _binary("/", reflected=True)
    __lt__, __gt__ = _binary("<"), _binary(">")

    def __neg__(self) -> "Checked":
        if self.kind == CONDITION:
            self.checker.refuse(f"-{self}", f"uses {self} as a number; {NUMBERS}")
        if self.kind == SCALAR:
            self.checker.refuse(f"-{self}", "combines scalars alone; compute it in scalars() and hand it in")
        self.checker.operations["negate"] += 1
        return Checked(self.checker, ARRAY, f"(-{self})")

    def speak(self, word: str, operands: tuple[Any, ...]) -> "Checked":
        """A vocabulary word over these operands."""
        text = f"{word}({', '.join(map(str, operands))})"
        if word in WORDS or word in ("repeat", "when"):
            self.checker.refuse(text, "looks at whole arrays; declare the rule with whole=True")
        values = operands
        if word == "where":
            condition, *values = operands
            if not (isinstance(condition, Checked) and condition.kind == CONDITION):
                self.checker.refuse(text, "needs a single < or > as its condition")
        for x in values:
            if not (_is_literal(x) or (isinstance(x, Checked) and x.kind != CONDITION)):
                self.checker.refuse(text, f"uses {x} as a number; {NUMBERS}")
        if not any(isinstance(x, Checked) and x.kind == ARRAY for x in values):
            if word == "where":
                self.checker.refuse(text, "has no array among its values; take what it is combined with inside")
            self.checker.refuse(text, "combines scalars alone; compute it in scalars() and hand it in")
        self.checker.operations[word] += 1
        return Checked(self.checker, ARRAY, text)

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **options: Any) -> NoReturn:
        text = f"np.{ufunc.__name__}({', '.join(map(str, operands))})"
        self.checker.refuse(text, "calls NumPy; use the words of gradstep.vocabulary, which every engine knows")

    __bool__ = _refused("", "is used as a truth value (if, and, or, min, max); use where, minimum or maximum")
    __float__ = __int__ = __index__ = _refused(
        "", "is turned into a Python number (float, math.*); use the words of gradstep.vocabulary"
    )
    __abs__ = _refused("(built-in abs)", "is not in the vocabulary; import abs from gradstep.vocabulary")
    __pow__ = _refused("**", "is a power; write the product out, or use sqrt or cbrt")
    __rpow__ = _refused("**", "is a power; write the product out, or use sqrt or cbrt", reflected=True)
    __eq__, __ne__, __le__, __ge__ = (  # type: ignore[assignment]
        _refused(symbol, "is compared; only a single < or > is known") for symbol in ("==", "!=", "<=", ">=")
    )
    __floordiv__, __mod__, __matmul__, __and__, __or__, __xor__ = (_refused(x, _FOREIGN) for x in _OTHERS)
    __rfloordiv__, __rmod__, __rmatmul__, __rand__, __ror__, __rxor__ = (_refused(x, _FOREIGN, True) for x in _OTHERS)
    __pos__, __invert__, __round__ = (_refused(x, _FOREIGN) for x in ("(unary +)", "(unary ~)", "(round)"))
    __iadd__, __isub__, __imul__, __itruediv__ = (
        _refused(symbol, "changes an operand in place; write m = m + ...") for symbol in ("+=", "-=", "*=", "/=")
    )
    __getitem__ = __setitem__ = _refused("[...]", "looks at single elements; an update sees one element at a time")
    __iter__ = __len__ = _refused("", "is iterated over; an update sees one element at a time")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self.checker.refuse(f"{self}.{name}", "uses an array's attribute; an update sees one element at a time")


# A rule of whole arrays is checked with rows and columns that are numbers like no others, of which no product is one.
_ROWS, _COLUMNS, _SHORT, _LONG = 7, 11, 13, 17
_NAMES = {_ROWS: "rows", _COLUMNS: "columns", _SHORT: "shorter side", _LONG: "longer side", 1: "1"}
_DIMENSIONS = {"rows columns": (_ROWS, _COLUMNS), **{word: f(_ROWS, _COLUMNS) for word, f in SHAPES.items()}}
_REDUCED = {"rows": lambda a: (1, a[1]), "columns": lambda a: (a[0], 1)}  # else one number
_EXTENTS = ("rows", "columns", "spacing")  # words that give a number
Shape = tuple[int, int]


class Matrix(Checked):
    """An operand of a rule of whole arrays: it knows its shape too."""

    __slots__ = ("shape",)

    def __init__(self, checker: Checker, kind: str, text: str, shape: Shape) -> None:
        super().__init__(checker, kind, text)
        self.shape = shape

    def combine(self, symbol: str, a: Any, b: Any) -> "Matrix":
        """The result of ``a symbol b``; numbers of rows and columns may be combined with one another."""
        if all(_is_extent(x) for x in (a, b)):
            return Matrix(self.checker, CONDITION if symbol in "<>" else EXTENT, f"({a} {symbol} {b})", (1, 1))
        made = super().combine(symbol, *(_as_literal(x) for x in (a, b)))
        text = f"({a} {symbol} {b})"
        return Matrix(self.checker, made.kind, text, self._broadcast(text, a, b))

    def __neg__(self) -> "Matrix":
        return Matrix(self.checker, self.kind, super().__neg__().text, self.shape)

    def speak(self, word: str, operands: tuple[Any, ...]) -> Any:
        """A vocabulary word over these operands."""
        if word == "repeat":
            return self._repeated(*operands)
        if word == "when":
            return self._chosen(*operands)
        text = f"{word}({', '.join(map(str, operands))})"
        if word not in WORDS:
            if all(_is_extent(x) for x in operands):
                return Matrix(self.checker, EXTENT, text, (1, 1))
            made = super().speak(word, tuple(map(_as_literal, operands)))
            return Matrix(self.checker, made.kind, text, self._broadcast(text, *operands))
        if word == "simplex" and not (_is_literal(operands[1]) or getattr(operands[1], "kind", None) == SCALAR):
            self.checker.refuse(text, f"takes a number, not {operands[1]}, for what the elements add up to")
        arrays = operands[:1] if word in ("mean", "max", "simplex") else operands
        for x in arrays:
            if not (isinstance(x, Matrix) and x.kind == ARRAY):
                self.checker.refuse(text, f"uses {x} as a matrix")
        self.checker.operations[word] += 1
        shapes = self._shapes(word, text, operands)
        made = [Matrix(self.checker, EXTENT if word in _EXTENTS else ARRAY, text, x) for x in shapes]
        return tuple(made) if len(made) > 1 else made[0]

    def _repeated(self, step: Any, x: "Matrix", n: int) -> "Matrix":
        y = step(x)
        if not (isinstance(y, Matrix) and y.kind == ARRAY and y.shape == x.shape):
            self.checker.refuse(f"repeat(..., {x}, {n})", "does not keep the shape of what it repeats a step on")
        return y

    def _chosen(self, number: Any, step: Any, *before: Any) -> Any:
        text = f"when({number}, ..., {', '.join(map(str, before))})"
        is_number = isinstance(number, Matrix) and number.kind == SCALAR
        if not (before and is_number and all(isinstance(x, Matrix) and x.kind == ARRAY for x in before)):
            self.checker.refuse(text, "needs a number of scalars(), a function and an array, or several")
        after = step(*before)
        after = after if isinstance(after, tuple) else (after,)
        shapes = [x.shape if isinstance(x, Matrix) and x.kind == ARRAY else None for x in after]
        if shapes != [x.shape for x in before]:
            self.checker.refuse(text, "does not keep the shape of what it changes")
        self.checker.operations["when"] += 1
        made = tuple(Matrix(self.checker, ARRAY, text, x.shape) for x in before)
        return made[0] if len(made) == 1 else made

    def _shapes(self, word: str, text: str, operands: tuple[Any, ...]) -> list[Shape]:
        """The shapes of what a word of whole arrays gives."""
        shapes: list[Shape] = [x.shape for x in operands if isinstance(x, Matrix)]
        (rows, columns), others = shapes[0], shapes[1:]
        match word:
            case "mean" | "max":
                if operands[1] not in OVER:
                    self.checker.refuse(text, f'goes over "rows", "columns", "all" or "array", not {operands[1]!r}')
                return [_REDUCED.get(operands[1], lambda _: (1, 1))((rows, columns))]
            case "matmul":
                if columns != others[0][0]:
                    self.checker.refuse(text, f"multiplies {_shown((rows, columns))} by {_shown(others[0])}")
                return [(rows, others[0][1])]
            case "simplex":
                return [(rows, columns)]
            case "gram":
                if others[0] != (rows, rows):
                    self.checker.refuse(text, f"gives {_shown((rows, rows))}, and is to be like {_shown(others[0])}")
                return [(rows, rows)]
            case "transpose":
                return [(columns, rows)]
            case "wide":
                return [(_SHORT, _LONG) if {rows, columns} == {_ROWS, _COLUMNS} else (rows, columns)]
            case "shaped_as":
                turned = (rows, columns) == (_SHORT, _LONG)
                return [others[0] if turned and set(others[0]) == {_ROWS, _COLUMNS} else (rows, columns)]
            case "iterated":
                if rows != columns or others[0] != (rows, columns):
                    self.checker.refuse(text, f"is for two squares, not {_shown((rows, columns))}, {_shown(others[0])}")
                return [(rows, rows)]
            case "trisolve":
                if rows != columns or others[0][0] != rows:
                    self.checker.refuse(text, f"solves {_shown((rows, columns))} for {_shown(others[0])}")
                return [others[0]]
            case "upper" | "least_norm":
                if rows != columns:
                    self.checker.refuse(text, f"is for square matrices, not {_shown((rows, columns))}")
                return [(rows, rows)] if word == "upper" else [(1, 1)]
            case "eigh" | "qr":
                if rows != columns:
                    self.checker.refuse(text, f"is for square matrices, not {_shown((rows, columns))}")
                return [(1, rows), (rows, rows)] if word == "eigh" else [(rows, rows), (rows, rows)]
            case _:
                return [(1, 1)]

    def _broadcast(self, text: str, *operands: Any) -> Shape:
        shapes: list[Shape] = [x.shape for x in operands if isinstance(x, Matrix)]
        out: list[int] = []
        for sides in zip(*shapes, strict=True):
            several = {n for n in sides if n != 1}
            if len(several) > 1:
                self.checker.refuse(text, f"combines shapes that do not fit: {', '.join(map(_shown, shapes))}")
            out.append(max(several, default=1))
        return out[0], out[1]


def _is_extent(x: Any) -> bool:
    return _is_literal(x) or (isinstance(x, Matrix) and x.kind == EXTENT)


def _as_literal(x: Any) -> Any:
    """A number of rows or columns is as good as a literal where it meets an array."""
    return 1.0 if isinstance(x, Matrix) and x.kind == EXTENT else x


def _shown(shape: Shape) -> str:
    return " by ".join(_NAMES[n] for n in shape)
