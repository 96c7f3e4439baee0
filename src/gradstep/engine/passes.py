"""The passes of a step as what they do to elements, written once for any chain.

A machine adds how it walks over them: a CPU in :mod:`gradstep.engine.cpu.kernels`, a GPU in
:mod:`gradstep.engine.cuda.kernels`. Both read a chunk's row and the job's words as :mod:`gradstep.engine.cpu.job` has
them.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llvmlite import ir

from gradstep.array.storage import Layout
from gradstep.engine.cpu.job import ROW, SCALARS, STRIDE, TABLE
from gradstep.engine.cpu.llvm import FLOATS, Function, Operand, constant, halved, i64
from gradstep.engine.cpu.stored import Memory
from gradstep.engine.meters import metered
from gradstep.form.chain import Normal, Whole, run, terms, wholes
from gradstep.form.rule import Rule

_DOUBLE = FLOATS["float64"]


def slot_count(rules: Sequence[Rule]) -> int:
    """Arrays that a chain keeps for each parameter."""
    return sum(len(rule.state) for rule in rules)


def scalar_count(rules: Sequence[Rule]) -> int:
    """Numbers in a row of the scalar table: those of each rule, in order."""
    return sum(len(rule.numbers) for rule in rules)


def sum_count(rules: Sequence[Rule]) -> int:
    """Room for the sums of a block: as many as one stage takes at most."""
    return max((len(rule.measure) for rule in rules), default=0)


class Pass:
    """One function of a chain.

    ``i`` is everywhere the number of a vector's first element in its chunk, ``mask`` the lanes that exist (None: all).

    Parameters
    ----------
    code
        The function that is written.
    rules, layout
        What is run, on tensors of which layout.
    job
        The address of the job.
    ahead
        Bytes: numbers that lie so far behind those that are read are fetched, unless it is 0.
    asides
        Arrays of a chunk that are kept aside; None: theta and g of each stage of whole arrays.
    """

    def __init__(
        self, code: Function, rules: Sequence[Rule], layout: Layout, job: Any, ahead: int = 0, asides: int | None = None
    ) -> None:
        self.code, self.rules, self.layout, self.job, self.ahead = code, rules, layout, job, ahead
        self.wholes = wholes(rules)
        self.asides = 2 * len(self.wholes) if asides is None else asides
        self.real = FLOATS[layout.compute]
        self.table, self.stride = (code.word(job, i64(k)) for k in (TABLE, STRIDE))

    def stepped(
        self, memory: Memory, numbers: Sequence[Sequence[Operand]], i: Any, mask: Any
    ) -> tuple[Operand, Operand, Operand, list[list[Operand]]]:
        """Return theta before the chain, g, theta after it, and the new state."""
        theta, g, state = self.operands(memory, i, mask, self.rules)
        start = theta
        theta, _, after, _ = run(self.rules, theta, g, state, numbers, *self.given(memory, i, mask))
        return start, g, theta, after

    def write(
        self,
        memory: Memory,
        theta: Operand,
        after: Sequence[Sequence[Operand]],
        i: Any,
        mask: Any,
        noise: list[Any],
        blocked: Callable[[int, Any], None],
    ) -> None:
        """Store theta and the new state; ``blocked(k, value)`` is done with a slot whose blocks share a scale."""
        memory.store_theta(theta.value, i, mask, noise)
        for k, x in self.numbered(after):
            if k in memory.blocks:
                blocked(k, x.value)
            else:
                memory.store(k, x.value, i, mask, noise)

    def meter(
        self, sums: Sequence["BlockSum"], memory: Memory, step: Sequence[Operand], noise: list[Any], mask: Any
    ) -> None:
        """Add what :mod:`gradstep.engine.meters` wants to know; ``step`` is theta before, g, theta after."""
        start, g, theta = step
        squares = metered(*map(self.widened, step))
        unmoved = self.unmoved(start, g, memory.kept(theta.value, noise))
        for total, x in zip(sums, (*squares, unmoved), strict=True):
            total.take(x, mask)

    def measured(
        self,
        part: int,
        memory: Memory,
        numbers: Sequence[Sequence[Operand]],
        early: Sequence[Operand],
        totals: Sequence["BlockSum"],
        worst: "Worst | None",
        i: Any,
        mask: Any,
    ) -> None:
        """Add what the stage ``part`` measures, after the stages before it, and look at the gradient."""
        rules, rule = self.rules[:part], self.rules[part]
        theta, g, state = self.operands(memory, i, mask, [*rules, rule])
        if worst is not None:
            worst.take(g.value)
        theta, g, _, before = run(rules, theta, g, state, numbers, *self.given(memory, i, mask))
        arrays = [before, theta, g, *state[part]]
        for total, x in zip(totals, terms(rule, arrays, early, self.widened), strict=True):
            total.take(x, mask)

    def unmoved(self, start: Operand, g: Operand, kept: Any) -> Operand:
        """1 where the number that is kept is the one before, though its gradient is not zero."""
        builder = self.code.builder
        is_same = builder.fcmp_ordered("==", kept, start.value)
        is_same = builder.and_(is_same, builder.fcmp_unordered("!=", g.value, constant(g.value.type, 0.0)))
        wide = ir.VectorType(_DOUBLE, self.code.lanes)
        return Operand(builder, builder.select(is_same, constant(wide, 1.0), constant(wide, 0.0)))

    def memory(self, row: Any) -> Memory:
        """The memory of a chunk."""
        random = [i for i, rule in enumerate(self.rules) if rule.random is not None and not rule.whole]
        return Memory(self.code, self.job, row, self.layout, self.asides, random, self.ahead)

    def given(self, memory: Memory, i: Any, mask: Any) -> tuple[Whole, Normal]:
        """Stages of whole arrays as they were run before, whose results are read; and what stages draw."""

        def read(part: int, _theta: Any, _g: Any) -> tuple[Operand, Operand]:
            k = 2 * self.wholes.index(part)
            theta, g = (Operand(self.code.builder, memory.aside(j, i, mask)) for j in (k, k + 1))
            return theta, g

        return read, lambda place: memory.normal(place, i)

    def numbered(self, after: Sequence[Sequence[Operand]]) -> Iterator[tuple[int, Operand]]:
        """The new slots that a pass stores, each with its number; those of whole arrays are stored by others."""
        k = 0
        for rule, own in zip(self.rules, after, strict=True):
            yield from enumerate(own, k)
            k += len(rule.state)

    def row(self, chunk: Any) -> Any:
        """The address of a chunk's row."""
        return self.code.builder.add(self.table, self.code.builder.mul(chunk, self.stride))

    def widened(self, x: Operand) -> Operand:
        """The same in float64."""
        wide = ir.VectorType(_DOUBLE, self.code.lanes)
        return x if self.real == _DOUBLE else Operand(x.builder, x.builder.fpext(x.value, wide))

    def operands(
        self, memory: Memory, i: Any, mask: Any, rules: Sequence[Rule]
    ) -> tuple[Operand, Operand, list[list[Operand]]]:
        """Theta, g and the state of some rules."""
        g, theta = (Operand(self.code.builder, x) for x in (memory.gradient(i, mask), memory.theta(i, mask)))
        state: list[list[Operand]] = []
        k = 0
        for rule in rules:
            some = range(0 if rule.whole else len(rule.state))
            state.append([Operand(self.code.builder, memory.slot(k + j, i, mask)) for j in some])
            k += len(rule.state)
        return theta, g, state

    def numbers(self, row: Any, rules: Sequence[Rule], wide: bool = False) -> list[list[Operand]]:
        """The scalars of a chunk, float64 in their table, rounded once to the compute dtype; ``wide``: as they are."""
        code, builder = self.code, self.code.builder
        table = code.word(self.job, i64(SCALARS))
        start = code.offset(table, code.word(row, i64(ROW)), 8 * scalar_count(self.rules))
        out: list[list[Operand]] = []
        at = 0
        for rule in rules:
            out.append([])
            for _ in rule.numbers:
                x = code.word(start, i64(at), _DOUBLE)
                x = x if wide or self.real == _DOUBLE else builder.fptrunc(x, self.real)
                out[-1].append(Operand(builder, code.splat(x, code.lanes)))
                at += 1
        return out


