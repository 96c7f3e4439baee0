"""Operands that write LLVM instructions: calling a rule with them is compiling it.

An :class:`Operand` stands for a float, or for a vector of them: the instructions are the same. No contraction and no
fast-math flag is ever set, so each instruction rounds as NumPy's does.
"""

import contextlib
from collections.abc import Callable, Generator
from typing import Any

from llvmlite import ir

from gradstep.array.reduction import LANES
from gradstep.form.vocabulary import cube_root

_ORDER = "seq_cst"
I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
FLOATS = {"float32": ir.FloatType(), "float64": ir.DoubleType()}


class Operand:
    """A float, or a vector of floats, that writes its instruction for each operation."""

    __slots__ = ("builder", "value")

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder, self.value = builder, value

    def constant(self, x: float) -> "Operand":
        """``x`` rounded to this operand's type."""
        return Operand(self.builder, constant(self.value.type, x))

    def _binary(self, instruction: str, other: Any, reflected: bool = False) -> "Operand":
        a, b = self, other if isinstance(other, Operand) else self.constant(other)
        a, b = (b, a) if reflected else (a, b)
        return Operand(self.builder, getattr(self.builder, instruction)(a.value, b.value))

    def __add__(self, other: Any) -> "Operand":
        return self._binary("fadd", other)

    def __radd__(self, other: Any) -> "Operand":
        return self._binary("fadd", other, reflected=True)

    def __sub__(self, other: Any) -> "Operand":
        return self._binary("fsub", other)

    def __rsub__(self, other: Any) -> "Operand":
        return self._binary("fsub", other, reflected=True)

    def __mul__(self, other: Any) -> "Operand":
        return self._binary("fmul", other)

    def __rmul__(self, other: Any) -> "Operand":
        return self._binary("fmul", other, reflected=True)

    def __truediv__(self, other: Any) -> "Operand":
        return self._binary("fdiv", other)

    def __rtruediv__(self, other: Any) -> "Operand":
        return self._binary("fdiv", other, reflected=True)

    def __neg__(self) -> "Operand":
        return Operand(self.builder, self.builder.fneg(self.value))

    def __lt__(self, other: Any) -> "Operand":
        return self._compare("<", other)

    def __gt__(self, other: Any) -> "Operand":
        return self._compare(">", other)

    def _compare(self, sign: str, other: Any) -> "Operand":
        b = other if isinstance(other, Operand) else self.constant(other)
        return Operand(self.builder, self.builder.fcmp_ordered(sign, self.value, b.value))

    def speak(self, word: str, operands: tuple[Any, ...]) -> "Operand":
        """A vocabulary word over these operands."""
        values = operands[1:] if word == "where" else operands
        like = next(x for x in values if isinstance(x, Operand))
        values = tuple(x if isinstance(x, Operand) else like.constant(x) for x in values)
        return getattr(like, f"_{word}")(*operands[: len(operands) - len(values)], *values)

    def _intrinsic(self, name: str) -> "Operand":
        kind = self.value.type
        function = declared(self.builder.module, f"{name}.{_suffix(kind)}", kind, [kind])
        return Operand(self.builder, self.builder.call(function, [self.value]))

    def _select(self, condition: Any, a: "Operand", b: "Operand") -> "Operand":
        return Operand(self.builder, self.builder.select(condition, a.value, b.value))

    def _sqrt(self, x: "Operand") -> "Operand":
        return x._intrinsic("llvm.sqrt")

    def _cbrt(self, x: "Operand") -> "Operand":
        return cube_root(x, _suffix(x.value.type).endswith("f64"))

    def _abs(self, x: "Operand") -> "Operand":
        return x._intrinsic("llvm.fabs")

    def _where(self, condition: "Operand", a: "Operand", b: "Operand") -> "Operand":
        return self._select(condition.value, a, b)

    def _first_if(self, sign: str, a: "Operand", b: "Operand") -> "Operand":
        """``a`` where it is NaN or the comparison holds, else ``b``."""
        nan = self.builder.fcmp_unordered("uno", a.value, a.value)
        return self._select(self.builder.or_(a._compare(sign, b).value, nan), a, b)

    def _maximum(self, a: "Operand", b: "Operand") -> "Operand":
        return self._first_if(">", a, b)

    def _minimum(self, a: "Operand", b: "Operand") -> "Operand":
        return self._first_if("<", a, b)

    def _sign(self, x: "Operand") -> "Operand":
        below = self._select((x < 0.0).value, x.constant(-1.0), self._abs(x))
        return self._select((x > 0.0).value, x.constant(1.0), below)


