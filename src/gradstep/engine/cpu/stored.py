"""A chunk's memory as kernels see it: vectors of what is computed with, however it is stored."""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from gradstep.array.memory import CACHE_LINE
from gradstep.array.reduction import LANES
from gradstep.array.storage import BLOCK, BLOCKS, Layout
from gradstep.engine.cpu import job as at
from gradstep.engine.cpu.codecs import (
    Bfloat16,
    Blocks,
    Float16,
    draw,
    high,
    larger,
    low,
    magnitude,
    tensor_key,
    vector,
    words,
)
from gradstep.engine.cpu.llvm import FLOATS, I32, Function, Operand, halved, i64
from gradstep.engine.normals import LOST, SHARE, use
from gradstep.form.vocabulary import normal_number

_FLOATS: dict[str, Any] = {"bfloat16": Bfloat16(), "float16": Float16()}
_BLOCKS = {name: Blocks(name) for name in BLOCKS}
_SIZES = {"float64": 8, "float32": 4}
# Bytes: a core foresees what follows, but not beyond a page of 4096 bytes. It may lie behind an array's end, which no
# fetch minds.
AHEAD = 2048


class Memory:
    """The arrays of one chunk: gradient, theta, master copy, slots and their scales.

    ``i`` is the number of a vector's first element in the chunk, ``mask`` the lanes that exist (None: all). ``asides``
    is how many arrays are kept aside between passes: theta and g of each stage of whole arrays. ``random`` are the
    places of the stages that draw numbers. Numbers that lie so many bytes ``ahead`` are fetched, unless it is 0.
    """

    def __init__(
        self, code: Function, job: Any, row: Any, layout: Layout, asides: int, random: Sequence[int], ahead: int
    ) -> None:
        self.code, self.layout, self.ahead = code, layout, ahead
        self.start = code.word(row, i64(at.START))
        n = len(layout.slots)
        self.blocks = [k for k, name in enumerate(layout.slots) if name in BLOCKS]
        self.places = [code.word(row, i64(at.SLOTS + k)) for k in range(n)]
        self.scales = {k: code.word(row, i64(at.SLOTS + n + k)) for k in self.blocks}
        self.known: dict[int, Any] = {}  # scales of the block at hand
        self.theta_place = code.word(row, i64(at.THETA))
        self.master = code.word(row, i64(at.SLOTS + 2 * n)) if layout.master else None
        self.found = code.word(code.word(job, i64(at.FOUND)), code.word(row, i64(at.TENSOR)))
        self.asides = [code.word(row, i64(at.SLOTS + 2 * n + 2 + k)) for k in range(asides)]
        step = code.word(job, i64(at.NOISE))
        number = code.word(row, i64(at.SLOTS + 2 * n + 1)) if layout.draws or random else None
        self.keys = [tensor_key(code, step, number, k) for k in range(layout.draws)]
        self.normals = {place: tensor_key(code, step, number, use(place)) for place in random}

    def gradient(self, i: Any, mask: Any) -> Any:
        """The gradient."""
        return self._load(self.layout.dtype, self.found, self.code.builder.add(self.start, i), mask)

    def theta(self, i: Any, mask: Any) -> Any:
        """Theta, from the master copy where there is one and theta is still that copy rounded."""
        if self.master is not None:
            master = self._load("float32", self.master, i, mask)
            return _FLOATS[self.layout.dtype].followed(self.code, master, self.theta_place, i, mask)
        return self._load(self.layout.dtype, self.theta_place, i, mask)

    def aside(self, k: int, i: Any, mask: Any) -> Any:
        """Load the array that was kept aside as number ``k``."""
        return self._load(self.layout.compute, self.asides[k], i, mask)

    def keep(self, k: int, value: Any, i: Any, mask: Any) -> None:
        """Keep a vector aside."""
        self._store(self.layout.compute, value, self.asides[k], i, mask, None)

    def slot(self, k: int, i: Any, mask: Any) -> Any:
        """The slot number ``k``."""
        name = self.layout.slots[k]
        if name in BLOCKS:
            scale = self.known[k] if k in self.known else self.code.builder.load(self.scale(k, i))
            return _BLOCKS[name].load(self.code, self.places[k], i, mask, scale)
        return self._load(name or self.layout.compute, self.places[k], i, mask)

    def store_theta(self, value: Any, i: Any, mask: Any, noise: list[Any]) -> None:
        """Store theta, and its master copy."""
        if self.master is not None:
            self._store("float32", value, self.master, i, mask, None)
        self._store(self.layout.dtype, value, self.theta_place, i, mask, noise[0])

    def kept(self, value: Any, noise: list[Any]) -> Any:
        """Return what :meth:`theta` reads of a value once it is stored: rounded where there is no master."""
        codec = None if self.master is not None else _FLOATS.get(self.layout.dtype)
        return value if codec is None else codec.decoded(self.code, codec.encoded(self.code, value, noise[0]))

    def store(self, k: int, value: Any, i: Any, mask: Any, noise: list[Any]) -> None:
        """Store the slot number ``k``; one in blocks needs its block's new scale to be known."""
        name = self.layout.slots[k]
        if name in BLOCKS:
            _BLOCKS[name].store(self.code, value, self.places[k], i, mask, noise=noise[1 + k], scale=self.known[k])
        else:
            self._store(name or self.layout.compute, value, self.places[k], i, mask, noise[1 + k])

    def noise(self, i: Any) -> list[Any]:
        """For theta and each slot the random bits that round it, or None."""
        number = self.code.builder.add(self.start, i)
        bits = [draw(self.code, key, number) for key in self.keys]
        return [None if x is None else (low, high)[x[1]](self.code, bits[x[0]]) for x in self.layout.noise]

    def normal(self, place: int, i: Any) -> Operand:
        """The numbers that the stage at a place draws, as :func:`gradstep.engine.normals.normals` makes it."""
        builder, real = self.code.builder, vector(self.code, FLOATS[self.layout.compute])
        bits = draw(self.code, self.normals[place], builder.add(self.start, i))
        share = Operand(builder, builder.uitofp(builder.lshr(bits, words(self.code, LOST)), real))
        return normal_number((share + 0.5) * SHARE)

    def open_block(self, begin: Any) -> None:
        """Read the scales of a block once for all: stores to other arrays would have them read again."""
        self.known = {k: self.code.builder.load(self.scale(k, begin)) for k in self.blocks}

    def rescale(self, k: int, begin: Any, largest: Any) -> None:
        """Find and store the new scale of a block whose largest number has those bits."""
        self.known[k] = self.fitting(k, largest)
        self.code.builder.store(self.known[k], self.scale(k, begin))

    def fitting(self, k: int, largest: Any) -> Any:
        """The scale of a block whose largest number has those bits."""
        name = self.layout.slots[k]
        assert name is not None  # noqa: S101 - in blocks
        return _BLOCKS[name].scale(self.code, largest)

    def scale(self, k: int, i: Any) -> Any:
        """A pointer to the scale of a block."""
        block = self.code.builder.lshr(i, i64(BLOCK.bit_length() - 1))
        return self.code.pointer(self.code.offset(self.scales[k], block, 4), FLOATS["float32"])

    def _load(self, name: str, place: Any, i: Any, mask: Any) -> Any:
        if name in _FLOATS:
            return _FLOATS[name].load(self.code, place, i, mask)
        size = _SIZES[name]
        place = self.code.offset(place, i, size)
        if self.ahead and mask is None:
            for line in range(self.ahead, self.ahead + LANES * size, CACHE_LINE):
                self.code.fetch(self.code.builder.add(place, i64(line)))
        return self.code.load(place, vector(self.code, FLOATS[name]), mask, size)

    def _store(self, name: str, value: Any, place: Any, i: Any, mask: Any, noise: Any) -> None:
        if name in _FLOATS:
            _FLOATS[name].store(self.code, value, place, i, mask, noise)
        else:
            self.code.store(value, self.code.offset(place, i, _SIZES[name]), mask, _SIZES[name])


