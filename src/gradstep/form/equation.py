"""A rule's printed equation: the rule called with symbols, so that what is printed is what is computed.

``equation(rule).text()`` is for a terminal, ``.latex()`` for a page, ``.evaluate(values)`` for the law
that both are true.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from gradstep.errors import GradstepTypeError
from gradstep.form import printing, vocabulary
from gradstep.form.declaration import parameters
from gradstep.form.rule import Rule


class Branches(Exception):  # noqa: N818 - not an error: it tells that scalars() branches
    """Raised where ``scalars`` asks a symbol for its truth, or for an operation that is not printed.

    Its numbers then keep their names.
    """


class Expr:
    """A node of an expression: a symbol, a number, or an operation on nodes. It is compared by identity."""

    __slots__ = ("args", "op")

    def __init__(self, op: str, *args: Any) -> None:
        self.op, self.args = op, args

    def __bool__(self) -> NoReturn:
        raise Branches

    __float__ = __int__ = __index__ = __bool__

    def _unprinted(self, *_: Any) -> NoReturn:
        """Raised where ``scalars`` does what is not printed: its numbers then keep their names."""
        raise Branches

    __floordiv__ = __rfloordiv__ = __divmod__ = __rdivmod__ = _unprinted
    __abs__ = __pos__ = __round__ = __trunc__ = __floor__ = __ceil__ = __le__ = __ge__ = _unprinted
    __matmul__ = __rmatmul__ = __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __invert__ = _unprinted

    def speak(self, word: str, operands: tuple[Any, ...]) -> Any:
        """A vocabulary word over these operands."""
        if word == "repeat":
            step, x, n = operands
            return Expr("repeat", x, step(Expr("symbol", "X")), step, n)
        if word == "when":
            number, step, *before = operands
            is_due, after = Expr(">", _node(number), _node(0.0)), step(*before)
            after = after if isinstance(after, tuple) else (after,)
            made = tuple(Expr("when", is_due, _node(y), _node(x)) for x, y in zip(before, after, strict=True))
            return made[0] if len(made) == 1 else made
        made = Expr(word, *map(_node, operands))
        return (Expr("item", made, 0), Expr("item", made, 1)) if word in ("eigh", "qr") else made

    def __neg__(self) -> "Expr":
        return Expr("neg", self)

    def _left(op: str) -> Callable[["Expr", Any], "Expr"]:  # type: ignore[misc]  # noqa: N805 - makes methods
        return lambda self, other: Expr(op, self, _node(other))

    def _right(op: str) -> Callable[["Expr", Any], "Expr"]:  # type: ignore[misc]  # noqa: N805 - makes methods
        return lambda self, other: Expr(op, _node(other), self)

    __add__, __radd__ = _left("+"), _right("+")
    __sub__, __rsub__ = _left("-"), _right("-")

    def __mul__(self, other: Any) -> "Expr":
        return _product(self, _node(other))

    def __rmul__(self, other: Any) -> "Expr":
        return _product(_node(other), self)

    __truediv__, __rtruediv__ = _left("/"), _right("/")
    __pow__, __rpow__ = _left("**"), _right("**")
    __mod__, __rmod__ = _left("%"), _right("%")
    __lt__, __gt__ = _left("<"), _left(">")
    del _left, _right

    def walk(self) -> Iterator["Expr"]:
        """The node and all below it; one that is used twice comes twice."""
        yield self
        for x in self.args:
            if isinstance(x, Expr):
                yield from x.walk()


def _node(x: Any) -> Expr:
    return x if isinstance(x, Expr) else Expr("number", x)


def _product(a: Expr, b: Expr) -> Expr:
    """A correction that a variant leaves out is a factor of one."""
    return b if a.op == "number" and a.args[0] == 1 else Expr("*", a, b)


@dataclass(frozen=True)
class Line:
    """``name = value``: what this step computes under that name."""

    name: str
    value: Expr


@dataclass(frozen=True)
class Equation:
    """The equations of a rule, in the order in which they are computed.

    Attributes
    ----------
    rule
        The rule.
    lines
        Definitions of scalars that are used more than once, then memory, state, g and theta.
    sums
        What a reduction sums, by the name of each sum.
    """

    rule: Rule
    lines: tuple[Line, ...]
    sums: tuple[Line, ...]

    def text(self) -> str:
        """One equation a line, in Unicode."""
        return "\n".join(self._printed(printing.Text))

    def latex(self) -> str:
        """An ``aligned`` block for a page that knows LaTeX."""
        body = " \\\\\n".join(self._printed(printing.Latex))
        return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"

    def _repr_latex_(self) -> str:
        return f"$${self.latex()}$$"

    def evaluate(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the new theta, g and state, and what is summed, by the printed expressions, in float64.

        Parameters
        ----------
        values
            ``theta``, ``g``, each slot, ``t``, each hyperparameter, each memory, each sum, each number that a
            step takes; ``before`` where a rule is wrapped. For a rule of whole arrays, theta, g and slots are arrays,
            as are the results.
        """
        rule = self.rule
        memory = {key: values[key] for key in rule.memory}
        hyper = {key: values[key] for key in rule.defaults}
        numbers, _ = rule.host(int(values["t"]), hyper, memory, {key: values[key] for key in rule.per_step})
        arrays = {key: np.asarray(values[key], np.float64)[()] for key in rule.arrays}
        known = {**numbers, **values, **arrays, **{f"scalar {key}": x for key, x in numbers.items()}}
        with np.errstate(all="ignore"):
            new = {x.name: _value(x.value, known, {}) for x in self.lines}
            summed = {x.name: _value(x.value, known, {}) for x in self.sums}
        after = {key: new.get(key, arrays[key]) for key in arrays if key != "before"} | summed
        return after if rule.whole else {key: float(x) for key, x in after.items()}

    def _printed(self, kind: type[printing.Printer]) -> list[str]:
        names = {id(x.value): x.name for x in self.lines if x.value.args}
        printer = kind(self.rule.symbols, self.rule.kind == "stage", names)
        lines = [printer.line(x.name, x.value) for x in self.lines]
        sums = [printer.sum(x.name, x.value) for x in self.sums]
        slots = {id(x.value) for x in self.lines if x.name in self.rule.state}
        below = (id(y) for x in self.sums for y in x.value.walk())
        late = not slots.isdisjoint(below)  # after the slots of which they are made
        place = sum(x.name not in ("theta", "g") for x in self.lines) if late else 0
        return [*lines[:place], *sums, *lines[place:]]


