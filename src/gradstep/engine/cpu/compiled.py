"""The compiled CPU engine for NumPy arrays: one fused pass over all tensors and the whole chain."""

import ctypes
from collections.abc import Collection, Sequence
from functools import cache, lru_cache
from itertools import chain
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.array.memory import Regions, address, at_cache_line, numpy_place, owners
from gradstep.array.reduction import BLOCK
from gradstep.array.storage import BLOCK as NUMBERS
from gradstep.array.storage import BLOCKS, Layout, step_key
from gradstep.engine import passes
from gradstep.engine.cpu import helpers, kernels, native, reader, serial
from gradstep.engine.cpu import job as at
from gradstep.engine.cpu.exact import Joined
from gradstep.engine.cpu.gather import Gather
from gradstep.engine.cpu.job import APPLY, FIRST, LOOK, MOST, SECOND
from gradstep.engine.cpu.places import Places
from gradstep.engine.cpu.stepwise import Stepwise
from gradstep.engine.cpu.threads import allowed, is_available
from gradstep.engine.cpu.work import DONE
from gradstep.engine.eager import as_arrays
from gradstep.engine.meters import METERS, Columns, Ranges
from gradstep.engine.normals import normals
from gradstep.engine.tensor import Tensor
from gradstep.form.chain import Program, Row, Sums, drawn, reductions, transformed, wholes
from gradstep.form.rule import Rule

CHUNK = 4 * BLOCK  # the most elements of a portion
PORTION = 1 << 18  # work of a portion, as kernels.work counts it: a few microseconds
GRAIN = 1 << 20  # work that makes a further thread worth waking
_PASSED = 16  # work of an element of a sweep, about
SHORT = 1 << 20  # work of a step that may hold the GIL