def constant(kind: Any, x: float) -> ir.Constant:
    """A float constant, in every lane where ``kind`` is a vector."""
    if isinstance(kind, ir.VectorType):
        return ir.Constant(kind, [ir.Constant(kind.element, x)] * kind.count)
    return ir.Constant(kind, x)


def declared(module: ir.Module, name: str, gives: Any, takes: list[Any]) -> ir.Function:
    """The intrinsic of that name, declared once a module."""
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(gives, takes), name)


def _suffix(kind: Any) -> str:
    """Return the suffix of an intrinsic's name for a type: ``f32``, ``v16f64``."""
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{_suffix(kind.element)}"
    return "f32" if kind == FLOATS["float32"] else "f64"


def i64(n: int) -> ir.Constant:
    """A 64-bit integer constant."""
    return ir.Constant(I64, n)


class Function:
    """A thin layer over IRBuilder: a function of 64-bit integers, addresses among them, that gives one.

    Attributes
    ----------
    lanes
        Elements of a vector.
    """

    lanes = LANES

    def __init__(self, module: ir.Module, name: str, arguments: int) -> None:
        self.function = ir.Function(module, ir.FunctionType(I64, [I64] * arguments), name)
        self.module = module
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))

    @property
    def arguments(self) -> Any:
        """The arguments' values."""
        return self.function.args

    def give(self, value: Any) -> None:
        """Return ``value``."""
        self.builder.ret(value)

    def give_if(self, condition: Any, value: Any) -> None:
        """Return ``value`` where the condition holds."""
        with self.builder.if_then(condition):
            self.builder.ret(value)

    def call(self, address: Any, *arguments: Any) -> Any:
        """Call the function of 64-bit integers at an address; it gives one."""
        kind = ir.FunctionType(I64, [I64] * len(arguments))
        return self.builder.call(self.pointer(address, kind), arguments)

    def pointer(self, address: Any, kind: Any) -> Any:
        """A pointer to ``kind`` at an address."""
        return self.builder.inttoptr(address, kind.as_pointer())

    def offset(self, address: Any, index: Any, size: int) -> Any:
        """``address + index * size``."""
        return self.builder.add(address, self.builder.mul(index, i64(size)))

    def word(self, address: Any, index: Any, kind: Any = I64) -> Any:
        """The 8-byte ``kind`` number ``index`` of a table."""
        return self.builder.load(self.pointer(self.offset(address, index, 8), kind))

    def variable(self, value: Any) -> Any:
        """A place on the stack that holds ``value`` at first; LLVM makes a register of it."""
        with self.builder.goto_entry_block():
            place = self.builder.alloca(value.type)
        self.builder.store(value, place)
        return place

    def least(self, a: Any, b: Any) -> Any:
        """The smaller of two integers."""
        return self.builder.select(self.builder.icmp_signed("<", a, b), a, b)

    def largest(self, a: Any, b: Any) -> Any:
        """The larger of two integers."""
        return self.builder.select(self.builder.icmp_signed(">", a, b), a, b)

    @contextlib.contextmanager
    def loop_while(self, condition: Callable[[], Any]) -> Generator[None]:
        """A loop for as long as ``condition()``, asked before each turn, holds."""
        builder = self.builder
        head, body, end = (builder.append_basic_block(x) for x in ("head", "body", "end"))
        builder.branch(head)
        builder.position_at_end(head)
        builder.cbranch(condition(), body, end)
        builder.position_at_end(body)
        yield
        builder.branch(head)
        builder.position_at_end(end)

    @contextlib.contextmanager
    def count(self, start: Any, stop: Any, step: Any = 1) -> Generator[Any]:
        """A loop over integers from ``start``, below ``stop``."""
        builder = self.builder
        entry, head, body, end = builder.block, *(builder.append_basic_block(x) for x in ("head", "body", "end"))
        builder.branch(head)
        builder.position_at_end(head)
        i = builder.phi(I64)
        i.add_incoming(start, entry)
        builder.cbranch(builder.icmp_signed("<", i, stop), body, end)
        builder.position_at_end(body)
        yield i
        i.add_incoming(builder.add(i, i64(step) if isinstance(step, int) else step), builder.block)
        builder.branch(head)
        builder.position_at_end(end)

    def word_place(self, address: Any, index: int) -> Any:
        """A pointer to the word number ``index`` at an address."""
        return self.pointer(self.builder.add(address, i64(8 * index)), I64)

    def shared(self, address: Any, index: int) -> Any:
        """A word that other threads write, read now."""
        return self.builder.load_atomic(self.word_place(address, index), _ORDER, 8)

    def share(self, value: Any, address: Any, index: int) -> None:
        """Write a word that other threads read."""
        self.builder.store_atomic(value, self.word_place(address, index), _ORDER, 8)

    def claim(self, address: Any, index: int, n: int = 1) -> Any:
        """Add to a word that other threads write; what it was before."""
        return self.builder.atomic_rmw("add", self.word_place(address, index), i64(n), _ORDER)

    def replaced(self, address: Any, index: int, old: Any, new: Any) -> Any:
        """Return whether a word that other threads write was ``old``, and so is ``new`` now."""
        done = self.builder.cmpxchg(self.word_place(address, index), old, new, _ORDER, _ORDER)
        return self.builder.extract_value(done, 1)

    def vectors(self, start: Any, stop: Any, lanes: int, one: Callable[[Any, Any], None]) -> None:
        """``one(i, mask)`` for each full vector from ``start``, then once for the masked rest, if any."""
        builder = self.builder
        full = builder.add(start, builder.and_(builder.sub(stop, start), i64(-lanes)))
        with self.count(start, full, lanes) as i:
            one(i, None)
        rest = builder.sub(stop, full)
        with builder.if_then(builder.icmp_signed(">", rest, i64(0))):
            one(full, self.first_lanes(lanes, rest))

    def first_lanes(self, lanes: int, n: Any) -> Any:
        """A mask that is true in the first ``n`` of ``lanes`` lanes."""
        kind = ir.VectorType(I32, lanes)
        return self.builder.icmp_signed(
            "<", ir.Constant(kind, list(range(lanes))), self.splat(self.builder.trunc(n, I32), lanes)
        )

    def splat(self, x: Any, lanes: int) -> Any:
        """A vector with ``x`` in every lane."""
        kind = ir.VectorType(x.type, lanes)
        none = ir.Constant(kind, ir.Undefined)
        one = self.builder.insert_element(none, x, ir.Constant(I32, 0))
        return self.builder.shuffle_vector(one, none, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))

    def alignment(self, _kind: Any, size: int) -> int:
        """Return the bytes to which a vector of that kind is aligned, whose elements have ``size`` bytes."""
        return size

    def load(self, address: Any, kind: Any, mask: Any, size: int) -> Any:
        """A vector of ``kind`` at an address aligned to ``size``; where ``mask`` is false, zeros."""
        place = self.pointer(address, kind)
        if mask is None:
            return self.builder.load(place, align=self.alignment(kind, size))
        takes = [kind.as_pointer(), I32, ir.VectorType(I1, kind.count), kind]
        f = declared(self.module, f"llvm.masked.load.{_suffix(kind)}.p0", kind, takes)
        return self.builder.call(f, [place, ir.Constant(I32, size), mask, constant(kind, 0.0)])

    def fetch(self, address: Any, *, is_written: bool = False) -> None:
        """Have the cache line at an address brought near, to be read, or written, soon; the address may be any."""
        place = self.pointer(address, ir.IntType(8))
        f = declared(self.module, "llvm.prefetch.p0", ir.VoidType(), [place.type, I32, I32, I32])
        self.builder.call(f, [place, ir.Constant(I32, int(is_written)), ir.Constant(I32, 3), ir.Constant(I32, 1)])

    def store(self, value: Any, address: Any, mask: Any, size: int) -> None:
        """Store a vector at an address aligned to ``size``, where ``mask`` is true."""
        kind = value.type
        place = self.pointer(address, kind)
        if mask is None:
            self.builder.store(value, place, align=self.alignment(kind, size))
            return
        takes = [kind, kind.as_pointer(), I32, ir.VectorType(I1, kind.count)]
        f = declared(self.module, f"llvm.masked.store.{_suffix(kind)}.p0", ir.VoidType(), takes)
        self.builder.call(f, [value, place, ir.Constant(I32, size), mask])


def halved(code: Function, x: Any, join: Callable[[Any, Any], Any]) -> Any:
    """The lanes of a vector joined: the two halves, and again, down to one."""
    n = x.type.count
    while n > 1:
        n //= 2
        low, high = (ir.Constant(ir.VectorType(I32, n), list(range(at, at + n))) for at in (0, n))
        x = join(code.builder.shuffle_vector(x, x, low), code.builder.shuffle_vector(x, x, high))
    return code.builder.extract_element(x, ir.Constant(I32, 0))
