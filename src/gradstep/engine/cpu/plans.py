"""The steps that a rule of whole arrays becomes for matrices of one shape, over memory that is used again and again.

The rule is called once with :class:`Node` operands, which write down what it does. What is computed of each element is
then done in sweeps (:mod:`gradstep.engine.cpu.sweeps`), together as far as it can be; what has a single row or column,
by NumPy; products and decompositions by NumPy with memory that this plan lays out, so that no more is held than is
needed at a time. Every number is computed by the same operations as where the rule is called with arrays.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.array.memory import address
from gradstep.array.reduction import LANES
from gradstep.engine.cpu import sweeps
from gradstep.engine.cpu.sweeps import Form
from gradstep.form import vocabulary
from gradstep.form.chain import run
from gradstep.form.diagonal import Diagonal
from gradstep.form.matrices import WORDS
from gradstep.form.rule import Rule

Shape = tuple[int, ...]
Array = NDArray[Any]
_SIGNS: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "negative": lambda a: -a,
    "same": np.copy,
}
_COMPARED = ("<", ">")  # conditions are no numbers, and so are no operands of a sweep
_ELEMENTWISE = ("sqrt", "cbrt", "abs", "sign", "minimum", "maximum", "where")
_EXTENTS = ("rows", "columns", "spacing")
_SUMS = ("mean", "max", "norm", "squares")
_SWAPPED = {"rows": "columns", "columns": "rows"}
PIECE = 1 << 15  # elements that a thread writes at once, about


class Node:
    """A number, an array, or what is computed of others.

    Attributes
    ----------
    word
        ``leaf``, ``literal``, ``turned`` (a transpose that is a view), ``part`` (one of several results), a sign or a
        word of the vocabulary.
    parts
        What it is computed of; of a leaf its number, of a literal its value.
    """

    __slots__ = ("dtype", "number", "over", "parts", "plan", "shape", "word")
    __array_ufunc__ = None

    def __init__(self, plan: "Trace", word: str, parts: tuple[Any, ...], shape: Shape, over: str = "") -> None:
        self.plan, self.word, self.parts, self.shape, self.over = plan, word, parts, shape, over
        self.number = len(plan.nodes)
        plan.nodes.append(self)

    @property
    def is_small(self) -> bool:
        """True where it has at most one row, or one column: NumPy computes it."""
        return is_small(self.shape)

    def __add__(self, other: Any) -> "Node":
        return self.plan.elementwise("+", self, other)

    def __radd__(self, other: Any) -> "Node":
        return self.plan.elementwise("+", other, self)

    def __sub__(self, other: Any) -> "Node":
        return self.plan.elementwise("-", self, other)

    def __rsub__(self, other: Any) -> "Node":
        return self.plan.elementwise("-", other, self)

    def __mul__(self, other: Any) -> "Node":
        return self.plan.elementwise("*", self, other)

    def __rmul__(self, other: Any) -> "Node":
        return self.plan.elementwise("*", other, self)

    def __truediv__(self, other: Any) -> "Node":
        return self.plan.elementwise("/", self, other)

    def __rtruediv__(self, other: Any) -> "Node":
        return self.plan.elementwise("/", other, self)

    def __lt__(self, other: Any) -> "Node":
        return self.plan.elementwise("<", self, other)

    def __gt__(self, other: Any) -> "Node":
        return self.plan.elementwise(">", self, other)

    def __neg__(self) -> "Node":
        return self.plan.elementwise("negative", self)

    def speak(self, word: str, operands: tuple[Any, ...]) -> Any:
        """Return what a vocabulary word gives."""
        return self.plan.speak(word, operands)

    def ones_like(self) -> "Node":
        """Return ones of the same shape."""
        return self.plan.node("ones", (self,), self.shape)


def is_small(shape: Shape) -> bool:
    """Return whether an array has at most one row, or one column."""
    return len(shape) < 2 or min(shape) < 2


class Trace:
    """The nodes of a rule that is called once.

    Parameters
    ----------
    dtype
        Of all arrays.
    positive
        Of each number of the rule, by its node, whether it is above zero: what ``when`` asks.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self.nodes: list[Node] = []
        self.positive: dict[Node, bool] = {}
        self.known: dict[Any, Node] = {}

    def node(self, word: str, parts: tuple[Any, ...], shape: Shape, over: str = "") -> Node:
        """Return the node that does this: the one that there is already, if any."""
        key = word, over, tuple(x.number if isinstance(x, Node) else ("value", repr(x)) for x in parts)
        if key not in self.known:
            self.known[key] = Node(self, word, parts, shape, over)
        return self.known[key]

    def leaf(self, number: int, shape: Shape) -> Node:
        """An array that the plan is given."""
        return self.node("leaf", (number,), shape)

    def turned(self, x: Node) -> Node:
        """Return the transpose."""
        shape = x.shape[::-1]
        if x.word == "turned":
            return x.parts[0]
        if x.word in _COMPARED and len(shape) > 1:
            return self.node(x.word, tuple(self.turned(y) if len(y.shape) > 1 else y for y in x.parts), shape)
        return self.node("turned", (x,), shape)

    def copied(self, x: Node) -> Node:
        """Return a view's numbers in rows of their own."""
        return self.node("copied", (x,), x.shape) if x.word == "turned" and not x.is_small else x

    def elementwise(self, word: str, *operands: Any) -> Node:
        """Return the node of a sign or word on each element.

        As in NumPy, the result of transposes alone is one itself.
        """
        given = [x if isinstance(x, Node) else self.node("literal", (float(x),), ()) for x in operands]
        shape = np.broadcast_shapes(*(x.shape for x in given))
        large = [x for x in given if not x.is_small]
        if large and all(x.word == "turned" for x in large):
            back = [self.turned(x) if len(x.shape) > 1 else x for x in given]
            return self.turned(self.node(word, tuple(back), shape[::-1]))
        return self.node(word, tuple(self.copied(x) for x in given), shape)

    def speak(self, word: str, operands: tuple[Any, ...]) -> Any:
        """Return what a vocabulary word gives."""
        x = operands[0]
        if word == "when":
            number, step, *values = operands
            out = step(*values) if self.positive[number] else values
            return out[0] if len(values) == 1 and not self.positive[number] else out
        if word == "repeat":
            step, x, n = operands
            for _ in range(n):
                x = step(x)
            return x
        for y in operands:
            if isinstance(y, Diagonal):
                return y.speak(word, operands)
        if word == "where" and not isinstance(x, Node):
            low, high = (self.node("literal", (y,), ()) for y in (0.0, 1.0))
            return self.elementwise(word, self.node("<" if x else ">", (low, high), ()), *operands[1:])
        if word in _ELEMENTWISE:
            return self.elementwise(word, *operands)
        if word in _EXTENTS:
            return WORDS[word](np, np.empty(x.shape, self.dtype))
        if word in _SUMS:
            return self.summed(word, x, *operands[1:])
        is_tall = operands[-1].shape[-2] > operands[-1].shape[-1] if word in ("wide", "shaped_as") else False
        if word == "transpose" or is_tall:
            return self.turned(x)
        if word in ("wide", "shaped_as"):
            return x
        if word == "gram":
            return self.node("matmul", (x, self.turned(x)), (x.shape[0], x.shape[0]))
        if word == "matmul":
            return self.node("matmul", operands, (x.shape[0], operands[1].shape[1]))
        if word in ("eigh", "qr"):
            both = self.node(word, operands, x.shape)
            first = (1, x.shape[1]) if word == "eigh" else x.shape
            return self.node("part", (both, 0), first), self.node("part", (both, 1), x.shape)
        shape = {"trisolve": operands[-1].shape if len(operands) > 1 else (), "least_norm": (1, 1)}.get(word, x.shape)
        given = tuple(y if isinstance(y, Node) else self.node("literal", (float(y),), ()) for y in operands)
        return self.node(word, given, shape)

    def summed(self, word: str, x: Node, over: str = "all") -> Node:
        """Return a sum, or the largest number, over an axis or all."""
        over = {"array": "all"}.get(over, "columns" if word == "squares" else over)
        if x.word == "turned" and not x.is_small:
            if over in _SWAPPED:
                return self.turned(self.node(word, x.parts, self.reduced(x.parts[0], _SWAPPED[over]), _SWAPPED[over]))
            x = self.copied(x)
        return self.node(word, (x,), self.reduced(x, over), over)

    def reduced(self, x: Node, over: str) -> Shape:
        """Return the shape of a sum."""
        return (1 if over != "columns" else x.shape[0], 1 if over != "rows" else x.shape[1])