class Compiled:
    """Runs a program on NumPy arrays.

    Parameters
    ----------
    program, tensors
        What to run, on which arrays.
    threads
        The most threads for a step; None: as many as :func:`gradstep.get_threads` says at the time.
    chunk
        Elements of a chunk, a multiple of 4096; None: as many as a few microseconds are enough for.
    seed
        Of the bits that round stochastically.
    is_metered
        Whether each step sums what :mod:`gradstep.engine.meters` wants to know.
    """

    kind = "compiled"
    by_rows: Collection[int] = ()  # tensors whose chunks are made elsewhere: one for each row
    ahead = 0  # chunks whose memory is fetched before it is their turn

    def __init__(
        self,
        program: Program,
        tensors: Sequence[Tensor],
        threads: int | None = None,
        chunk: int | None = None,
        seed: int = 0,
        *,
        is_metered: bool = False,
    ) -> None:
        self.program, self.tensors, self.threads, self.seed = program, tensors, threads, seed
        self.is_metered = is_metered
        self.before, self.is_writing = 0, False
        self.is_random = bool(program.random) or any(x.storage.draws for x in tensors)
        self.copies: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self.outcomes: dict[int, list[tuple[Any, ...]]] = {}  # new slots of whole arrays, by stage, for each tensor
        masters = [[] if x.master is None else [x.master] for x in tensors]
        written = [(x.value, *x.flat, *x.scales, *own) for x, own in zip(tensors, masters, strict=True)]
        self.written = [np.asarray(y) for own in written for y in own]
        self.kept = Regions(self.written)
        self.places = Places(program, tensors)
        self.arrays = [[self._flat(x.value, True), *(self._flat(y, False) for y in x.flat)] for x in tensors]
        self.is_real = all(np.asarray(x.value).dtype.kind != "c" for x in tensors)
        self.sizes = [own[0].size for own in self.arrays]
        self.found = np.zeros(len(tensors), np.int64)
        self.gather: Gather | None = None
        rows = 1 + max((x.row for x in tensors), default=0)
        self.scalars = np.zeros((rows, max(1, passes.scalar_count(program.rules))))
        self._pack = Struct(f"{rows * passes.scalar_count(program.rules)}d").pack_into
        self._bytes = self.scalars.data.cast("B")
        self.is_plain = bool(tensors) and rows == len(program.parts) == 1
        self.functions = _functions()
        self.taken: tuple[Any, ...] = ()  # gradients that a step one after the other reads until it is finished
        self.stepwise: Stepwise | None = None
        if wholes(program.rules) and not is_metered and not self.copies and Stepwise.runs(program.rules, tensors):
            self.stepwise = Stepwise(program.rules, tensors, self._lead, _yield_address())
        work = self._make_tables(chunk)
        self.several = min(work // GRAIN, len(self.portions), MOST)  # threads that the work is worth
        self.is_short = work <= SHORT
        self._make_job()
        self.reads = reader.is_on() and not self.copies and all(type(x.value) is np.ndarray for x in tensors)
        if self.reads:
            self._teach_reader(self.written)

    @staticmethod
    def cannot_run(tensors: Sequence[Tensor]) -> str:
        """Return the reason for which this engine cannot run such tensors on this CPU; empty where it can."""
        if any(x.storage.dtype == "float16" for x in tensors) and not native.has_float16():
            return "this CPU has no instructions for float16 (F16C)"
        return ""

    def keep_apart(self, arrays: Sequence[Any]) -> None:
        """Copy gradients that lie in these arrays too, before anything is written."""
        every = [*self.written, *(x for x in map(numpy_place, arrays) if x is not None)]
        self.kept, self.gather = Regions(every), None
        if self.reads:
            self._teach_reader(every)

    def step(self, grads: tuple[Any, ...], table: list[Row], t: int, guard: bool, /) -> bool:
        """Make update ``t`` at once where all is usual; else change nothing and return False."""
        if not self.reads:
            return False
        if self.is_plain:
            self._pack(self._bytes, 0, *table[0][0])
        else:
            self._fill(table)
        self.job[FIRST], self.job[SECOND] = LOOK if guard else 0, APPLY
        if self.is_random:
            self._roll(t)
        if self.is_short:
            answer = self._step(grads)
            if answer != reader.DOUBTFUL:
                if answer == reader.UNUSUAL:
                    self.forget()
                return answer == DONE
            return self._are_apart() and self._run() == DONE
        return self.take(grads) and self._run() == DONE

    def take(self, grads: tuple[Any, ...], /) -> bool:
        """Take gradients of the usual kind, without a further look; return False for others."""
        if not self.reads:
            return False
        answer = self.functions.gather(id(grads), self.at)
        if self.stepwise is not None:
            self.taken = grads
        if answer == reader.UNUSUAL:
            self.forget()
            return False
        return answer != reader.DOUBTFUL or self._are_apart()

    @property
    def applied(self) -> int:
        """Updates made by this engine."""
        return self.job[at.APPLIED]

    def load(self, grads: Sequence[Any]) -> None:
        """Take gradients of any kind that fit."""
        self._check_places()
        if self.gather is None:
            self.gather = Gather(self.sizes, [own[0].dtype for own in self.arrays], self.kept)
        self.gather(grads if self.is_real else [self._reals(np.asarray(g)) for g in grads], self.found)
        for outside, inside in self.copies:
            inside[...] = outside

    def forget(self) -> None:
        """Let go of gradients that were taken."""
        self.found[:] = 0  # some addresses may not have been looked at
        self.outcomes, self.taken = {}, ()
        if self.gather is not None:
            self.gather.release()

    def look(self) -> bool:
        """Return whether all gradients are good."""
        self._phases(LOOK, 0)
        return self._run() == DONE

    def measure(self, part: int, table: list[Row], t: int) -> tuple[Sums, bool]:
        """Return the sums of what a stage measures, and whether all gradients are good."""
        if self.is_random:
            self._roll(t)
        if part not in self.measures:
            return [], self._transform(part, table, t)
        word, joined = self.measures[part]
        self._fill(table)
        self._phases(word, 0)
        good = self._run() == DONE
        return joined(), good

    def block_sums(self, part: int) -> NDArray[np.float64]:
        """Return the block sums of a measure over all arrays that was just made: a row for each thing measured."""
        joined = self.measures[part][1]
        begin, end = joined.ranges.min(initial=0), joined.ranges.max(initial=0)
        return joined.sums[begin:end, : joined.out.shape[1]].T

    def apply(self, table: list[Row], t: int) -> None:
        """Write parameters and state of update ``t``."""
        self._fill(table)
        if self.is_random:
            self._roll(t)
        if self.stepwise is not None:
            self._check_places()
            self.before = self.applied
            self.stepwise.begin(table, self.found.tolist(), [own[0] for own in self.arrays], self.seed, t)
            self.is_writing = True
            self.finish()
            if self.gather is not None:
                self.gather.release()
            return
        self._phases(0, APPLY)
        self._check_places()  # a schedule may have moved an array
        self.before, self.is_writing = self.applied, bool(self.copies or self.outcomes)
        self._run()
        self.finish()
        if self.gather is not None:
            self.gather.release()

    def finish(self) -> None:
        """Write the rest of what was begun."""
        if not self.is_writing:
            return
        if self.stepwise is not None:
            self.stepwise.go()
            self.job[at.APPLIED] = self.before + 1
        if self.applied != self.before:
            for outside, inside in self.copies:
                outside[...] = inside
            for part, own in self.outcomes.items():
                for x, slots in zip(self.tensors, own, strict=True):
                    for old, new in zip(x.slots[part], slots, strict=True):
                        old[...] = new
        if self.stepwise is not None:
            self.stepwise.end()
        self.is_writing, self.outcomes, self.taken = False, {}, ()

    def _transform(self, part: int, table: list[Row], t: int) -> bool:
        """Run a stage of whole arrays on what the stages before it give; what comes of it is kept aside.

        Returns
        -------
        bool
            Whether all gradients are good, if no stage before this one has looked.
        """
        rules, own = self.program.rules, wholes(self.program.rules)
        is_good = part != self.program.first_pass or self.look()
        if self.stepwise is not None:
            if part == own[-1]:
                self.stepwise.plan(table)
            return is_good
        self._fill(table)
        k = own.index(part)
        self._phases(at.MEASURE + len(reductions(rules)) + k, 0)
        self._run()
        slots: list[tuple[Any, ...]] = []
        with np.errstate(all="ignore"):
            for x, kept in zip(self.tensors, self.asides, strict=True):
                theta, g = (y.reshape(x.value.shape) for y in kept[2 * k : 2 * k + 2])
                (numbers,) = as_arrays([table[x.row][part]], theta, x.dtype)
                more = drawn(rules[part], part, normals(x, step_key(self.seed, t)))
                after = transformed(rules[part], theta, g, x.slots[part], numbers, more)
                own_slots = x.slots[part]
                kept_as_is = [None, None, *own_slots]  # a slot that is passed through need not be copied
                after = [
                    y.copy() if y is not old and any(np.may_share_memory(y, z) for z in (theta, g, *own_slots)) else y
                    for y, old in zip(after, kept_as_is, strict=True)
                ]
                theta[...], g[...] = after[:2]
                slots.append(tuple(after[2:]))
        self.outcomes[part] = slots
        return is_good

    def metered(self) -> tuple[Columns, Ranges]:
        """Return the sums of the last update, and where each tensor's stand."""
        return self.meters.T.tolist(), self.blocks

    def _lead(self, job: int, portions: int, elements: int) -> None:
        """Do another job, on as many threads as it is worth."""
        several = min(elements * _PASSED // GRAIN, portions, MOST)
        several = min(several, allowed(self.threads)) if several > 1 else 1
        helpers.lead(job, several) if several > 1 else self.functions.alone(job)

    def _run(self) -> int:
        """Do the job's phases, on as many threads as the work is worth."""
        several = self.several
        if several > 1:
            several = min(several, allowed(self.threads))
        return helpers.lead(self.at, several) if several > 1 else self.functions.alone(self.at)

    def ready(self, _table: list[Row], _t: int) -> None:
        """Do all of :meth:`apply` that may fail: there is no more than to look where arrays lie."""
        self._check_places()

    def _check_places(self) -> None:
        """Refuse to go on where an array that the step writes lies elsewhere than before."""
        if not self.reads or self._check(None):
            self.places.check()

    def _phases(self, first: int, second: int) -> None:
        self.job[FIRST], self.job[SECOND] = first, second

    def _roll(self, t: int) -> None:
        """The key of update ``t``, as a signed word."""
        self._job[at.NOISE : at.NOISE + 1].view(np.uint64)[0] = step_key(self.seed, t)

    def _are_apart(self) -> bool:
        """Return whether the gradients that were just found lie apart from what the step writes."""
        if not self.kept.touches_any(self.found, self.found + self.nbytes):
            return True
        self.forget()
        return False

    def _fill(self, table: list[Row]) -> None:
        """The scalar table; during a reduction the stages after it have none yet."""
        if self.tensors and len(table[0]) == len(self.program.parts):
            self._pack(self._bytes, 0, *chain.from_iterable(chain.from_iterable(table)))
            return
        numbers = [list(chain.from_iterable(row)) for row in table]
        if numbers and numbers[0]:
            self.scalars[: len(table), : len(numbers[0])] = numbers

    def _make_tables(self, chunk: int | None) -> int:
        """Make the table of chunks, sorted by layout, and that of portions, chunks of one layout; return their work."""
        layouts = list(dict.fromkeys(x.storage for x in self.tensors))
        width = at.SLOTS + passes.slot_count(self.program.rules)
        asides = 2 * len(wholes(self.program.rules))
        if asides or self.program.random or any(x.layout for x in self.tensors):
            width += passes.slot_count(self.program.rules) + 2 + asides  # scales, the master copy, the number
        self.asides = [
            [np.empty(0 if self.stepwise else n, x.storage.compute) for _ in range(asides)]
            for n, x in zip(self.sizes, self.tensors, strict=True)
        ]
        chunks: list[list[int]] = []
        portions: list[list[int]] = []
        self.blocks: list[tuple[int, int]] = [(0, 0)] * len(self.tensors)
        self.kernels: list[native.Kernel] = []
        self.entries: dict[Layout, tuple[int, int, list[int]]] = {}  # an element's work, elements of a portion, phases
        block = total = 0
        for layout in layouts:
            work = kernels.work(self.program.rules, layout)
            length = chunk or min(CHUNK, max(BLOCK, PORTION // work // BLOCK * BLOCK))
            kernel = _kernel(
                self.program.rules, layout, self.program.limit_in(layout.compute), self.is_metered, self.ahead
            )
            self.kernels.append(kernel)
            rules = self.program.rules
            extra = *(f"measure{i}" for i in reductions(rules)), *(f"forward{i}" for i in wholes(rules))
            functions = [kernel.address(name) for name in ("look", "apply", *extra)]
            self.entries[layout] = work, length, functions
            room = 0
            for k, (x, own) in enumerate(zip(self.tensors, self.arrays, strict=True)):
                if x.storage != layout or k in self.by_rows:
                    continue
                places = [*_places(x, own), *((address(y), y.itemsize) for y in self.asides[k])]
                total += work * own[0].size
                self.blocks[k] = block, block + -(-own[0].size // BLOCK)
                for begin in range(0, own[0].size, length):
                    n = min(length, own[0].size - begin)
                    if n > room:
                        portions.append([len(chunks), len(chunks), *functions])
                        room = length
                    room -= n
                    portions[-1][at.END] += 1
                    moved = [int(place + begin * size) for place, size in places]
                    chunks.append([n, x.row, k, begin, block, *moved][:width])
                    block += -(-n // BLOCK)
        self.chunks = np.array(chunks, np.int64).reshape(-1, width)
        more = len(reductions(self.program.rules)) + len(wholes(self.program.rules))
        self.portions = np.array(portions, np.int64).reshape(-1, at.MEASURE + more)
        self.sums = np.zeros((block, passes.sum_count(self.program.rules)))
        self.meters = np.zeros((block if self.is_metered else 0, METERS))
        self.measures = {  # of each stage that measures: its phase, and its sums
            part: (at.MEASURE + k, self._joined(part, block)) for k, part in enumerate(reductions(self.program.rules))
        }
        self.nbytes = np.array([own[0].nbytes for own in self.arrays], np.int64)
        return total

    def _joined(self, part: int, blocks: int) -> Joined:
        """The sums of a stage: of each tensor, or of all blocks."""
        rule = self.program.rules[part]
        return Joined(self.sums, len(rule.measure), [(0, blocks)] if rule.over == "all" else self.blocks)

    def _make_job(self) -> None:
        self._job = at_cache_line(np.zeros(at.JOB_WORDS + at.LINE, np.int64))
        self.at = address(self._job)
        self.job = self._job.data  # writes a word in a tenth of the time that the array takes
        tables = {
            at.TABLE: self.chunks,
            at.FOUND: self.found,
            at.SCALARS: self.scalars,
            at.SUMS: self.sums,
            at.PORTIONS: self.portions,
            at.METERED: self.meters,
        }
        for word, table in tables.items():
            self.job[word] = address(table)
        self.job[at.STRIDE], self.job[at.PORTION_STRIDE] = self.chunks.strides[0], self.portions.strides[0]
        self.job[at.COUNT] = len(self.portions)
        self.job[at.YIELD], self.job[at.INTEGER] = _yield_address(), _integer_address()
        self._step, self._check = self.functions.step(self._job), self.functions.check(self._job)

    def _teach_reader(self, kept: list[NDArray[Any]]) -> None:
        """Make the tables with which the reader compares gradients."""
        values: list[NDArray[Any]] = [x.value for x in self.tensors]
        own = owners(kept)
        table = reader.owner_table(own or [])
        self._taught = {
            at.DTYPES: np.array([id(x.dtype) for x in values], np.int64),
            at.RANKS: np.cumsum([0, *(x.ndim for x in values)], dtype=np.int64),
            at.SHAPES: np.array([n for x in values for n in x.shape], np.int64),
            at.PLACES: reader.place_table(self.places),
            at.OWNERS: table,
        }
        for word, array in self._taught.items():
            self.job[word] = address(array)
        self.job[at.LEAVES], self.job[at.NDARRAY] = len(values), id(np.ndarray)
        self.job[at.PLACE_COUNT] = len(self.places.rows)
        self.job[at.OWNER_BITS] = len(table).bit_length() - 1 if own is not None else 0

    def _flat(self, x: Any, outside: bool) -> NDArray[Any]:
        """An array's numbers as reals in plain memory: itself, or a copy that follows it."""
        x = np.asarray(x)
        if x.flags.c_contiguous and x.flags.aligned and x.dtype.isnative:
            return self._reals(x)
        assert outside  # noqa: S101 - state is made contiguous and native
        inside = np.empty(x.shape, x.dtype.newbyteorder("="))
        self.copies.append((x, inside))
        return self._reals(inside)

    @staticmethod
    def _reals(x: NDArray[Any]) -> NDArray[Any]:
        """Complex numbers as pairs of reals, in the same memory where that is contiguous."""
        if x.dtype.kind != "c":
            return x
        x = np.ascontiguousarray(x, x.dtype.newbyteorder("=")).reshape(x.shape)
        return x.reshape(-1).view(f"f{x.dtype.itemsize // 2}")


class _Functions:
    """The compiled code of :mod:`gradstep.engine.cpu.serial`."""

    def __init__(self) -> None:
        kernel = native.kernel(serial.emit(native.triple()))
        self.gather = kernel.function("gather", 2, hold_gil=True)
        self.step, self.check = native.method(kernel, "step"), native.method(kernel, "check")
        self.alone = kernel.function("alone", 1)


_functions = cache(_Functions)


@cache
def _yield_address() -> int:
    """The C library's ``sched_yield``, which offers the core to other threads; without helpers nobody waits."""
    if not is_available():
        return 0
    return native.address_of(ctypes.CDLL(None).sched_yield)


@cache
def _integer_address() -> int:
    """Python's function from a 64-bit number to an integer object."""
    return native.address_of(ctypes.pythonapi.PyLong_FromLongLong)


@lru_cache(maxsize=256)
def _kernel(rules: tuple[Rule, ...], layout: Layout, limit: float, is_metered: bool, ahead: int) -> native.Kernel:
    return native.kernel(kernels.emit(rules, layout, limit, native.triple(), is_metered, ahead))


def _places(x: Tensor, arrays: list[NDArray[Any]]) -> list[tuple[int, float]]:
    """Return the address of each of a tensor's arrays and its bytes an element, in the order of a row of chunks."""
    scales = iter(x.scales)
    each = [next(scales) if name in BLOCKS else None for name in x.storage.slots]
    return [
        *((address(y), y.itemsize) for y in arrays),
        *((0, 0) if y is None else (address(y), y.itemsize / NUMBERS) for y in each),
        (0, 0) if x.master is None else (address(x.master), x.master.itemsize),
        (x.number, 0),  # no place, and the same for all chunks
    ]
