"""The grids of a step, around what :mod:`gradstep.engine.passes` does to elements.

Each is ``(job, first, last)`` over a range of chunks, whose rows are those of :mod:`gradstep.engine.cpu.job`:

``look``
    sets the job's flag where a gradient is bad.
``measure0``, ...
    sums what a stage measures, lane by lane, and looks where it is the first; ``meter`` sums what is metered.
``tops``
    finds the largest magnitude of each sixteen numbers that a slot in blocks will have, for their block's new scale.
``apply``
    writes parameters and state, unless the flag is set.
``rescale``
    writes the new scales, when all that needs the old ones has been written.

``look``, ``tops`` and ``apply`` go over vectors of at least 16 bytes of every array, those that sum over the lanes of
blocks, the sixteen that :mod:`gradstep.array.reduction` has, so that sums have the CPU's bits: a thread has as many
neighbouring lanes as its vectors have elements, and one where a block is not whole or an array's memory not aligned.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from gradstep.array.reduction import BLOCK, LANES
from gradstep.array.storage import BLOCK as NUMBERS
from gradstep.array.storage import BLOCKS as BLOCKED
from gradstep.array.storage import Layout
from gradstep.engine.cpu.codecs import larger, magnitude, words
from gradstep.engine.cpu.job import BAD, BLOCKS, LENGTH, METERED, SUMS
from gradstep.engine.cpu.llvm import FLOATS, I32, Operand, halved, i64
from gradstep.engine.cpu.stored import Memory
from gradstep.engine.cuda.grid import WIDTH, Machine, Thread
from gradstep.engine.meters import METERS
from gradstep.engine.passes import BlockSum, Pass, Worst, sum_count
from gradstep.form.chain import reductions
from gradstep.form.rule import Rule

LANED = METERED + 1  # of the job's words: where sums of lanes go
_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, **dict.fromkeys(BLOCKED, 1)}  # of a stored number
_DOUBLE = FLOATS["float64"]
_OF_BLOCK = NUMBERS // LANES  # tops of a block that shares a scale


def lanes(layout: Layout) -> int:
    """Elements of a thread's vector: the smallest of them fill 16 bytes."""
    names = [layout.dtype, *(layout.compute if name is None else name for name in layout.slots)]
    return WIDTH // min(_BYTES[name] for name in names)


def summed_lanes(layout: Layout) -> int:
    """Lanes of a block that a thread sums."""
    return min(LANES, lanes(layout))


def size_of(layout: Layout) -> int:
    """Bytes of a number of a parameter."""
    return _BYTES[layout.dtype]


def blocked(layout: Layout) -> list[int]:
    """Return the slots that are stored in blocks."""
    return [k for k, name in enumerate(layout.slots) if name in BLOCKED]


def names(rules: Sequence[Rule], layout: Layout, *, is_metered: bool) -> list[str]:
    """Return the names of the grids of a layout."""
    more = ["tops", "rescale"] if layout.has_blocks else []
    return ["look", "apply", *more, *(f"measure{i}" for i in reductions(rules)), *(["meter"] if is_metered else [])]


def module(rules: Sequence[Rule], layout: Layout, limit: float, machine: Machine, *, is_metered: bool) -> ir.Module:
    """Return all grids of a chain of rules for tensors of one layout; a gradient beyond ``limit`` is bad."""
    made = machine.module("gradstep")
    for name in names(rules, layout, is_metered=is_metered):
        kernel = _Kernel(made, rules, layout, name, machine)
        match name:
            case "look":
                kernel.look(limit)
            case "apply":
                kernel.apply()
            case "tops":
                kernel.find_tops()
            case "rescale":
                kernel.rescale()
            case "meter":
                kernel.meters()
            case _:
                part = int(name.removeprefix("measure"))
                kernel.measure(part, limit if part == reductions(rules)[0] else None)
    return made


