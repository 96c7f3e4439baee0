"""``scalars`` as JavaScript: the rule's own Python, called with symbols that answer both ways where it branches.

A condition whose answer isn't known yet ends the call; then the function is called twice again, and told True and False
there. So each call goes one way through it, and all of them are a tree of conditions with results at its leaves. The
operations stand in the order in which Python makes them, so that a page computes what the library does, but for ``**``,
``log`` and ``exp``: those of a browser may differ from Python's in the last bit.
"""

import builtins
import json
import math
from collections.abc import Callable, Collection, Sequence
from types import FunctionType, SimpleNamespace
from typing import Any, NoReturn

MOST_WAYS = 500  # through one function


class Unprinted(Exception):  # noqa: N818 - not an error: a rule's page says that it can't run
    """Raised by what has no JavaScript here: such a rule is drawn, and doesn't run in a browser."""


class _Asked(BaseException):
    """Raised by a condition whose answer is not known yet. No ``except Exception`` of a rule may catch it."""


class _Way:
    """One way through a function: the answers that it is given, and the lines of JavaScript that it makes."""

    def __init__(self, answers: dict[str, bool]) -> None:
        self.answers, self.open = answers, ""
        self.names: dict[str, str] = {}  # of what each line computes
        self.lines: list[str] = []

    def symbol(self, text: str) -> "Symbol":
        """Return the name of what ``text`` computes; the same text has the same name."""
        if text not in self.names:
            self.names[text] = f"_{len(self.lines)}"
            self.lines.append(f"const {self.names[text]} = {text};")
        return Symbol(self.names[text], self)

    def answer(self, condition: str) -> bool:
        """Return the answer to a condition, or end this way there."""
        if condition not in self.answers:
            self.open = condition
            raise _Asked
        return self.answers[condition]


class Symbol:
    """A number that is not known before the page runs: its name in JavaScript."""

    def __init__(self, text: str, way: _Way) -> None:
        self.text, self.way = text, way

    def __bool__(self) -> bool:
        return self.way.answer(f"{self.text} !== 0")  # NaN is true in Python, and no zero

    def __format__(self, _: str) -> str:
        return self.text

    def _unprinted(self, *_: Any) -> NoReturn:
        raise Unprinted(self.text)

    __float__ = __int__ = __index__ = __round__ = __trunc__ = _unprinted
    __hash__ = None  # type: ignore[assignment]

    def speak(self, word: str, operands: tuple[Any, ...]) -> "Symbol":
        """A vocabulary word over these operands."""
        if word not in ("sqrt", "abs", "sign", "minimum", "maximum"):
            raise Unprinted(word)
        return self.way.symbol(f"{word}({', '.join(map(text_of, operands))})")

    def _binary(op: str, turned: bool = False) -> Any:  # type: ignore[misc]  # noqa: N805 - makes methods
        def method(self: "Symbol", other: Any) -> "Symbol":
            a, b = (text_of(other), self.text) if turned else (self.text, text_of(other))
            return self.way.symbol(f"{_CALLS[op]}({a}, {b})" if op in _CALLS else f"{a} {op} {b}")

        return method

    __add__, __radd__ = _binary("+"), _binary("+", turned=True)
    __sub__, __rsub__ = _binary("-"), _binary("-", turned=True)
    __mul__, __rmul__ = _binary("*"), _binary("*", turned=True)
    __truediv__, __rtruediv__ = _binary("/"), _binary("/", turned=True)
    __pow__, __rpow__ = _binary("**"), _binary("**", turned=True)
    __mod__, __rmod__ = _binary("%"), _binary("%", turned=True)
    __floordiv__, __rfloordiv__ = _binary("//"), _binary("//", turned=True)
    del _binary

    def sin(self) -> "Symbol":
        """Return the sine: ``numpy.sin`` asks an object for it."""
        return self.way.symbol(f"sin({self.text})")

    def __neg__(self) -> "Symbol":
        return self.way.symbol(f"-{self.text}")

    def __abs__(self) -> "Symbol":
        return self.way.symbol(f"abs({self.text})")

    def _compared(op: str) -> Any:  # type: ignore[misc]  # noqa: N805 - makes methods
        return lambda self, other: Condition(f"{self.text} {op} {text_of(other)}", self.way)

    __lt__, __gt__, __le__, __ge__ = _compared("<"), _compared(">"), _compared("<="), _compared(">=")
    __eq__, __ne__ = _compared("==="), _compared("!==")
    del _compared