class Scratch:
    """The new values of one block, for each slot in blocks, and the largest: they are stored when all is there."""

    def __init__(self, code: Function, layout: Layout) -> None:
        self.code = code
        kind = ir.ArrayType(ir.VectorType(FLOATS["float32"], LANES), BLOCK // LANES)
        with code.builder.goto_entry_block():
            self.values = {k: code.builder.alloca(kind) for k, name in enumerate(layout.slots) if name in BLOCKS}
        self.tops = {k: code.variable(words(code, 0)) for k in self.values}

    def open(self) -> None:
        """Begin a block."""
        for top in self.tops.values():
            self.code.builder.store(words(self.code, 0), top)

    def keep(self, k: int, value: Any, i: Any, mask: Any) -> None:
        """Keep a vector of the slot number ``k``."""
        builder = self.code.builder
        builder.store(value, self._place(k, i))
        top = self.tops[k]
        builder.store(larger(self.code, builder.load(top), magnitude(self.code, value, mask)), top)

    def scale(self, memory: Memory, begin: Any) -> None:
        """Store the scale of each slot's block."""
        for k, top in self.tops.items():
            bits = self.code.builder.load(top)
            memory.rescale(k, begin, halved(self.code, bits, lambda a, b: larger(self.code, a, b)))

    def store(self, memory: Memory, i: Any, mask: Any) -> None:
        """Store a vector of each slot."""
        noise = memory.noise(i)
        for k in self.values:
            memory.store(k, self.code.builder.load(self._place(k, i)), i, mask, noise)

    def _place(self, k: int, i: Any) -> Any:
        vector = self.code.builder.and_(self.code.builder.lshr(i, i64(LANES.bit_length() - 1)), i64(BLOCK // LANES - 1))
        return self.code.builder.gep(self.values[k], [ir.Constant(I32, 0), vector])