def joining(machine: Machine) -> ir.Module:
    """Return the grids ``halve`` and ``halve_meters``, ``(job, first, last)``: sums of lanes to block sums."""
    made = machine.module("joining")
    for name, word in (("halve", SUMS), ("halve_meters", METERED)):
        code = Thread(made, name, machine)
        job, first, last = code.arguments
        source, sink = (code.word(job, i64(k)) for k in (LANED, word))
        if word == METERED:  # of an update that is made
            last = unless_bad(code, job, first, last)
        kind = ir.VectorType(_DOUBLE, LANES)
        with code.of_grid(first, last) as k:
            total = halved(code, code.load(code.offset(source, k, 8 * LANES), kind, None, 8), code.builder.fadd)
            code.builder.store(total, code.pointer(code.offset(sink, k, 8), _DOUBLE))
        code.end()
    return made


def unless_bad(code: Thread, job: Any, first: Any, last: Any) -> Any:
    """Return the end of a range: its beginning where the job's flag is set."""
    is_good = code.builder.icmp_signed("==", code.word(job, i64(BAD)), i64(0))
    return code.builder.select(is_good, last, first)


class _Kernel(Pass):
    """One grid."""

    def __init__(self, made: ir.Module, rules: Sequence[Rule], layout: Layout, name: str, machine: Machine) -> None:
        self.grid = code = Thread(made, name, machine)
        job, self.first, self.last = code.arguments
        self.blocked = blocked(layout)
        super().__init__(code, rules, layout, job, asides=len(self.blocked))

    def look(self, limit: float) -> None:
        """Set the flag where a gradient is NaN or larger than ``limit``."""
        worst = self.worst(limit, lanes(self.layout))
        with self.grid.chunks(self.first, self.last) as chunk:
            row = self.row(chunk)
            memory = self.memory(row)

            def one(i: Any) -> None:
                worst[self.code.lanes].take(memory.gradient(i, None))

            self.vectors(row, [memory.found], lambda: one)
        self.flag(worst)
        self.grid.end()

    def worst(self, limit: float, width: int) -> dict[int, Worst]:
        """Return what remembers the largest |g|, for vectors of so many elements and for single ones."""
        out: dict[int, Worst] = {}
        for n in {width, 1}:
            with self.grid.width(n):
                out[n] = Worst(self.code, self.real, limit)
        return out

    def flag(self, worst: dict[int, Worst]) -> None:
        """Set the flag where one of these was bad: all threads write the same."""
        for n, found in worst.items():
            with (
                self.grid.width(n),
                self.code.builder.if_then(self.code.builder.icmp_signed("!=", found.is_bad(), i64(0))),
            ):
                self.code.builder.store(i64(1), self.code.word_place(self.job, BAD))

    def unless_bad(self) -> Any:
        """The chunk after the last: none is left where the flag is set."""
        return unless_bad(self.grid, self.job, self.first, self.last)

    def apply(self) -> None:
        """The whole chain in one pass."""

        def done(memory: Memory, theta: Operand, after: Sequence[Sequence[Operand]], i: Any) -> None:
            noise = memory.noise(i)
            for k in self.blocked:
                memory.known[k] = self.fitting(memory, k, i)
            self.write(memory, theta, after, i, None, noise, lambda k, x: memory.store(k, x, i, None, noise))

        self.step(done)

    def find_tops(self) -> None:
        """Keep aside the largest magnitude of each vector of each slot in blocks."""
        code, builder = self.code, self.code.builder
        tops = {k: code.variable(ir.Constant(I32, 0)) for k in self.blocked}

        def done(_memory: Memory, _theta: Operand, after: Sequence[Sequence[Operand]], _i: Any) -> None:
            for k, x in self.numbered(after):
                if k in tops:
                    top = halved(code, magnitude(code, x.value), lambda a, b: larger(code, a, b))
                    builder.store(larger(code, builder.load(tops[k]), top), tops[k])

        def begun() -> None:
            for top in tops.values():
                builder.store(ir.Constant(I32, 0), top)

        def ended(memory: Memory, vector: Any) -> None:
            for j, k in enumerate(self.blocked):
                place = code.offset(memory.asides[j], vector, 4)
                builder.store(builder.load(tops[k]), code.pointer(place, I32))

        self.step(done, begun, ended)

    def step(
        self,
        done: Callable[[Memory, Operand, Sequence[Sequence[Operand]], Any], None],
        begun: Callable[[], None] = lambda: None,
        ended: Callable[[Memory, Any], None] = lambda *_: None,
    ) -> None:
        """Run the chain over all vectors: ``done(memory, theta, after, i)`` is what becomes of its results.

        ``begun()`` and ``ended(memory, vector)`` come before and after each vector.
        """
        with self.grid.chunks(self.first, self.unless_bad()) as chunk:
            row = self.row(chunk)
            memory = self.memory(row)

            def each() -> Callable[[Any], None]:
                numbers = self.numbers(row, self.rules)

                def one(i: Any) -> None:
                    memory.open_block(i)
                    _, _, theta, after = self.stepped(memory, numbers, i, None)
                    done(memory, theta, after, i)

                return one

            self.vectors(row, self.places(memory), each, begun, lambda vector: ended(memory, vector))
        self.grid.end()

    def rescale(self) -> None:
        """Write the new scale of each block."""
        with self.grid.chunks(self.first, self.unless_bad()) as chunk:
            row = self.row(chunk)
            memory = self.memory(row)
            n = self.code.word(row, i64(LENGTH))
            blocks = self.code.builder.sdiv(self.code.builder.add(n, i64(NUMBERS - 1)), i64(NUMBERS))
            with self.grid.of_block(blocks) as block:
                i = self.code.builder.mul(block, i64(NUMBERS))
                for k in self.blocked:
                    self.code.builder.store(self.fitting(memory, k, i), memory.scale(k, i))
        self.grid.end()

    def fitting(self, memory: Memory, k: int, i: Any) -> Any:
        """The new scale of the block in which element ``i`` lies, from its tops."""
        code = self.code
        with self.grid.width(_OF_BLOCK):
            block = code.builder.lshr(i, i64(NUMBERS.bit_length() - 1))
            place = code.offset(memory.asides[self.blocked.index(k)], block, 4 * _OF_BLOCK)
            tops = code.load(place, words(code, 0).type, None, 4)
            return memory.fitting(k, halved(code, tops, lambda a, b: larger(code, a, b)))

    def measure(self, part: int, limit: float | None) -> None:
        """Sum what the stage ``part`` measures, and look at the gradients where there is a ``limit``."""
        rules, rule = self.rules[:part], self.rules[part]
        worst = {} if limit is None else self.worst(limit, summed_lanes(self.layout))

        def each(row: Any, memory: Memory, totals: Sequence[BlockSum]) -> Callable[[Any], None]:
            numbers, early = self.numbers(row, rules), self.numbers(row, [*rules, rule], wide=True)[part]
            own = worst.get(self.code.lanes)
            return lambda i: self.measured(part, memory, numbers, early, totals, own, i, None)

        self.sums(len(rule.measure), sum_count(self.rules), self.last, each)
        self.flag(worst)
        self.grid.end()

    def meters(self) -> None:
        """Sum what is metered of the step that ``apply`` is about to make."""

        def each(row: Any, memory: Memory, totals: Sequence[BlockSum]) -> Callable[[Any], None]:
            numbers: list[list[Operand]] = self.numbers(row, self.rules)

            def one(i: Any) -> None:
                memory.open_block(i)
                *step, _ = self.stepped(memory, numbers, i, None)
                self.meter(totals, memory, step, memory.noise(i), None)

            return one

        self.sums(METERS, METERS, self.unless_bad(), each)
        self.grid.end()

    def sums(
        self, n: int, room: int, last: Any, each: Callable[[Any, Memory, Sequence[BlockSum]], Callable[[Any], None]]
    ) -> None:
        """Sum ``n`` things over each lane of each block of 4096 elements; up to the chunk ``last``.

        There is ``room`` for so many sums a block. Whole blocks of aligned arrays are summed by vectors.
        """
        code, builder, width = self.code, self.code.builder, summed_lanes(self.layout)
        totals: dict[int, list[BlockSum]] = {}
        for k in {width, 1}:
            with self.grid.width(k):
                totals[k] = [BlockSum(code) for _ in range(n)]
        laned = code.word(self.job, i64(LANED))
        with self.grid.chunks(self.first, last) as chunk:
            row = self.row(chunk)
            memory = self.memory(row)
            length, begin = (code.word(row, i64(k)) for k in (LENGTH, BLOCKS))
            blocks = builder.sdiv(builder.add(length, i64(BLOCK - 1)), i64(BLOCK))
            is_wide = self.grid.places_are_wide(self.places(memory))
            full = builder.select(is_wide, builder.sdiv(length, i64(BLOCK)), i64(0))
            for k, first, past in ((width, i64(0), full), (1, full, blocks)):
                of_block = LANES // k  # threads
                with self.grid.width(k):
                    one = each(row, memory, totals[k])
                    with self.grid.of_block(builder.mul(builder.sub(past, first), i64(of_block))) as unit:
                        block = builder.add(first, builder.sdiv(unit, i64(of_block)))
                        lane = builder.mul(builder.srem(unit, i64(of_block)), i64(k))
                        start = builder.mul(block, i64(BLOCK))
                        for x in totals[k]:
                            x.open()
                        stop = code.least(length, builder.add(start, i64(BLOCK)))
                        with code.count(builder.add(start, lane), stop, LANES) as i:
                            one(i)
                        for j, x in enumerate(totals[k]):
                            column = builder.add(builder.mul(builder.add(begin, block), i64(room)), i64(j))
                            place = builder.add(builder.mul(column, i64(LANES)), lane)
                            code.store(builder.load(x.lanes), code.offset(laned, place, 8), None, 8)

    def places(self, memory: Memory) -> list[Any]:
        """The addresses from which, and to which, vectors go."""
        master = [] if memory.master is None else [memory.master]
        return [memory.found, memory.theta_place, *memory.places, *master]

    def vectors(
        self,
        row: Any,
        places: list[Any],
        each: Callable[[], Callable[[Any], None]],
        begun: Callable[[], None] = lambda: None,
        ended: Callable[[Any], None] = lambda _: None,
    ) -> None:
        """Have this thread's share of a chunk's vectors done: ``each()`` gives what is done with one, of any width.

        One that is not whole, and any where an array's memory is not aligned, is done element by element. ``begun()``
        and ``ended(vector)`` come before and after each vector.
        """
        code, builder, width = self.code, self.code.builder, lanes(self.layout)
        n = code.word(row, i64(LENGTH))
        is_wide = self.grid.places_are_wide(places)
        count = builder.sdiv(builder.add(n, i64(width - 1)), i64(width))
        full = builder.select(is_wide, builder.sdiv(n, i64(width)), i64(0))
        with self.grid.width(width):
            one = each()
            with code.count(self.grid.thread, full, self.grid.threads) as vector:
                begun()
                one(builder.mul(vector, i64(width)))
                ended(vector)
        # The first of this thread's vectors that is not among the full ones.
        past = builder.sub(full, self.grid.thread)
        turns = builder.sdiv(builder.add(past, builder.sub(self.grid.threads, i64(1))), self.grid.threads)
        turns = code.largest(turns, i64(0))
        one = each()
        with code.count(
            builder.add(self.grid.thread, builder.mul(turns, self.grid.threads)), count, self.grid.threads
        ) as vector:
            start = builder.mul(vector, i64(width))
            begun()
            with code.count(start, code.least(n, builder.add(start, i64(width)))) as i:
                one(i)
            ended(vector)