class Condition(Symbol):
    """A comparison of symbols."""

    def __bool__(self) -> bool:
        return self.way.answer(self.text)


_CALLS = {"**": "pow", "%": "mod", "//": "floordiv"}


def text_of(x: Any) -> str:
    """Return a symbol or number as JavaScript: the shortest text that reads back as the same float."""
    if isinstance(x, Condition):
        return f"({x.text} ? 1 : 0)"
    if isinstance(x, Symbol):
        return x.text
    text = repr(float(x))
    return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(text, f"({text})" if text[0] == "-" else text)


def _like(operands: Sequence[Any]) -> Symbol | None:
    return next((x for x in operands if isinstance(x, Symbol)), None)


def _word(name: str, usual: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of numbers that has another name in JavaScript where one of them is a symbol."""

    def said(*operands: Any) -> Any:
        like = _like(operands)
        return usual(*operands) if like is None else like.way.symbol(f"{name}({', '.join(map(text_of, operands))})")

    return said


def _furthest(sign: str, usual: Callable[..., Any]) -> Callable[..., Any]:
    """Return Python's ``max`` or ``min``, which keeps what it has until something is beyond it."""

    def said(first: Any, *others: Any) -> Any:
        like = _like((first, *others))
        if like is None:
            return usual(first, *others)
        for other in others:
            a, b = text_of(first), text_of(other)
            first = like.way.symbol(f"{b} {sign} {a} ? {b} : {a}")
        return first

    return said


_MATH: dict[str, Any] = {key: _word(key, getattr(math, key)) for key in ("log", "exp", "sin", "cos")}
_MATH["radians"] = lambda x: x * (math.pi / 180)
_WORDS = {
    "max": _furthest(">", max),
    "min": _furthest("<", min),
    "float": _word("Number", float),
    "math": SimpleNamespace(**{**vars(math), **_MATH}),
    "__builtins__": builtins,
}


def speaking(function: Any, known: dict[Any, Any] | None = None) -> Any:
    """Return a function with words for symbols in place of Python's, and so the functions of rules that it calls."""
    known = {} if known is None else known
    if function not in known:
        seen: dict[str, Any] = {}
        made = FunctionType(function.__code__, seen, None, function.__defaults__, function.__closure__)
        made.__kwdefaults__ = function.__kwdefaults__
        known[function] = made
        for key, x in function.__globals__.items():
            own = isinstance(x, FunctionType) and x.__module__.startswith(_OWN)
            seen[key] = speaking(x, known) if own else x
        seen.update(_WORDS)
    return known[function]


_OWN = ("gradstep.rules.", "gradstep.stages.", "gradstep.variants.", "gradstep.compare.show.play.")


def printed(name: str, function: Callable[..., Any], takes: Sequence[str], gives: Collection[str]) -> str:
    """Return a Python function of floats that gives a dict as a JavaScript function of one object that gives another.

    Parameters
    ----------
    name
        Its name in JavaScript.
    function
        It is called by keyword with ``takes``.
    takes, gives
        Names of what it is handed, and of those results that are wanted.

    Raises
    ------
    Unprinted
        Where it does what is not known here.
    """
    ways, spoken = 0, speaking(function)

    def below(answers: dict[str, bool], done: int, room: str) -> str:
        """All ways that begin with these answers, after the first ``done`` lines of them."""
        nonlocal ways
        ways += 1
        if ways > MOST_WAYS:
            raise Unprinted(f"{name}: more than {MOST_WAYS} ways through it")
        way, end = _Way(answers), ""
        try:
            results = spoken(**{key: Symbol(key, way) for key in takes})
            pairs = ", ".join(f"{key}: {text_of(results[key])}" for key in results if key in gives)
            end = f"{room}return {{ {pairs} }};\n"
        except _Asked:
            yes, no = (below({**answers, way.open: so}, len(way.lines), f"{room}  ") for so in (True, False))
            end = f"{room}if ({way.open}) {{\n{yes}{room}}} else {{\n{no}{room}}}\n"
        except ValueError as error:
            end = f"{room}throw new Error({json.dumps(str(error))});\n"
        return "".join(f"{room}{line}\n" for line in way.lines[done:]) + end

    return f"function {name}({{ {', '.join(takes)} }}) {{\n{below({}, 0, '  ')}}}"
