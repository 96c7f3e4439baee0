"""The engine for arrays on a CUDA device: one launch a phase over all tensors of one layout.

Of the tables that kernels read (:mod:`gradstep.engine.cpu.job`), that of chunks lies on the device from the beginning;
the job's words, gradients' addresses and scalars go there in one copy a step.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.array.memory import Regions, numpy_place
from gradstep.array.namespaces import copied, namespace
from gradstep.array.reduction import BLOCK, LANES
from gradstep.array.rows import Rows
from gradstep.array.storage import BLOCK as NUMBERS
from gradstep.array.storage import Layout, step_key
from gradstep.engine import passes
from gradstep.engine.cpu import job as at
from gradstep.engine.cpu.exact import Joined
from gradstep.engine.cuda import kernels
from gradstep.engine.cuda.driver import Driver, HostRoom, Launch, Room
from gradstep.engine.cuda.grid import THREADS, Machine
from gradstep.engine.meters import METERS, Columns, Ranges
from gradstep.engine.tensor import Tensor
from gradstep.errors import DeviceError, GradstepValueError
from gradstep.form.chain import Program, Row, Sums, reductions
from gradstep.form.rule import Rule

CHUNKS = 2048  # of a step that is large enough: more than any device has room for at once
LONGEST = 16 * BLOCK  # elements of a chunk
_WORDS = 40  # of the job
_BUFFERS = 4  # copies to the device that may be under way


class Cuda:
    """Runs a program on tensors of one device.

    Parameters
    ----------
    program, tensors
        What to run, on which arrays.
    driver
        Of the device.
    seed
        Of the bits that round stochastically.
    is_metered
        Whether each step sums what :mod:`gradstep.engine.meters` wants to know.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For a program or arrays that this engine cannot run.
    DeviceError
        When the device has too little memory, or takes no kernels.
    """

    kind = "cuda"
    is_writing = False  # a step is written by one call of C code

    def __init__(
        self, program: Program, tensors: Sequence[Tensor], driver: Driver, seed: int = 0, *, is_metered: bool = False
    ) -> None:
        _check_runs(program)
        self.program, self.tensors, self.driver, self.seed = program, tensors, driver, seed
        self.is_metered = is_metered
        self.is_random = bool(program.random) or any(x.storage.draws for x in tensors)
        self.made: tuple[int, tuple[int, bool, list[Any]] | None] = 0, None  # updates, and one whose end is not known
        self.is_ready, self.why_lost = False, ""
        self.held: Sequence[Any] = ()  # gradients that kernels read
        self.arrays = [self._arrays(x) for x in tensors]
        self.read = driver.reader([x.value for x in tensors])
        self.addresses = [own[0].address for own in self.arrays]
        self.sizes = np.array([own[0].nbytes for own in self.arrays], np.int64)  # of gradients too
        self.regions = self._regions(())
        self.forms = [(tuple(x.value.shape), x.value.dtype) for x in tensors]
        self.last_stream: int | None = None
        self.rooms: list[Room | HostRoom] = []
        self._make_tables()
        self._load()

    @property
    def applied(self) -> int:
        """Updates made; of the last one it may have to be asked whether its gradients were good."""
        self._settle()
        return self.made[0]

    def step(self, grads: tuple[Any, ...], table: list[Row], t: int, guard: bool, /) -> bool:
        """Make update ``t`` at once where all is usual; else change nothing and return False."""
        if not self.take(grads) or self._moved() is not None:
            self.forget()
            return False
        before = self.applied
        self._fill(table, t)
        self._send()
        self._write(self._phase("look") if guard else [], guard)
        return self.applied != before if guard else True

    def take(self, grads: tuple[Any, ...], /) -> bool:
        """Take gradients of the usual kind, without a further look; return False for others."""
        self.is_ready = False
        found = self.read(grads) if self.read is not None else None
        if found is not None:
            self.found[:] = found
            if self.regions.touches_any(self.found, self.found + self.sizes):
                return False
            self.held = grads
            return True
        place = self.driver.place
        for k, (g, (shape, dtype)) in enumerate(zip(grads, self.forms, strict=True)):
            if type(g) is Rows or getattr(g, "dtype", None) != dtype or tuple(g.shape) != shape:
                return False
            found = place(g)
            if found is None or self.regions.touches(found.address, found.address + found.nbytes):
                return False
            self.found[k] = found.address
        self.held = grads
        return True

    def load(self, grads: Sequence[Any]) -> None:
        """Take gradients of any kind that fit."""
        self.is_ready = False
        self._check_places()
        held: list[Any] = []
        for k, (x, g) in enumerate(zip(self.tensors, grads, strict=True)):
            found = self.driver.place(g)
            if found is None:
                g = _plain(g)
                found = self.driver.place(g)
            if found is None:
                raise GradstepValueError(
                    f"gradient {x.name!r} does not lie on the device of its parameter; move it there. Nothing was "
                    f"changed."
                )
            if self.regions.touches(found.address, found.address + found.nbytes):
                g = copied(g)
                found = self.driver.place(g)
                assert found is not None  # noqa: S101 - a copy of a plain array
            self.found[k] = found.address
            held.append(g)
        self.held = held

    def forget(self) -> None:
        """Let go of gradients that were taken."""
        self.is_ready, self.held = False, ()

    def keep_apart(self, arrays: Sequence[Any]) -> None:
        """Copy gradients that lie in these arrays too, before anything is written."""
        self.regions = self._regions(arrays)

    def look(self) -> bool:
        """Return whether all gradients are good."""
        self._send()
        self._run(self._phase("look"))
        return self._is_good()

    def measure(self, part: int, table: list[Row], t: int) -> tuple[Sums, bool]:
        """Return the sums of what a stage measures, and whether all gradients are good."""
        self._fill(table, t)
        self._send()
        columns = self.sums.size
        halve = [self._over("halve", columns)] if columns else []
        self._run([*self._phase(f"measure{part}"), *halve])
        self._ask(self.driver.read, self.sums, self.sums_memory.address, self.stream)
        return self.joined[part](), self._is_good()

    def block_sums(self, part: int) -> NDArray[np.float64]:
        """Return the block sums of a measure over all arrays that was just made: a row for each thing measured."""
        return self.sums[:, : len(self.program.rules[part].measure)].T

    def ready(self, table: list[Row], t: int) -> None:
        """Do all of :meth:`apply` that may fail, so that it only writes."""
        self._check_places()
        self._fill(table, t)
        self._send()
        self.is_ready = True

    def apply(self, table: list[Row], t: int) -> None:
        """Write parameters and state of update ``t``."""
        if not self.is_ready:
            self.ready(table, t)
        self.is_ready = False
        self._write([], guard=False)

    def finish(self) -> None:
        """Write the rest of what was begun: there never is any."""

    def metered(self) -> tuple[Columns, Ranges]:
        """Return the sums of the last update, and where each tensor's stand."""
        if self.meters.size:
            self._ask(self.driver.read, self.meters, self.meters_memory.address, self.stream)
        return self.meters.T.tolist(), self.blocks

    @property
    def stream(self) -> int:
        """The current stream of the library that made the arrays."""
        return self.driver.stream(self.tensors[0].value) if self.tensors else 0

    def _write(self, before: list[Launch], guard: bool) -> None:
        """Launch what writes, behind what comes before, and remember that it is under way."""
        done: list[Any] = []
        meters = [*self._phase("meter"), self._over("halve_meters", self.meters.size)] if self.meters.size else []
        harmless = [*before, *self._phase("tops"), *meters]
        launches = [*harmless, *self._phase("apply"), *self._phase("rescale")]
        self.made = self.made[0], (len(launches), guard, done)
        try:
            self._ask(self.driver.launch, launches, done, self.stream)
        except DeviceError as error:
            self.made = self.made[0], None
            if len(done) > len(harmless):  # the context is lost, and all memory of the device with it
                self.why_lost = (
                    f"{error} Arrays on the device may be half written; make the optimizer anew, from a checkpoint."
                )
                raise DeviceError(self.why_lost) from error
            raise
        self.held = ()  # whoever gives their memory to others does so in the order of the stream
        if not guard:
            self._settle()

    def _settle(self) -> None:
        """Find out whether the update under way has been made: its launches are, and no gradient was bad."""
        made, pending = self.made
        if pending is None:
            return
        count, guard, done = pending
        is_made = len(done) == count and (not guard or self._is_good())
        self.made = made + is_made, None

    def _run(self, launches: list[Launch]) -> None:
        self._ask(self.driver.launch, launches, [], self.stream)

    def _is_good(self) -> bool:
        """Return whether the flag is not set, when all that was launched has been done."""
        self._ask(self.driver.read, self.flag, self.base + 8 * at.BAD, self.stream)
        return not self.flag[0]

    def _ask(self, what: Any, *arguments: Any) -> None:
        """Ask the driver for something, unless it has lost the arrays."""
        if self.why_lost:
            raise DeviceError(self.why_lost)
        what(*arguments)

    def _send(self) -> None:
        """Copy the job's words, gradients' addresses and scalars to the device, with the flag cleared."""
        stream = self.stream
        self._ask(self.driver.check_not_captured, stream)
        if self.last_stream not in (None, stream):
            self._ask(self.driver.wait, self.last_stream)  # kernels there may still read what is written here
        self.last_stream = stream
        buffer, event = self.buffers[self.turn]
        self.turn = (self.turn + 1) % len(self.buffers)
        self._ask(self.driver.wait_for, event)  # it has long been copied, unless the device is some steps behind
        buffer[:] = self.words
        self._ask(self.driver.write, self.base, buffer, stream)
        self._ask(self.driver.record, event, stream)

    def _fill(self, table: list[Row], t: int) -> None:
        """The scalar table and the key of update ``t``; during a reduction the stages after it have no scalars yet."""
        if self.is_random:
            self.words[at.NOISE : at.NOISE + 1].view(np.uint64)[0] = step_key(self.seed, t)
        if self.tensors and len(table[0]) == len(self.program.parts):
            self._pack(self._bytes, 0, *chain.from_iterable(chain.from_iterable(table)))
            return
        numbers = [list(chain.from_iterable(row)) for row in table]
        if numbers and numbers[0]:
            self.scalars[: len(table), : len(numbers[0])] = numbers

    def _phase(self, name: str) -> list[Launch]:
        """The launches of a phase: one for each layout that has it."""
        out: list[Launch] = []
        for functions, (first, last), vectors, sums in self.grids:
            if name in functions and last > first:
                wanted = sums if name.startswith("measure") or name == "meter" else vectors
                threads = min(THREADS, -(-wanted // 32) * 32)
                out.append(Launch(functions[name], last - first, threads, (self.base, first, last)))
        return out

    def _over(self, name: str, n: int) -> Launch:
        """The launch that makes ``n`` sums of their lanes."""
        return Launch(self.joining[name], -(-n // THREADS), THREADS, (self.base, 0, n))

    def _check_places(self) -> None:
        """Refuse parameters that lie elsewhere than before.

        Raises
        ------
        GradstepValueError
            With the name of the first of them.
        """
        name = self._moved()
        if name is not None:
            raise GradstepValueError(
                f"parameter {name!r} was given other memory since the optimizer was made; nothing was changed. Make a "
                f"new optimizer."
            )

    def _moved(self) -> str | None:
        """Return the name of the first parameter that lies elsewhere than before."""
        if self.read is not None and self.read([x.value for x in self.tensors]) == self.addresses:
            return None
        place = self.driver.place
        for x, own in zip(self.tensors, self.arrays, strict=True):
            if place(x.value) != own[0]:
                return x.name
        return None

    def _arrays(self, x: Tensor) -> list[Any]:
        """The places of a parameter and of all its state, as a row of chunks has them."""
        keys = [key for own in self.program.slots for key in own]
        named = [("parameter", x.value), *zip(keys, x.flat, strict=True)]
        named += [("scales", y) for y in x.scales] + ([] if x.master is None else [("master", x.master)])
        out: list[Any] = []
        for what, y in named:
            found = self.driver.place(y)
            if found is None:
                raise GradstepValueError(
                    f"{what} of {x.name!r} is no contiguous array on the device; hand in one that is, or use "
                    f'engine="eager".'
                )
            out.append(found)
        return out

    def _regions(self, more: Sequence[Any]) -> Regions:
        """Return what a step writes, and other arrays with which gradients must not share memory."""
        own = [y for x in self.tensors for y in (x.value, *x.flat, *x.scales)]
        own += [x.master for x in self.tensors if x.master is not None]
        return Regions([y for y in map(numpy_place, (*own, *more)) if y is not None])

    def _make_tables(self) -> None:
        """Make all tables: of chunks, sorted by layout, of sums, and of the words that a step sends."""
        rules = self.program.rules
        elements = [
            own[0].nbytes // kernels.size_of(x.storage) for x, own in zip(self.tensors, self.arrays, strict=True)
        ]
        self.length = min(LONGEST, max(BLOCK, sum(elements) // CHUNKS // BLOCK * BLOCK))
        n = passes.slot_count(rules)
        width = at.SLOTS + 2 * n + 2 + n
        chunks: list[list[int]] = []
        self.blocks: list[tuple[int, int]] = [(0, 0)] * len(self.tensors)
        self.ranges: dict[Layout, tuple[int, int]] = {}
        block = 0
        for layout in dict.fromkeys(x.storage for x in self.tensors):
            first = len(chunks)
            for k, (x, size) in enumerate(zip(self.tensors, elements, strict=True)):
                if x.storage != layout:
                    continue
                places = self._places(x, self.arrays[k], size)
                self.blocks[k] = block, block + -(-size // BLOCK)
                for begin in range(0, size, self.length):
                    moved = [int(place + begin * step) for place, step in places]
                    row = [min(self.length, size - begin), x.row, k, begin, block, *moved]
                    chunks.append(row + [0] * (width - len(row)))
                    block += -(-row[at.LENGTH] // BLOCK)
            self.ranges[layout] = first, len(chunks)
        table = np.array(chunks, np.int64).reshape(-1, width)
        columns = passes.sum_count(rules)
        self.sums = self._pinned((block, columns), np.float64)
        self.meters = self._pinned((block if self.is_metered else 0, METERS), np.float64)
        self.joined = {part: self._joined(part, block) for part in reductions(rules)}
        self.sums_memory, self.meters_memory = self._allocate(self.sums.nbytes), self._allocate(self.meters.nbytes)
        laned = self._allocate(LANES * max(self.sums.nbytes, self.meters.nbytes))
        rows = 1 + max((x.row for x in self.tensors), default=0)
        count = passes.scalar_count(rules)
        found = _WORDS + len(self.tensors)
        self.words = np.zeros(found + rows * max(1, count), np.int64)
        self.found = self.words[_WORDS:found]
        self.scalars = self.words[found:].view(np.float64).reshape(rows, -1)
        self._pack, self._bytes = Struct(f"{rows * count}d").pack_into, self.words[found:].data.cast("B")
        self.buffers = [(self._pinned(self.words.shape, np.int64), self.driver.event()) for _ in range(_BUFFERS)]
        self.turn = 0
        self.flag = self._pinned((1,), np.int64)
        self.base = self._allocate(self.words.nbytes).address
        chunk_table = self._allocate(table.nbytes).address
        if table.size:
            pinned = self._pinned(table.shape, np.int64)
            pinned[...] = table
            self.driver.write(chunk_table, pinned, self.stream)
            self.driver.wait(self.stream)
        self.words[[at.TABLE, at.STRIDE, at.FOUND]] = chunk_table, 8 * width, self.base + 8 * _WORDS
        self.words[[at.SCALARS, at.SUMS]] = self.base + 8 * found, self.sums_memory.address
        self.words[[at.METERED, kernels.LANED]] = self.meters_memory.address, laned.address

    def _places(self, x: Tensor, own: list[Any], size: int) -> list[tuple[int, float]]:
        """The address of each of a tensor's arrays and its bytes an element, in the order of a row of chunks."""
        n = len(x.flat)
        each: list[tuple[int, float]] = [(y.address, y.nbytes // size if size else 0) for y in own[: 1 + n]]
        blocked = kernels.blocked(x.storage)
        scales = dict(zip(blocked, own[1 + n :], strict=False))
        each += [(scales[k].address, 4 / NUMBERS) if k in scales else (0, 0) for k in range(n)]
        each.append((0, 0) if x.master is None else (own[-1].address, 4))
        each.append((x.number, 0))
        per_block = NUMBERS // LANES * 4  # bytes of tops
        tops = [self._allocate(-(-size // NUMBERS) * per_block).address for _ in blocked]
        return each + [(place, per_block / NUMBERS) for place in tops]

    def _load(self) -> None:
        """Load all kernels."""
        rules, machine = self.program.rules, self.driver.machine
        self.grids: list[tuple[dict[str, Any], tuple[int, int], int, int]] = []
        for layout, span in self.ranges.items():
            limit = self.program.limit_in(layout.compute)
            text = _assembly(rules, layout, limit, machine, self.is_metered)
            names = kernels.names(rules, layout, is_metered=self.is_metered)
            vectors = -(-self.length // kernels.lanes(layout))
            sums = self.length // BLOCK * (LANES // kernels.summed_lanes(layout))
            self.grids.append((self.driver.load(text, names), span, vectors, sums))
        self.joining = self.driver.load(_joining(machine), ["halve", "halve_meters"])

    def _joined(self, part: int, blocks: int) -> Joined:
        """The sums of a stage: of each tensor, or of all blocks."""
        rule = self.program.rules[part]
        return Joined(self.sums, len(rule.measure), [(0, blocks)] if rule.over == "all" else self.blocks)

    def _allocate(self, nbytes: int) -> Room:
        self.rooms.append(self.driver.allocate(nbytes))
        return self.rooms[-1]

    def _pinned(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        room = self.driver.pinned(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        self.rooms.append(room)
        return room.array.view(dtype).reshape(shape)


def _check_runs(program: Program) -> None:
    """Refuse a program with a stage of whole arrays."""
    for part in program.parts:
        if part.rule.whole:
            raise GradstepValueError(
                f'{part.label} sees whole arrays, which engine="cuda" does not run; use engine="eager".'
            )


@lru_cache(maxsize=256)
def _assembly(rules: tuple[Rule, ...], layout: Layout, limit: float, machine: Machine, is_metered: bool) -> str:
    return machine.text(kernels.module(rules, layout, limit, machine, is_metered=is_metered))


@lru_cache(maxsize=8)
def _joining(machine: Machine) -> str:
    return machine.text(kernels.joining(machine))


def _plain(g: Any) -> Any:
    """A gradient whose elements lie as they count."""
    if hasattr(g, "resolve_conj"):  # torch's, which may have a mark in place of a change
        return g.detach().resolve_conj().resolve_neg().contiguous()
    return namespace(g).ascontiguousarray(g)
