"""The loops of a step, written once for any chain.

They are ``look``, ``apply``, a ``measure`` for each reduction, and a ``forward`` for each stage of whole arrays.

Each is ``(job, first, last) -> 1 where a gradient is bad, else 0`` and works on a range of chunks, so that any number
of threads may share a job (:mod:`gradstep.engine.cpu.job`). A chunk starts at a multiple of
:data:`gradstep.array.reduction.BLOCK` elements from its array's start.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llvmlite import ir

from gradstep.array.memory import CACHE_LINE
from gradstep.array.reduction import BLOCK, LANES
from gradstep.array.storage import BLOCK as NUMBERS
from gradstep.array.storage import BLOCKS as BLOCKED
from gradstep.array.storage import Layout
from gradstep.engine.cpu.job import BLOCKS, LENGTH, METERED, ROW, SCALARS, STRIDE, SUMS, TABLE, THETA
from gradstep.engine.cpu.llvm import FLOATS, Function, Operand, constant, halved, i64
from gradstep.engine.cpu.stored import AHEAD, Memory, Scratch
from gradstep.engine.meters import METERS, metered
from gradstep.form.chain import Normal, Whole, reductions, run, terms, wholes
from gradstep.form.rule import Rule

_FETCHED = 512  # bytes: what follows is foreseen
_WIDE = ir.VectorType(FLOATS["float64"], LANES)
# Of a stored number.
_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, **dict.fromkeys(BLOCKED, 1)}


def slot_count(rules: Sequence[Rule]) -> int:
    """Arrays that a chain keeps for each parameter."""
    return sum(len(rule.state) for rule in rules)


def scalar_count(rules: Sequence[Rule]) -> int:
    """Numbers in a row of the scalar table: those of each rule, in order."""
    return sum(len(rule.numbers) for rule in rules)


def sum_count(rules: Sequence[Rule]) -> int:
    """Room for the sums of a block: as many as one stage takes at most."""
    return max((len(rule.measure) for rule in rules), default=0)


def work(rules: Sequence[Rule], layout: Layout) -> int:
    """Count the work that a step has with one element, in bytes of memory that take as long: 12 ps each, roughly.

    Additions and multiplications are done while memory is waited for. A root takes as long as 16 bytes, a division as
    long as 4, in float64 four times that; a slot in another format, with its random bits, 16; a normal number 32.
    """
    wide = layout.compute == "float64"
    size = _BYTES[layout.dtype]
    slots = sum(2 * _BYTES[layout.compute] if name is None else 16 + 2 * _BYTES[name] for name in layout.slots)
    passes = 3 + max(1, 2 * len(reductions(rules)))  # g, theta twice; g once more to look at it
    costs = {"sqrt": 16, "cbrt": 32, "/": 4}
    drawn = 32 * sum(rule.random is not None for rule in rules)
    slow = sum(cost * rule.operations.get(word, 0) for rule in rules for word, cost in costs.items())
    return passes * size + slots + drawn + (4 * slow if wide else slow)


def emit(
    rules: Sequence[Rule], layout: Layout, limit: float, triple: str, is_metered: bool = False, ahead: int = 0
) -> str:
    """The LLVM assembly of a chain of rules for tensors of one layout; a gradient beyond ``limit`` is bad.

    ``apply`` sums what :mod:`gradstep.engine.meters` wants to know, where it is metered; with ``ahead`` it fetches the
    memory of the chunk that comes so many chunks later, for chunks that lie apart.
    """
    module = ir.Module("gradstep")
    module.triple = triple

    def kernel(name: str) -> _Kernel:
        return _Kernel(module, rules, layout, name, is_long=not ahead)

    kernel("apply").apply(METERS if is_metered else 0, ahead)
    kernel("look").look(limit)
    for k, i in enumerate(reductions(rules)):
        # The first reduction reads every gradient anyway, so it looks at them too.
        kernel(f"measure{i}").measure(i, limit if k == 0 else None)
    for i in wholes(rules):
        kernel(f"forward{i}").forward(i)
    return str(module)


class _Kernel:
    """One exported function: a loop over chunks, and in each a loop over vectors of lanes with a masked rest."""

    def __init__(self, module: ir.Module, rules: Sequence[Rule], layout: Layout, name: str, *, is_long: bool) -> None:
        self.is_long = is_long  # whether chunks follow one another in memory
        self.code = Function(module, name, 3)
        self.rules, self.layout, self.wholes = rules, layout, wholes(rules)
        self.real = FLOATS[layout.compute]
        self.job, self.first, self.last = self.code.arguments
        self.table, self.stride = (self.code.word(self.job, i64(k)) for k in (TABLE, STRIDE))

    def apply(self, meters: int, ahead: int) -> None:
        """``apply(job, first, last)``: the whole chain in one pass; with meters, block sums of each, side by side."""
        code, builder = self.code, self.code.builder
        later = Scratch(code, self.layout)
        sums = [_BlockSum(code) for _ in range(meters)]
        with code.count(self.first, self.last) as chunk:
            row = self.row(chunk)
            if ahead:
                self.fetch(self.row(code.least(builder.add(chunk, i64(ahead)), builder.sub(self.last, i64(1)))))
            numbers = self.numbers(row, self.rules)
            memory = self.memory(row)

            def one(i: Any, mask: Any) -> None:
                theta, g, state = self.operands(memory, i, mask, self.rules)
                start = theta
                theta, _, after, _ = run(self.rules, theta, g, state, numbers, *self.given(memory, i, mask))
                noise = memory.noise(i)
                if sums:
                    squares = metered(*map(self.widened, (start, g, theta)))
                    unmoved = self.unmoved(start, g, memory.kept(theta.value, noise))
                    for total, x in zip(sums, (*squares, unmoved), strict=True):
                        total.take(x, mask)
                memory.store_theta(theta.value, i, mask, noise)
                for k, x in self.numbered(after):
                    if k in memory.blocks:
                        later.keep(k, x.value, i, mask)
                    else:
                        memory.store(k, x.value, i, mask, noise)

            def each(start: Any, stop: Any) -> None:
                if not self.layout.has_blocks:
                    code.vectors(start, stop, LANES, one)
                    return
                with code.count(start, stop, NUMBERS) as begin:
                    end = code.least(stop, builder.add(begin, i64(NUMBERS)))
                    memory.open_block(begin)
                    later.open()
                    code.vectors(begin, end, LANES, one)
                    later.scale(memory, begin)  # which shows when all of the block is computed
                    code.vectors(begin, end, LANES, lambda i, mask: later.store(memory, i, mask))

            n = code.word(row, i64(LENGTH))
            if not sums:
                each(i64(0), n)
            else:
                table = code.offset(code.word(self.job, i64(METERED)), code.word(row, i64(BLOCKS)), 8 * meters)
                self.blocks(n, sums, [builder.add(table, i64(8 * k)) for k in range(meters)], each, meters)
        code.give(i64(0))

    def fetch(self, row: Any) -> None:
        """Have the beginning of a chunk's theta and slots brought near, which the CPU cannot foresee."""
        code, builder = self.code, self.code.builder
        nbytes = builder.mul(code.word(row, i64(LENGTH)), i64(_BYTES[self.layout.compute]))
        for k in range(1 + len(self.layout.slots)):
            place = code.word(row, i64(THETA + k))
            with code.count(i64(0), code.least(nbytes, i64(_FETCHED)), CACHE_LINE) as i:
                code.fetch(builder.add(place, i), is_written=True)

    def unmoved(self, start: Operand, g: Operand, kept: Any) -> Operand:
        """1 where the number that is kept is the one before, though its gradient is not zero."""
        builder = self.code.builder
        is_same = builder.fcmp_ordered("==", kept, start.value)
        is_same = builder.and_(is_same, builder.fcmp_unordered("!=", g.value, constant(g.value.type, 0.0)))
        return Operand(builder, builder.select(is_same, constant(_WIDE, 1.0), constant(_WIDE, 0.0)))

    def forward(self, part: int) -> None:
        """``forward(job, first, last)``: keep aside theta and g as the stage ``part`` of whole arrays meets them."""
        code, rules, k = self.code, self.rules[:part], 2 * self.wholes.index(part)
        with code.count(self.first, self.last) as chunk:
            row = self.row(chunk)
            numbers, memory = self.numbers(row, rules), self.memory(row)

            def one(i: Any, mask: Any) -> None:
                theta, g, state = self.operands(memory, i, mask, rules)
                theta, g, _, _ = run(rules, theta, g, state, numbers, *self.given(memory, i, mask))
                memory.keep(k, theta.value, i, mask)
                memory.keep(k + 1, g.value, i, mask)

            code.vectors(i64(0), code.word(row, i64(LENGTH)), LANES, one)
        code.give(i64(0))

    def look(self, limit: float) -> None:
        """``look(job, first, last)``: whether a gradient is NaN or larger than ``limit``."""
        code = self.code
        worst = _Worst(code, self.real, limit)
        with code.count(self.first, self.last) as chunk:
            row = self.row(chunk)
            memory = self.memory(row)
            length = code.word(row, i64(LENGTH))
            code.vectors(i64(0), length, LANES, lambda i, mask: worst.take(memory.gradient(i, mask)))
        code.give(worst.is_bad())

    def measure(self, part: int, limit: float | None) -> None:
        """``measure(job, first, last)``: block sums of each chunk, side by side, from its place in the job's sums on.

        The stages before ``part`` are evaluated and not stored; what it measures is computed and summed in float64.
        With a ``limit`` it looks at the gradients as well.
        """
        code = self.code
        rules, rule = self.rules[:part], self.rules[part]
        worst = None if limit is None else _Worst(code, self.real, limit)
        sums, width = code.word(self.job, i64(SUMS)), sum_count(self.rules)
        totals = [_BlockSum(code) for _ in rule.measure]
        with code.count(self.first, self.last) as chunk:
            row = self.row(chunk)
            numbers, early = self.numbers(row, rules), self.numbers(row, [*rules, rule], wide=True)[part]
            n = code.word(row, i64(LENGTH))
            memory = self.memory(row)
            table = code.offset(sums, code.word(row, i64(BLOCKS)), 8 * width)
            results = [code.builder.add(table, i64(8 * k)) for k in range(len(totals))]

            def one(i: Any, mask: Any) -> None:
                theta, g, state = self.operands(memory, i, mask, [*rules, rule])
                if worst is not None:
                    worst.take(g.value)
                theta, g, _, before = run(rules, theta, g, state, numbers, *self.given(memory, i, mask))
                arrays = [before, theta, g, *state[part]]
                for total, x in zip(totals, terms(rule, arrays, early, self.widened), strict=True):
                    total.take(x, mask)

            self.blocks(n, totals, results, lambda start, stop: code.vectors(start, stop, LANES, one), width)
        code.give(i64(0) if worst is None else worst.is_bad())

    def memory(self, row: Any) -> Memory:
        """The memory of a chunk."""
        random = [i for i, rule in enumerate(self.rules) if rule.random is not None and not rule.whole]
        return Memory(self.code, self.job, row, self.layout, 2 * len(self.wholes), random, AHEAD if self.is_long else 0)

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

    def blocks(
        self,
        n: Any,
        sums: Sequence["_BlockSum"],
        results: Sequence[Any],
        each: Callable[[Any, Any], None],
        width: int,
    ) -> None:
        """``each(start, stop)`` for each block; its sums go where ``results`` begin, ``width`` numbers a block."""
        code, builder = self.code, self.code.builder
        with code.count(i64(0), n, BLOCK) as start:
            for x in sums:
                x.open()
            each(start, code.least(n, builder.add(start, i64(BLOCK))))
            for x, place in zip(sums, results, strict=True):
                total = x.close()
                place = code.offset(place, builder.sdiv(start, i64(BLOCK)), 8 * width)
                builder.store(total, code.pointer(place, total.type))

    def widened(self, x: Operand) -> Operand:
        """The same in float64."""
        return x if self.real == _WIDE.element else Operand(x.builder, x.builder.fpext(x.value, _WIDE))

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
                x = code.word(start, i64(at), FLOATS["float64"])
                x = x if wide or self.real == FLOATS["float64"] else builder.fptrunc(x, self.real)
                out[-1].append(Operand(builder, code.splat(x, LANES)))
                at += 1
        return out


class _BlockSum:
    """Adds up one block in float64: sixteen lanes in order, then halved."""

    def __init__(self, code: Function) -> None:
        self.code, self.zero = code, constant(_WIDE, 0.0)
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


class _Worst:
    """Remembers the largest |g| seen, as an integer: the bits of |g| order as |g| does, with NaN above all else."""

    def __init__(self, code: Function, real: Any, limit: float) -> None:
        self.code = code
        size = 4 if real == FLOATS["float32"] else 8
        self.kind = ir.VectorType(ir.IntType(8 * size), LANES)
        self.clear = ir.Constant(self.kind, [(1 << (8 * size - 1)) - 1] * LANES)
        self.limit = code.builder.bitcast(constant(real, limit), self.kind.element)
        self.top = code.variable(ir.Constant(self.kind, [0] * LANES))

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
