"""A function that every thread of a grid runs, and the machines that it may be written for.

Threads do not speak with one another: each reads what it needs from memory and writes what is its own. So a loop over
all threads, on any machine and in any order, does what a grid does, and a CPU can prove what a GPU will compute.
"""

import contextlib
import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from gradstep.engine.cpu.llvm import I32, I64, Function, declared, i64

WIDTH = 16  # bytes of one access to memory, at most
THREADS = 256  # of a block, at most
BLOCKS = 1  # that a multiprocessor has room for at least: a thread may have 255 registers
_PLACE = ("tid", "ctaid", "ntid", "nctaid")  # thread, block, threads of a block, blocks


@dataclass(frozen=True)
class Machine:
    """A machine that kernels are written for.

    Attributes
    ----------
    triple
        LLVM's name of it.
    space
        The address space of all memory; 0: a function takes its place in the grid as four more arguments.
    layout
        LLVM's data layout, without which numbers of 64 bits are read in two parts.
    """

    triple: str
    space: int
    layout: str = ""

    @property
    def has_grids(self) -> bool:
        """True where the machine runs grids by itself."""
        return self.space != 0

    def module(self, name: str) -> ir.Module:
        """An empty module for it."""
        made = ir.Module(name)
        made.triple, made.data_layout = self.triple, self.layout
        return made

    def text(self, module: ir.Module) -> str:
        """Return the assembly of a module."""
        text = str(module)
        if not self.has_grids:
            return text
        # Else the assembler shares out registers for blocks of 1024 threads, or for many blocks, and spills some.
        bounds = f'"nvvm.maxntid"="{THREADS}" "nvvm.minctasm"="{BLOCKS}"'
        return re.sub(r"^(define ptx_kernel .*\))$", rf"\1 {bounds}", text, flags=re.MULTILINE)


NVPTX = Machine("nvptx64-nvidia-cuda", 1, "e-p6:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64")


class Thread(Function):
    """The function ``name(job, first, last)`` of one thread, which gives nothing.

    Attributes
    ----------
    lanes
        Elements of a vector: 1, unless :meth:`width` says otherwise.
    thread, threads
        The thread's number in its block, and how many there are.
    block, blocks
        The block's number in the grid, and how many there are.
    """

    lanes = 1

    def __init__(self, module: ir.Module, name: str, machine: Machine) -> None:
        more = 0 if machine.has_grids else len(_PLACE)
        self.function = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * (3 + more)), name)
        self.module, self.machine = module, machine
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        if machine.has_grids:
            self.function.calling_convention = "ptx_kernel"
            names = [f"llvm.nvvm.read.ptx.sreg.{x}.x" for x in _PLACE]
            place = [self.builder.zext(self.builder.call(declared(module, x, I32, []), []), I64) for x in names]
        else:
            place = self.function.args[3:]
        self.thread, self.block, self.threads, self.blocks = place

    @property
    def arguments(self) -> Any:
        """The arguments' values."""
        return self.function.args[:3]

    def end(self) -> None:
        """Return."""
        self.builder.ret_void()

    def pointer(self, address: Any, kind: Any) -> Any:
        """A pointer to ``kind`` at an address."""
        return self.builder.inttoptr(address, ir.PointerType(kind, self.machine.space))

    def alignment(self, kind: Any, size: int) -> int:
        """Return the bytes to which a vector is aligned: it is loaded as a whole only where all memory is."""
        return min(WIDTH, size * kind.count)

    @contextlib.contextmanager
    def width(self, lanes: int) -> Generator[None]:
        """Vectors have so many lanes."""
        before, self.lanes = self.lanes, lanes
        try:
            yield
        finally:
            self.lanes = before

    @contextlib.contextmanager
    def chunks(self, first: Any, last: Any) -> Generator[Any]:
        """A loop over the chunks of this thread's block."""
        with self.count(self.builder.add(first, self.block), last, self.blocks) as chunk:
            yield chunk

    @contextlib.contextmanager
    def of_block(self, n: Any) -> Generator[Any]:
        """A loop over this thread's share of ``n`` things that its block has."""
        with self.count(self.thread, n, self.threads) as k:
            yield k

    @contextlib.contextmanager
    def of_grid(self, first: Any, last: Any) -> Generator[Any]:
        """A loop over this thread's share of what the whole grid has."""
        builder = self.builder
        own = builder.add(self.thread, builder.mul(self.block, self.threads))
        with self.count(builder.add(first, own), last, builder.mul(self.blocks, self.threads)) as k:
            yield k

    def places_are_wide(self, places: list[Any]) -> Any:
        """Return whether all addresses are such that vectors may be loaded as a whole."""
        bits = places[0]
        for x in places[1:]:
            bits = self.builder.or_(bits, x)
        return self.builder.icmp_signed("==", self.builder.and_(bits, i64(WIDTH - 1)), i64(0))
