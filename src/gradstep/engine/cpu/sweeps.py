"""Sweeps: one pass over a matrix that computes expressions of each element, and writes them or sums them up.

A sweep is written down as a :class:`Form`, which knows no sizes, and so is compiled once for each form. Its sums are
those of :mod:`gradstep.form.matrices`, in the order of :func:`gradstep.array.reduction.axis_sums`: lane k of a column
has the rows k, k + 16, ..., so that sixteen threads could each sum a lane.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from llvmlite import ir

from gradstep.array.reduction import LANES
from gradstep.engine.cpu import job as at
from gradstep.engine.cpu import native
from gradstep.engine.cpu.llvm import FLOATS, Function, Operand, constant, halved, i64

SIZES = {"float32": 4, "float64": 8}
ROWS, COLUMNS, OPERANDS = range(3)  # words of a sweep's table: the sides of the matrix, then addresses of operands,
RESULT, LANED, COUNT, SINK = range(4)  # and for each result its address, that of its lanes, what a mean divides by
BEGIN, END, LEFT, RIGHT = range(4)  # a chunk: rows (of a sum: lanes), and columns


@dataclass(frozen=True)
class Form:
    """The work of a sweep on each element.

    Attributes
    ----------
    lines
        Values, one after the other: ``("matrix", k)``, ``("rows", k)``, ``("columns", k)`` and ``("one", k)`` are
        operand ``k``, ``("literal", x)`` a number, all else a word or a sign with the numbers of earlier lines.
    results
        ``("write", "", line)``, or what is summed up, over what: ``("mean", "rows", line)``.
    """

    lines: tuple[tuple[Any, ...], ...]
    results: tuple[tuple[str, str, int], ...]

    @property
    def sums(self) -> bool:
        """True where its results are sums."""
        return self.results[0][0] != "write"

    @property
    def operands(self) -> int:
        """The number of its operands."""
        return sum(line[0] in _LOADED for line in self.lines)


_LOADED = ("matrix", "rows", "columns", "one")


@lru_cache(maxsize=512)
def kernel(form: Form, dtype: str) -> tuple[native.Kernel, int, int]:
    """Return the compiled form, and the addresses of the functions of its phases (0: none)."""
    made = native.kernel(emit(form, dtype, native.triple()))
    return made, made.address("first") if form.sums else 0, made.address("second")


def emit(form: Form, dtype: str, triple: str) -> str:
    """The LLVM assembly of a form: ``first`` sums up lanes, ``second`` joins them; without sums, ``second`` writes."""
    module = ir.Module("sweep")
    module.triple = triple
    if form.sums:
        _Sweep(module, form, dtype, "first").sum()
        _Sweep(module, form, dtype, "second").join()
    else:
        _Sweep(module, form, dtype, "second").write()
    return str(module)


class _Sweep:
    """One exported function."""

    def __init__(self, module: ir.Module, form: Form, dtype: str, name: str) -> None:
        self.code, self.form = Function(module, name, 3), form
        self.builder, self.size, self.real = self.code.builder, SIZES[dtype], FLOATS[dtype]
        self.vector = ir.VectorType(self.real, LANES)
        self.job, self.first, self.last = self.code.arguments
        self.args = self.code.word(self.job, i64(at.FOUND))
        self.rows, self.columns = (self.code.word(self.args, i64(k)) for k in (ROWS, COLUMNS))
        # The lanes of all columns lie in rows whose ends are full vectors.
        self.room = self.builder.and_(self.builder.add(self.columns, i64(LANES - 1)), i64(-LANES))
        n = form.operands
        self.places = [self.code.word(self.args, i64(OPERANDS + k)) for k in range(n)]
        self.sinks = [
            [self.code.word(self.args, i64(OPERANDS + n + SINK * j + k)) for k in range(SINK)]
            for j in range(len(form.results))
        ]
        self.ones = {k: self.splat(self.places[k]) for what, k in self.loads() if what == "one"}

    def loads(self) -> list[tuple[str, int]]:
        """Each operand with its kind."""
        return [(line[0], line[1]) for line in self.form.lines if line[0] in _LOADED]

    def splat(self, place: Any) -> Any:
        """A number in all lanes."""
        return self.code.splat(self.builder.load(self.code.pointer(place, self.real)), LANES)

    def chunk(self, k: Any) -> list[Any]:
        """The words of a chunk."""
        row = self.code.offset(self.code.word(self.job, i64(at.TABLE)), k, 32)
        return [self.code.word(row, i64(j)) for j in range(4)]

    def of_row(self, row: Any) -> dict[int, Any]:
        """The operands that have a number for each row."""
        return {
            k: self.splat(self.code.offset(self.places[k], row, self.size))
            for what, k in self.loads()
            if what == "rows"
        }

    def values(self, row: Any, known: dict[int, Any], i: Any, mask: Any) -> list[Operand]:
        """Each line's vector at column ``i`` of a row."""
        out: list[Operand] = []
        begin = self.builder.mul(row, self.columns)
        for word, *parts in self.form.lines:
            if word in _LOADED:
                (k,) = parts
                if word in ("one", "rows"):
                    value = self.ones[k] if word == "one" else known[k]
                else:
                    element = self.builder.add(begin, i) if word == "matrix" else i
                    place = self.code.offset(self.places[k], element, self.size)
                    value = self.code.load(place, self.vector, mask, self.size)
                out.append(Operand(self.builder, value))
            elif word == "literal":
                out.append(Operand(self.builder, constant(self.vector, parts[0])))
            else:
                out.append(applied(word, [out[k] for k in parts]))
        return out

    def write(self) -> None:
        """Write the results of some rows and columns; all of a vector is read before any of it is written."""
        with self.code.count(self.first, self.last) as k:
            first, last, left, right = self.chunk(k)
            with self.code.count(first, last) as row:
                known = self.of_row(row)

                def one(i: Any, mask: Any, row: Any = row, known: Any = known) -> None:
                    values = self.values(row, known, i, mask)
                    element = self.builder.add(self.builder.mul(row, self.columns), i)
                    for (_, _, line), sink in zip(self.form.results, self.sinks, strict=True):
                        place = self.code.offset(sink[RESULT], element, self.size)
                        self.code.store(values[line].value, place, mask, self.size)

                self.code.vectors(left, right, LANES, one)
        self.code.give(i64(0))

    def sum(self) -> None:
        """Sum up lanes: of each column, and of the whole; a row's sum is ready at once."""
        joins = [_Join(self, what) for what, _, _ in self.form.results]
        with self.code.count(self.first, self.last) as k:
            first, last, _, _ = self.chunk(k)
            with self.code.count(first, last) as lane:
                self.lane(lane, joins)
        self.code.give(i64(0))

    def lane(self, lane: Any, joins: Sequence["_Join"]) -> None:
        """Sum up one lane."""
        code, builder, results = self.code, self.builder, self.form.results
        begins, totals, lanes = {}, {}, {}
        for j, (_, over, _) in enumerate(results):
            join = joins[j]
            lanes[j] = code.variable(join.none)
            builder.store(join.none, lanes[j])
            if over == "rows":
                begins[j] = code.offset(self.sinks[j][LANED], builder.mul(lane, self.room), join.size)
                with code.count(i64(0), self.room, LANES) as i:
                    code.store(join.none, code.offset(begins[j], i, join.size), None, join.size)
            else:
                totals[j] = code.variable(join.no)
                builder.store(join.no, totals[j])
        with code.count(lane, self.rows, LANES) as row:
            known = self.of_row(row)
            for j in totals:
                builder.store(joins[j].none, lanes[j])

            def one(i: Any, mask: Any) -> None:
                values = self.values(row, known, i, mask)
                for j, (_, _, line) in enumerate(results):
                    join = joins[j]
                    x = join.taken(values[line], mask)
                    if j in totals:
                        builder.store(join(builder.load(lanes[j]), x), lanes[j])
                    else:
                        place = code.offset(begins[j], i, join.size)
                        before = code.load(place, join.vector, None, join.size)
                        code.store(join(before, x), place, None, join.size)

            self.code.vectors(i64(0), self.columns, LANES, one)
            for j, total in totals.items():
                own = halved(code, builder.load(lanes[j]), joins[j])
                if results[j][1] == "columns":
                    self.finish(j, joins[j], own, row)
                else:
                    builder.store(joins[j](builder.load(total), own), total)
        for j, total in totals.items():
            if results[j][1] != "columns":
                place = code.offset(self.sinks[j][LANED], lane, joins[j].size)
                builder.store(builder.load(total), code.pointer(place, joins[j].element))

    def join(self) -> None:
        """Join the lanes of some columns, and of the whole."""
        code, builder = self.code, self.builder
        joins = [_Join(self, what) for what, _, _ in self.form.results]
        with code.count(self.first, self.last) as k:
            _, _, left, right = self.chunk(k)
            for j, (_, over, _) in enumerate(self.form.results):
                join = joins[j]
                if over == "rows":

                    def one(i: Any, mask: Any, j: int = j, join: _Join = join) -> None:
                        parts = [
                            code.load(
                                code.offset(
                                    self.sinks[j][LANED], builder.add(builder.mul(i64(n), self.room), i), join.size
                                ),
                                join.vector,
                                None,
                                join.size,
                            )
                            for n in range(LANES)
                        ]
                        while len(parts) > 1:
                            n = len(parts) // 2
                            parts = [join(a, b) for a, b in zip(parts[:n], parts[n:], strict=True)]
                        value = join.finished(parts[0], self.sinks[j][COUNT], LANES)
                        code.store(value, code.offset(self.sinks[j][RESULT], i, self.size), mask, self.size)

                    self.code.vectors(left, right, LANES, one)
                elif over == "all":
                    with builder.if_then(builder.icmp_signed("==", k, i64(0))):
                        own = code.load(self.sinks[j][LANED], join.vector, None, join.size)
                        self.finish(j, join, halved(code, own, join), i64(0))
        code.give(i64(0))

    def finish(self, j: int, join: "_Join", total: Any, place: Any) -> None:
        """Store a sum as what was asked for."""
        value = join.finished(total, self.sinks[j][COUNT], 1)
        self.builder.store(
            value, self.code.pointer(self.code.offset(self.sinks[j][RESULT], place, self.size), self.real)
        )


