"""The loops of a step on a CPU, around what :mod:`gradstep.engine.passes` does to elements.

They are ``look``, ``apply``, a ``measure`` for each reduction, and a ``forward`` for each stage of whole arrays.

Each is ``(job, first, last) -> 1 where a gradient is bad, else 0`` and works on a range of chunks, so that any number
of threads may share a job (:mod:`gradstep.engine.cpu.job`). A chunk starts at a multiple of
:data:`gradstep.array.reduction.BLOCK` elements from its array's start.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from gradstep.array.memory import CACHE_LINE
from gradstep.array.reduction import BLOCK, LANES
from gradstep.array.storage import BLOCK as NUMBERS
from gradstep.array.storage import BLOCKS as BLOCKED
from gradstep.array.storage import Layout
from gradstep.engine.cpu.job import BLOCKS, LENGTH, METERED, SUMS, THETA
from gradstep.engine.cpu.llvm import Function, i64
from gradstep.engine.cpu.stored import AHEAD, Scratch
from gradstep.engine.meters import METERS
from gradstep.engine.passes import BlockSum, Pass, Worst, sum_count
from gradstep.form.chain import reductions, run, wholes
from gradstep.form.rule import Rule

_FETCHED = 512  # bytes: what follows is foreseen
# Of a stored number.
_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, **dict.fromkeys(BLOCKED, 1)}


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


class _Kernel(Pass):
    """One exported function: a loop over chunks, and in each a loop over vectors of lanes with a masked rest."""

    def __init__(self, module: ir.Module, rules: Sequence[Rule], layout: Layout, name: str, *, is_long: bool) -> None:
        code = Function(module, name, 3)
        job, self.first, self.last = code.arguments
        super().__init__(code, rules, layout, job, AHEAD if is_long else 0)  # long: chunks follow one another in memory

    def apply(self, meters: int, ahead: int) -> None:
        """``apply(job, first, last)``: the whole chain in one pass; with meters, block sums of each, side by side."""
        code, builder = self.code, self.code.builder
        later = Scratch(code, self.layout)
        sums = [BlockSum(code) for _ in range(meters)]
        with code.count(self.first, self.last) as chunk:
            row = self.row(chunk)
            if ahead:
                self.fetch(self.row(code.least(builder.add(chunk, i64(ahead)), builder.sub(self.last, i64(1)))))
            numbers = self.numbers(row, self.rules)
            memory = self.memory(row)

            def one(i: Any, mask: Any) -> None:
                *step, after = self.stepped(memory, numbers, i, mask)
                noise = memory.noise(i)
                if sums:
                    self.meter(sums, memory, step, noise, mask)
                self.write(memory, step[2], after, i, mask, noise, lambda k, x: later.keep(k, x, i, mask))

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
        worst = Worst(code, self.real, limit)
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
        worst = None if limit is None else Worst(code, self.real, limit)
        sums, width = code.word(self.job, i64(SUMS)), sum_count(self.rules)
        totals = [BlockSum(code) for _ in rule.measure]
        with code.count(self.first, self.last) as chunk:
            row = self.row(chunk)
            numbers, early = self.numbers(row, rules), self.numbers(row, [*rules, rule], wide=True)[part]
            n = code.word(row, i64(LENGTH))
            memory = self.memory(row)
            table = code.offset(sums, code.word(row, i64(BLOCKS)), 8 * width)
            results = [code.builder.add(table, i64(8 * k)) for k in range(len(totals))]

            def one(i: Any, mask: Any) -> None:
                self.measured(part, memory, numbers, early, totals, worst, i, mask)

            self.blocks(n, totals, results, lambda start, stop: code.vectors(start, stop, LANES, one), width)
        code.give(i64(0) if worst is None else worst.is_bad())

    def blocks(
        self,
        n: Any,
        sums: Sequence[BlockSum],
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