@dataclass
class Memory:
    """Memory of results that are needed for a while, used again for others of the same size."""

    free: dict[int, list[Array]] = field(default_factory=dict[int, list[Array]])

    def take(self, shape: Shape, dtype: np.dtype[Any]) -> Array:
        """Return an array of any contents."""
        nbytes = prod(shape) * dtype.itemsize
        rest = self.free.get(nbytes)
        flat = rest.pop() if rest else np.empty(nbytes, np.uint8)
        return flat.view(dtype).reshape(shape)

    def give(self, x: Any) -> None:
        """Take back what :meth:`take` gave; of what NumPy made, nothing."""
        if not isinstance(x, np.ndarray):
            return
        while x.base is not None:
            x = x.base
        if x.dtype == np.uint8:
            self.free.setdefault(x.nbytes, []).append(x)


class Run:
    """One run of a plan: the arrays that it is given, and those that it has made so far."""

    def __init__(self, plan: "Plan", leaves: Sequence[Array], memory: Memory, do: Callable[..., None]) -> None:
        self.plan, self.memory, self.do = plan, memory, do
        self.found: dict[Node, Any] = {node: leaves[node.parts[0]] for node in plan.leaves}

    def compute(self) -> None:
        """Do all but the writing."""
        for step in self.plan.steps:
            step(self)
            for node in step.over:
                self.memory.give(self.found.pop(node))

    def release(self) -> None:
        """Give all memory back."""
        for node, x in self.found.items():
            if node in self.plan.owned:
                self.memory.give(x)
        self.found = {}

    def array(self, x: Node) -> Any:
        """Return what a node stands for."""
        if x.word == "turned":
            return self.array(x.parts[0]).T
        if x.word == "literal":
            return x.parts[0]
        if x.word == "part":
            return self.found[x.parts[0]][x.parts[1]]
        return self.found[x]


