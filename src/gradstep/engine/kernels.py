"""The three loops of a step, written once for any chain: ``apply``, ``largest`` and a ``measure`` for each reduction.

Each takes a table of chunks and the range of chunks to work on, so that any number of threads may share a table.
A row of the table is 64-bit words: length, row of scalars, address of the gradient, of theta, of each slot. A chunk
lies in one array, and starts at a multiple of :data:`gradstep.reduction.BLOCK` elements from the array's start.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from gradstep.chain import run
from gradstep.engine.llvm import FLOATS, I32, I64, Function, Operand, constant, i64
from gradstep.reduction import BLOCK, LANES
from gradstep.rule import Rule

LENGTH, ROW, GRADIENT, THETA, SLOTS = range(5)


def width(rules: Sequence[Rule]) -> int:
    """Words in a row of the table of chunks."""
    return SLOTS + _slots(rules)


def scalar_count(rules: Sequence[Rule]) -> int:
    """Numbers in a row of the scalar table: those of each rule, in order."""
    return sum(len(rule.numbers) for rule in rules)


def _slots(rules: Sequence[Rule]) -> int:
    return sum(len(rule.state) for rule in rules)


def emit(rules: Sequence[Rule], dtype: str, triple: str) -> str:
    """The LLVM assembly of a chain of rules in one compute dtype."""
    module = ir.Module("gradstep")
    module.triple = triple
    _Kernel(module, rules, dtype, "apply", 4).apply()
    _Kernel(module, rules, dtype, "largest", 4).largest()
    for i, rule in enumerate(rules):
        if rule.measure is not None:
            _Kernel(module, rules, dtype, f"measure{i}", 6).measure(i)
    return str(module)


class _Kernel:
    """One exported function: a loop over chunks, and in each a loop over vectors of lanes with a masked rest."""

    def __init__(self, module: ir.Module, rules: Sequence[Rule], dtype: str, name: str, arguments: int) -> None:
        self.code = Function(module, name, arguments)
        self.rules = rules
        self.real = FLOATS[dtype]
        self.size = 4 if dtype == "float32" else 8
        self.lanes = ir.VectorType(self.real, LANES)

    def apply(self) -> None:
        """``apply(table, first, last, scalars)``: the whole chain in one pass."""
        code = self.code
        table, first, last, scalars = code.arguments
        with code.count(first, last) as chunk:
            row = code.offset(table, chunk, 8 * width(self.rules))
            numbers = self.numbers(scalars, code.word(row, i64(ROW)), self.rules)
            n = code.word(row, i64(LENGTH))
            places = [code.word(row, i64(GRADIENT + j)) for j in range(2 + _slots(self.rules))]

            def one(i: Any, mask: Any) -> None:
                where = [code.offset(place, i, self.size) for place in places]
                theta, g, state = self.operands(where, mask)
                theta, _, after = run(self.rules, theta, g, state, numbers)
                for x, place in zip([theta, *(x for own in after for x in own)], where[1:], strict=True):
                    code.store(x.value, place, mask, self.size)

            self.elements(i64(0), n, one)
        code.builder.ret_void()

    def largest(self) -> None:
        """``largest(table, first, last, out)``: the largest |g| of each chunk as an integer, NaN above all else.

        The bits of |g| order as |g| does, and a maximum of integers is the same in any order.
        """
        code, builder = self.code, self.code.builder
        table, first, last, out = code.arguments
        bits = ir.IntType(8 * self.size)
        kind = ir.VectorType(bits, LANES)
        clear = ir.Constant(kind, [(1 << (8 * self.size - 1)) - 1] * LANES)
        zero = ir.Constant(kind, [0] * LANES)
        with code.count(first, last) as chunk:
            row = code.offset(table, chunk, 8 * width(self.rules))
            place = code.word(row, i64(GRADIENT))
            top = code.variable(zero)

            def one(i: Any, mask: Any) -> None:
                g = code.load(code.offset(place, i, self.size), self.lanes, mask, self.size)
                g = builder.and_(builder.bitcast(g, kind), clear)
                old = builder.load(top)
                builder.store(builder.select(builder.icmp_unsigned(">", g, old), g, old), top)

            builder.store(zero, top)
            self.elements(i64(0), code.word(row, i64(LENGTH)), one)
            best = self.halved(builder.load(top), lambda a, b: builder.select(builder.icmp_unsigned(">", a, b), a, b))
            wide = best if self.size == 8 else builder.zext(best, I64)
            builder.store(wide, code.pointer(code.offset(out, chunk, 8), I64))
        builder.ret_void()

    def measure(self, part: int) -> None:
        """``measure(table, first, last, scalars, partials, out)``: block sums, from ``out[partials[chunk]]`` on.

        The stages before ``part`` are evaluated and not stored; what it measures is computed and summed in float64.
        """
        code, builder = self.code, self.code.builder
        table, first, last, scalars, partials, out = code.arguments
        before, measure = self.rules[:part], self.rules[part].measure
        assert measure is not None  # noqa: S101 - only reducing stages are emitted
        double = FLOATS["float64"]
        wide = ir.VectorType(double, LANES)
        zero = constant(wide, 0.0)
        with code.count(first, last) as chunk:
            row = code.offset(table, chunk, 8 * width(self.rules))
            numbers = self.numbers(scalars, code.word(row, i64(ROW)), before)
            n = code.word(row, i64(LENGTH))
            places = [code.word(row, i64(GRADIENT + j)) for j in range(2 + _slots(before))]
            results = code.offset(out, code.word(partials, chunk), 8)
            lanes = code.variable(zero)

            def one(i: Any, mask: Any) -> None:
                theta, g, state = self.operands([code.offset(place, i, self.size) for place in places], mask)
                theta, g, _ = run(before, theta, g, state, numbers)
                widened = [x.value if self.size == 8 else builder.fpext(x.value, wide) for x in (theta, g)]
                value = measure(*(Operand(builder, x) for x in widened)).value
                if mask is not None:
                    value = builder.select(mask, value, zero)
                builder.store(builder.fadd(builder.load(lanes), value), lanes)

            with code.count(i64(0), n, BLOCK) as start:
                builder.store(zero, lanes)
                self.elements(start, code.least(n, builder.add(start, i64(BLOCK))), one)
                total = self.halved(builder.load(lanes), builder.fadd)
                builder.store(total, code.pointer(code.offset(results, builder.sdiv(start, i64(BLOCK)), 8), double))
        builder.ret_void()

    def elements(self, start: Any, stop: Any, one: Any) -> None:
        """``one(i, mask)`` for each full vector from ``start``, then once for the masked rest, if any."""
        builder = self.code.builder
        full = builder.add(start, builder.and_(builder.sub(stop, start), i64(-LANES)))
        with self.code.count(start, full, LANES) as i:
            one(i, None)
        rest = builder.sub(stop, full)
        with builder.if_then(builder.icmp_signed(">", rest, i64(0))):
            one(full, self.code.first_lanes(LANES, rest))

    def operands(self, where: list[Any], mask: Any) -> tuple[Operand, Operand, list[list[Operand]]]:
        """Theta, g and the state, loaded from the addresses of g, theta and the slots."""
        g, theta, *flat = (Operand(self.code.builder, self.code.load(x, self.lanes, mask, self.size)) for x in where)
        state: list[list[Operand]] = []
        for rule in self.rules:
            state.append(flat[: len(rule.state)])
            flat = flat[len(rule.state) :]
        return theta, g, state

    def numbers(self, table: Any, row: Any, rules: Sequence[Rule]) -> list[dict[str, Operand]]:
        """The scalars of a row, float64 in the table, rounded once to the compute dtype."""
        code, builder = self.code, self.code.builder
        start = code.offset(table, row, 8 * scalar_count(self.rules))
        out: list[dict[str, Operand]] = []
        at = 0
        for rule in rules:
            own: dict[str, Operand] = {}
            for name in rule.numbers:
                x = code.word(start, i64(at), FLOATS["float64"])
                x = x if self.size == 8 else builder.fptrunc(x, self.real)
                own[name] = Operand(builder, code.splat(x, LANES))
                at += 1
            out.append(own)
        return out

    def halved(self, x: Any, join: Any) -> Any:
        """The lanes of a vector joined: the two halves, and again, down to one."""
        builder, n = self.code.builder, LANES
        while n > 1:
            n //= 2
            low, high = (ir.Constant(ir.VectorType(I32, n), list(range(at, at + n))) for at in (0, n))
            x = join(builder.shuffle_vector(x, x, low), builder.shuffle_vector(x, x, high))
        return builder.extract_element(x, ir.Constant(I32, 0))