def equation(rule: Rule) -> Equation:
    """Return the equations of a rule or stage, from the rule itself.

    Raises
    ------
    GradstepTypeError
        For anything else, such as a stage that has been given its hyperparameters.
    """
    if not isinstance(rule, Rule):
        raise GradstepTypeError(f"equation takes a rule, such as gs.adam without parentheses, not {rule!r}.")
    inputs = {key: Expr("before", key) for key in (*rule.arrays, *rule.memory)}
    inputs |= {key: Expr("symbol", key) for key in ("g", *rule.inputs, rule.random) if key is not None}
    constants = {key: Expr("symbol", key) for key in ("t", *rule.per_step, *rule.defaults)}
    known = {**constants, **{key: inputs[key] for key in rule.memory}}
    early = {} if rule.early is None else _numbers(rule, rule.early, rule.early_numbers, known)
    out = early | _numbers(rule, rule.scalars, rule.numbers[len(early) :], known | early)
    results = rule.update(*(inputs[key] for key in rule.arrays), **{key: out[key] for key in rule.numbers})
    after = dict(zip(("theta", "g", *rule.state), results, strict=True))
    memory = {key: out[key] for key in rule.memory if key in out}
    ordered = {**memory, **{key: after[key] for key in (*rule.state, "g", "theta")}}
    changed = {key: x for key, x in ordered.items() if x is not inputs[key]}
    slots = {_form(x): x for key, x in changed.items() if key in rule.state}
    sums = tuple(
        Line(key, _with(slots, _node(f(**{x: (inputs | early)[x] for x in asked})), {}))
        for key, (f, asked) in zip(rule.measure, rule.measured, strict=True)
    )
    values = [*changed.values(), *(x.value for x in sums)]
    uses = Counter(id(x) for value in values for x in _once_below(value, changed))
    shared = {key: out[key] for key in rule.numbers if uses[id(out[key])] > 1 and _changes(out[key], constants["t"])}
    return Equation(rule, tuple(Line(key, x) for key, x in {**shared, **_as_computed(changed)}.items()), sums)