class _Join:
    """The way in which two numbers of a sum become one: added in float64, or the larger one, NaN if one is."""

    def __init__(self, sweep: _Sweep, what: str) -> None:
        self.sweep, self.what, self.builder = sweep, what, sweep.builder
        self.element = sweep.real if what == "max" else FLOATS["float64"]
        self.size = sweep.size if what == "max" else 8
        self.vector = ir.VectorType(self.element, LANES)
        least = float("-inf") if what == "max" else 0.0
        self.none, self.no = constant(self.vector, least), constant(self.element, least)

    def __call__(self, a: Any, b: Any) -> Any:
        if self.what != "max":
            return self.builder.fadd(a, b)
        pair = Operand(self.builder, a), Operand(self.builder, b)
        return pair[0].speak("maximum", pair).value

    def taken(self, x: Operand, mask: Any) -> Any:
        """Return a vector as it is joined; lanes that do not exist count for nothing."""
        value = x.value
        if value.type != self.vector:
            value = self.builder.fpext(value, self.vector)
        if self.what in ("norm", "squares"):
            value = self.builder.fmul(value, value)
        return value if mask is None else self.builder.select(mask, value, self.none)

    def finished(self, total: Any, count: Any, lanes: int) -> Any:
        """Return the number, or the vector of numbers, that was asked for, in the dtype of the matrix."""
        kind = ir.VectorType(self.sweep.real, lanes) if lanes > 1 else self.sweep.real
        if self.what == "max":
            return self.builder.fadd(total, constant(kind, 0.0))
        if self.what == "mean":
            divisor = self.builder.bitcast(count, FLOATS["float64"])
            total = self.builder.fdiv(total, self.sweep.code.splat(divisor, lanes) if lanes > 1 else divisor)
        if self.what == "norm":
            operand = Operand(self.builder, total)
            total = operand.speak("sqrt", (operand,)).value
        return total if total.type == kind else self.builder.fptrunc(total, kind)


def applied(word: str, operands: Sequence[Operand]) -> Operand:
    """A sign or a word of the vocabulary, as instructions."""
    match word:
        case "+":
            return operands[0] + operands[1]
        case "-":
            return operands[0] - operands[1]
        case "*":
            return operands[0] * operands[1]
        case "/":
            return operands[0] / operands[1]
        case "<":
            return operands[0] < operands[1]
        case ">":
            return operands[0] > operands[1]
        case "negative":
            return -operands[0]
        case "same":
            return operands[0]
        case _:
            return operands[-1].speak(word, tuple(operands))