class _Step:
    """Something that a plan does: called with a run."""

    def __init__(self) -> None:
        self.over: list[Node] = []  # what nobody needs any more behind it

    def __call__(self, run: Run) -> None:
        raise NotImplementedError

    def reads(self) -> Iterable[Node]:
        """Nodes whose arrays it reads."""
        raise NotImplementedError


class _Small(_Step):
    """A node that NumPy computes: of one row or column, or by a word of whole arrays."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node

    def reads(self) -> Iterable[Node]:
        """Nodes whose arrays it reads."""
        return [x for x in self.node.parts if isinstance(x, Node)]

    def __call__(self, run: Run) -> None:
        node = self.node
        given = [run.array(x) for x in node.parts]
        word = node.word
        if word == "matmul" and not node.is_small:
            out = run.memory.take(node.shape, node.plan.dtype)
            run.found[node] = np.matmul(given[0], given[1], out=out)
        elif word == "copied":
            out = run.memory.take(node.shape, node.plan.dtype)
            np.copyto(out, given[0])
            run.found[node] = out
        elif word == "ones":
            run.found[node] = np.ones_like(given[0])
        elif word in _SIGNS:
            run.found[node] = _SIGNS[word](*given)
        elif word in _ELEMENTWISE:
            run.found[node] = getattr(vocabulary, word)(*given)
        elif word in ("mean", "max"):
            run.found[node] = WORDS[word](np, given[0], node.over)
        else:
            run.found[node] = WORDS[word](np, *given)


class Sweep(_Step):
    """Sums, or results that are written, of matrices of one shape."""

    def __init__(self, nodes: Sequence[Node], made: set[Node], to: Sequence[Node] | None = None) -> None:
        super().__init__()
        self.nodes, self.to = nodes, to  # where results are written: leaves, else memory of their own
        self.is_sum = to is None and nodes[0].word in _SUMS
        self.shape = nodes[0].parts[0].shape if self.is_sum else nodes[0].shape
        self.dtype = nodes[0].plan.dtype
        self.operands: list[Node] = []
        self.reuse: Node | None = None  # an operand in whose memory the result may be written
        lines: list[tuple[Any, ...]] = []
        known: dict[Node, int] = {}

        def line(x: Node) -> int:
            if x in known:
                return known[x]
            if x.word == "literal":
                lines.append(("literal", x.parts[0]))
            elif x.word not in _COMPARED and (x in made or x.is_small):
                lines.append((self.kind(x), len(self.operands)))
                self.operands.append(x)
            else:
                lines.append((x.word, *[line(y) for y in x.parts]))
            known[x] = len(lines) - 1
            return known[x]

        results = [
            (node.word, node.over, line(node.parts[0])) if self.is_sum else ("write", "", line(node)) for node in nodes
        ]
        self.form = Form(tuple(lines), tuple(results))
        self.kernel, first, second = sweeps.kernel(self.form, str(self.dtype))
        rows, columns = self.shape
        if self.is_sum:
            ends = np.arange(LANES + 1) * -(-columns // LANES // LANES) * LANES
            ends = np.minimum(ends, columns)
            self.chunks = np.array([(k, k + 1, ends[k], ends[k + 1]) for k in range(LANES)], np.int64)
        else:
            own = max(1, PIECE // columns)
            self.chunks = np.array([(k, min(k + own, rows), 0, columns) for k in range(0, rows, own)], np.int64)
        count = len(self.chunks)
        several = 1 if rows * columns < PIECE else count
        ends = np.linspace(0, count, several + 1).astype(np.int64)
        self.portions = np.array([(a, b, first, second) for a, b in pairwise(ends)], np.int64)
        self.lanes: list[int] = [
            0
            if self.form.results[j][1] == "columns"
            else LANES * (-(-columns // LANES) * LANES if over == "rows" else 1)
            for j, (_, over, _) in enumerate(self.form.results)
        ]
        self.counts = [self.divisor(over) for _, over, _ in self.form.results]

    def kind(self, x: Node) -> str:
        """Return how an operand lies along the matrix."""
        shape = (1,) * (2 - len(x.shape)) + x.shape
        if shape == self.shape:
            return "matrix"
        return {(False, False): "one", (True, False): "rows", (False, True): "columns"}[shape[0] > 1, shape[1] > 1]

    def divisor(self, over: str) -> int:
        """The number by which a mean divides, as the bits of a float64."""
        rows, columns = self.shape
        n = {"rows": rows, "columns": columns}.get(over, rows * columns)
        return int(np.float64(n).view(np.int64))

    def reads(self) -> Iterable[Node]:
        """Nodes whose arrays it reads."""
        return self.operands

    def __call__(self, run: Run) -> None:
        """Do it."""
        arrays = [np.ascontiguousarray(run.array(x), self.dtype) for x in self.operands]
        words = [*self.shape, *map(address, arrays)]
        lanes: list[Array] = []
        for j, node in enumerate(self.nodes):
            if self.is_sum:
                out = np.empty(node.shape, self.dtype)
                wide = self.dtype if node.word == "max" else np.dtype(np.float64)
                lanes.append(run.memory.take((self.lanes[j],), wide))
            elif self.to is not None:
                out = run.found[self.to[j]]
            elif self.reuse is not None:
                out = run.found.pop(self.reuse)
            else:
                out = run.memory.take(node.shape, self.dtype)
            if self.to is None:
                run.found[node] = out
            words += [address(out), address(lanes[j]) if lanes else 0, self.counts[j]]
        run.do(self, np.array(words, np.int64))
        for x in lanes:
            run.memory.give(x)


class Plan:
    """A chain with rules of whole arrays, for parameters of one shape.

    Parameters
    ----------
    rules
        What is done.
    arrays
        Theta, g, the slots of each rule, and what the rules of whole arrays draw: as these see them.
    positive
        Whether each number of each rule is above zero: what ``when`` asks, in rules of whole arrays.

    Attributes
    ----------
    steps
        What is computed, in order, before anything is written.
    writes
        Sweeps that write, and pairs of an array's number and the node whose numbers it takes.
    """

    def __init__(
        self, rules: Sequence[Rule], arrays: Sequence[Any], positive: Sequence[Sequence[bool]], dtype: str
    ) -> None:
        trace = Trace(dtype)
        self.steps: list[_Step] = []
        self.made: set[Node] = set()
        seen: list[Any] = []
        for k, x in enumerate(arrays):
            if isinstance(x, Diagonal):
                seen.append(Diagonal(trace.leaf(k, x.column.shape)))
            else:
                seen.append(trace.leaf(k, x.shape))
        given = iter(seen)
        theta, g = next(given), next(given)
        state = [[next(given) for _ in rule.state] for rule in rules]
        draws = [[next(given) for _ in range(rule.whole and rule.random is not None)] for rule in rules]
        row: list[list[Node]] = []
        count = len(arrays)
        for own in positive:
            row.append([trace.leaf(count + k, ()) for k in range(len(own))])
            trace.positive |= zip(row[-1], own, strict=True)
            count += len(own)

        def whole(i: int, theta: Any, g: Any) -> tuple[Any, ...]:
            named = dict(zip(rules[i].numbers, row[i], strict=True))
            return rules[i].update(theta, g, *state[i], *draws[i], **named)

        theta, _, after, _ = run(rules, theta, g, state, row, whole)
        results = [theta, *(x for own in after for x in own)]
        self.leaves = [x for x in trace.nodes if x.word == "leaf"]
        self.made |= set(self.leaves)
        places = [seen[0], *(x for own in state for x in own)]
        pairs = [(_column(x), _column(old)) for x, old in zip(results, places, strict=True)]
        pairs = [(x, old) for x, old in pairs if x is not old]
        self.needed = _reachable([x for x, _ in pairs])
        self.trace = trace
        small: list[tuple[Node, Node]] = []
        large: dict[Shape, list[tuple[Node, Node]]] = {}
        for x, old in pairs:
            if x.word in ("leaf", "turned"):  # another's memory, which may be written first
                x = (
                    trace.node("same", (trace.copied(x),), x.shape)
                    if not x.is_small
                    else trace.node("same", (x,), x.shape)
                )
            self.needed |= _reachable([x])
            if x.is_small or not _is_elementwise(x):
                self.force(x)
                small.append((old, x))
            else:
                self.prepare(x)
                large.setdefault(x.shape, []).append((old, x))
        self.writes: list[Sweep] = [
            Sweep([x for _, x in both], self.made, [old for old, _ in both]) for both in large.values()
        ]
        self.copies = small
        self.owned = {x for x in self.made if x.word in ("matmul", "copied") or (_is_elementwise(x) and not x.is_small)}
        self._lay_out()

    def force(self, x: Node) -> None:
        """Have the array of a node computed."""
        if x in self.made or x.word == "literal":
            return
        if x.word in ("turned", "part"):
            self.force(x.parts[0])
            self.made.add(x)
            return
        if not x.is_small and _is_elementwise(x):
            self.prepare(x)
            self.steps.append(Sweep([x], self.made))
        elif x.word in _SUMS and not x.parts[0].is_small:
            self.prepare(x.parts[0])
            group = [x, *(y for y in self.trace.nodes if y is not x and self.is_due_with(y, x))]
            for y in group:
                self.prepare(y.parts[0])
            self.steps.append(Sweep(group, self.made))
            self.made |= set(group)
        else:
            for y in x.parts:
                if isinstance(y, Node):
                    self.force(y)
            self.steps.append(_Small(x))
        self.made.add(x)

    def prepare(self, x: Node) -> None:
        """Have all computed that a sweep over an expression reads."""
        if x.word in _COMPARED:
            for y in x.parts:
                self.prepare(y)
            return
        if x in self.made:
            return
        if x.is_small or not _is_elementwise(x):
            self.force(x)
            return
        for y in x.parts:
            self.prepare(y)

    def is_due_with(self, y: Node, x: Node) -> bool:
        """Return whether a sum may be summed in the sweep of another."""
        return (
            y.word in _SUMS
            and y not in self.made
            and y in self.needed
            and y.parts[0].shape == x.parts[0].shape
            and self.is_ready(y.parts[0])
        )

    def is_ready(self, x: Node) -> bool:
        """Return whether an expression waits for no further sweep and no word of whole arrays."""
        if x in self.made or x.word == "literal":
            return True
        if x.word in ("turned", "part") or _is_elementwise(x) or (x.word in _SUMS and x.parts[0].is_small):
            return all(self.is_ready(y) for y in x.parts if isinstance(y, Node))
        return False

    def _lay_out(self) -> None:
        """Find where each array is needed last."""
        kept = {_base(x) for sweep in self.writes for x in sweep.operands} | {_base(x) for _, x in self.copies}
        last: dict[Node, _Step] = {}
        for step in self.steps:
            for x in step.reads():
                last[_base(x)] = step
        for x, step in last.items():
            if x.word != "leaf" and x not in kept and x in self.made:
                if (
                    isinstance(step, Sweep)
                    and not step.is_sum
                    and step.reuse is None
                    and x in self.owned
                    and x in step.operands
                    and x.shape == step.shape
                ):
                    step.reuse = x
                else:
                    step.over.append(x)


def _column(x: Any) -> Node:
    return x.column if isinstance(x, Diagonal) else x


def _base(x: Node) -> Node:
    """Return the node whose memory another one looks at."""
    while x.word in ("turned", "part"):
        x = x.parts[0]
    return x


def _is_elementwise(x: Node) -> bool:
    return x.word in _SIGNS or x.word in _ELEMENTWISE


def _reachable(nodes: Iterable[Node]) -> set[Node]:
    found: set[Node] = set()
    todo = list(nodes)
    while todo:
        x = todo.pop()
        if x not in found:
            found.add(x)
            todo += [y for y in x.parts if isinstance(y, Node)]
    return found