class BlockSum:
    """Adds up vectors in float64, lane by lane: of a block on a CPU sixteen lanes, which are halved then."""

    def __init__(self, code: Function) -> None:
        self.code, self.zero = code, constant(ir.VectorType(_DOUBLE, code.lanes), 0.0)
        self.lanes = code.variable(self.zero)

    def open(self) -> None:
        """Begin a block."""
        self.code.builder.store(self.zero, self.lanes)

    def take(self, x: Operand, mask: Any) -> None:
        """Add a vector; lanes that do not exist count as zero."""
        builder = self.code.builder
        value = x.value if mask is None else builder.select(mask, x.value, self.zero)
        builder.store(builder.fadd(builder.load(self.lanes), value), self.lanes)

    def close(self) -> Any:
        """The sum of the block."""
        return halved(self.code, self.code.builder.load(self.lanes), self.code.builder.fadd)


class Worst:
    """Remembers the largest |g| seen, as an integer: the bits of |g| order as |g| does, with NaN above all else."""

    def __init__(self, code: Function, real: Any, limit: float) -> None:
        self.code = code
        size = 4 if real == FLOATS["float32"] else 8
        self.kind = ir.VectorType(ir.IntType(8 * size), code.lanes)
        self.clear = ir.Constant(self.kind, [(1 << (8 * size - 1)) - 1] * code.lanes)
        self.limit = code.builder.bitcast(constant(real, limit), self.kind.element)
        self.top = code.variable(ir.Constant(self.kind, [0] * code.lanes))

    def take(self, g: Any) -> None:
        """Look at a vector."""
        builder = self.code.builder
        bits = builder.and_(builder.bitcast(g, self.kind), self.clear)
        builder.store(self._larger(bits, builder.load(self.top)), self.top)

    def is_bad(self) -> Any:
        """1 where one was beyond the limit, else 0."""
        builder = self.code.builder
        best = halved(self.code, builder.load(self.top), self._larger)
        return builder.zext(builder.icmp_unsigned(">", best, self.limit), i64(0).type)

    def _larger(self, a: Any, b: Any) -> Any:
        return self.code.builder.select(self.code.builder.icmp_unsigned(">", a, b), a, b)