def _as_computed(lines: Mapping[str, Expr]) -> dict[str, Expr]:
    """Return the lines such that each stands after those whose results it names; else their order is kept."""
    rest, out = dict(lines), dict[str, Expr]()
    while rest:
        known = {id(x) for x in rest.values()}
        ready = [key for key, x in rest.items() if not any(id(y) in known for y in _once_below(x, lines))]
        key = (ready or list(rest))[0]
        out[key] = rest.pop(key)
    return out


def branches(rule: Rule) -> bool:
    """Return whether the numbers of a rule keep their names in its equation, for its ``scalars`` branches."""
    try:
        rule.scalars(**{key: Expr("symbol", key) for key in rule.arguments})
    except Branches:
        return True
    return False


def _numbers(
    rule: Rule, function: Callable[..., Mapping[str, Any]], names: Iterable[str], known: Mapping[str, Expr]
) -> dict[str, Expr]:
    """The numbers of ``scalars`` or ``early`` as expressions; under their names where it branches."""
    try:
        return {key: _node(x) for key, x in function(**{key: known[key] for key in parameters(function)}).items()}
    except Branches:
        changed = _changed(rule)
        return {key: Expr("scalar" if key in changed else "symbol", key) for key in names}


def _changed(rule: Rule) -> set[str]:
    """The scalars that bear a hyperparameter's name but not always its value."""
    hyper = {key: 0.5 if x is None else float(x) for key, x in rule.defaults.items()}  # type: ignore[arg-type]  # no schedules
    steps = [rule.host(t, hyper, rule.memory, dict.fromkeys(rule.per_step, 1.0))[0] for t in (1, 2)]
    return {key for key in rule.numbers if key in hyper and any(numbers[key] != hyper[key] for numbers in steps)}


def _changes(x: Expr, t: Expr) -> bool:
    """Return whether a scalar changes from step to step; one that does not is printed where it stands."""
    return any(y is t for y in x.walk())


def _once_below(value: Expr, named: Mapping[str, Expr]) -> Iterator[Expr]:
    """The nodes below ``value``, without looking into those that have a line of their own."""
    for x in value.args:
        if isinstance(x, Expr):
            yield x
            if not any(x is y for y in named.values()):
                yield from _once_below(x, named)


_OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "%": lambda a, b: a % b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "neg": lambda a: -a,
}


def _form(x: Any) -> Any:
    """Return what two expressions that are written alike have in common."""
    return (x.op, *map(_form, x.args)) if isinstance(x, Expr) else x


def _with(known: Mapping[Any, Expr], x: Expr, done: dict[int, Expr]) -> Expr:
    """Return ``x`` with each part that is written like one of ``known`` in its place, which has a line of its own."""
    if id(x) not in done:
        args = [_with(known, y, done) if isinstance(y, Expr) else y for y in x.args]
        is_same = all(a is b for a, b in zip(args, x.args, strict=True))
        done[id(x)] = known.get(_form(x), x if is_same else Expr(x.op, *args))
    return done[id(x)]


def _value(x: Expr, known: Mapping[str, Any], done: dict[int, Any]) -> Any:
    if x.op in ("symbol", "before"):
        return known[x.args[0]]
    if x.op == "scalar":
        return known[f"scalar {x.args[0]}"]
    if x.op == "number":
        return x.args[0]
    if x.op == "item":
        return _value(x.args[0], known, done)[x.args[1]]
    if x.op == "repeat":
        return vocabulary.repeat(x.args[2], _value(x.args[0], known, done), x.args[3])
    if x.op == "when":
        return _value(x.args[1] if _value(x.args[0], known, done) else x.args[2], known, done)
    if id(x) not in done:
        operation = _OPERATIONS.get(x.op) or getattr(vocabulary, x.op)
        done[id(x)] = operation(*(_value(y, known, done) for y in x.args))
    return done[id(x)]
