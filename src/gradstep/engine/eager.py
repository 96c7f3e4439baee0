"""The reference: the rule called with arrays, in their own namespace."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from gradstep.array.memory import Regions, apart, numpy_place
from gradstep.array.namespaces import as_complex, as_reals, as_stored, is_low, namespace, pieces, to_numpy
from gradstep.array.reduction import block_sums, totals
from gradstep.array.rows import Rows
from gradstep.array.storage import step_key
from gradstep.engine import low
from gradstep.engine.cpu.places import Places
from gradstep.engine.meters import METERS, Columns, Ranges
from gradstep.engine.meters import metered as squares
from gradstep.engine.normals import normals
from gradstep.engine.tensor import Tensor
from gradstep.form.chain import Normal, Program, Row, Sums, Whole, drawn, run, terms, transformed, wholes

Slots = Sequence[Sequence[Any]]


def update(program: Program, tensor: Tensor, g: Any, row: Row, step: int = 0) -> tuple[Any, list[list[Any]]]:
    """The new value and state of one tensor; no result is one of the arguments, nothing is changed.

    ``g`` is an array of the same shape and dtype, ``row`` the scalars of each part, ``step`` the key of random numbers.
    """
    theta, g, state = _operands(tensor, g)
    theta_after, after = _run(program, tensor, theta, g, state, row, normals(tensor, step))
    return _finished(tensor, [g, theta, *chain(*state)], theta_after, after)


def measured(
    program: Program, part: int, tensor: Tensor, g: Any, row: Row, step: int, whole: Whole | None = None
) -> list[list[float]]:
    """Return block sums of each that stage ``part`` measures, after the stages before it, in float64.

    ``step`` is the key of random numbers.
    """
    theta, g, state = _operands(tensor, g)
    numbers = [np.asarray(x, np.float64) for x in row[part]] if part < len(row) else []
    with np.errstate(all="ignore"):
        scalars = as_arrays(row[:part], theta, tensor.dtype)
        theta, g, _, before = run(program.rules[:part], theta, g, state, scalars, whole, normals(tensor, step))
        return [block_sums(x) for x in terms(program.rules[part], [before, theta, g, *state[part]], numbers, _wide)]


def _transformed(
    program: Program, part: int, tensor: Tensor, g: Any, row: Row, step: int, whole: Whole
) -> tuple[Any, ...]:
    """Run the stages up to ``part``, a stage of whole arrays, and return its results."""
    theta, g, state = _operands(tensor, g)
    with np.errstate(all="ignore"):
        scalars = as_arrays(row, theta, tensor.dtype)
        normal, rule = normals(tensor, step), program.rules[part]
        theta, g, _, _ = run(program.rules[:part], theta, g, state, scalars, whole, normal)
        return transformed(rule, theta, g, state[part], scalars[part], drawn(rule, part, normal))


def _wide(x: Any) -> Any:
    return np.asarray(to_numpy(x), np.float64)


def metered(theta: Any, g: Any, after: Any, kept: Any) -> list[list[float]]:
    """Block sums of what the meters of :mod:`gradstep.engine.meters` take from one tensor.

    ``kept`` is theta as the next step reads it.
    """
    theta, g, after, kept = map(_wide, (theta, g, after, kept))
    with np.errstate(all="ignore"):
        return [block_sums(x) for x in (*squares(theta, g, after), (kept == theta) & (g != 0.0))]


def within(g: Any, limit: float) -> bool:
    """Return whether every element of ``g`` is at most ``limit`` in absolute value; false for NaN."""
    if type(g) is Rows:
        g = g.summed()[1]
    xp = namespace(g)
    return all(bool(xp.all(xp.abs(as_reals(x)) <= limit)) for x in pieces(g))


SMALL = 1 << 14  # elements: below, a call costs more than a copy


@dataclass
class Bundle:
    """Parameters that go through a program together: one, or several small ones in one array.

    Attributes
    ----------
    members
        Their places in the list that was bundled.
    tensor, g
        The parameter and its gradient; of several, all their numbers one after the other.
    """

    members: Sequence[int]
    tensor: Tensor
    g: Any

    def update(
        self, program: Program, tensors: Sequence[Tensor], table: Sequence[Row], step: int
    ) -> Iterator[tuple[int, tuple[Any, list[Any]]]]:
        """Yield the place of each member with its new value and state; nothing is changed."""
        value, state = update(program, self.tensor, self.g, table[self.tensor.row], step)
        flat = list(chain(*state))
        if len(self.members) == 1:
            yield self.members[0], (value, flat)
            return
        begin = 0
        for k in self.members:
            shape, end = tensors[k].value.shape, begin + tensors[k].value.size
            yield k, (value[begin:end].reshape(shape), [x[begin:end].reshape(shape) for x in flat])
            begin = end


def bundled(program: Program, tensors: Sequence[Tensor], grads: Sequence[Any]) -> list[Bundle]:
    """Put small arrays of NumPy's of one row together: a rule is elementwise, so the bits are the same."""
    found: dict[Any, list[int]] = {}
    is_elementwise = not wholes(program.rules) and not program.random
    for k, x in enumerate(tensors):
        is_small = (
            is_elementwise
            and type(x.value) is np.ndarray
            and x.value.size <= SMALL
            and x.layout is None
            and not is_low(x.value)
        )
        is_alike = is_small and x.value.dtype.kind == "f" and all(y.dtype == x.value.dtype for y in chain(*x.slots))
        found.setdefault((x.row, x.value.dtype) if is_alike else k, []).append(k)
    out: list[Bundle] = []
    for members in found.values():
        own, some = [tensors[k] for k in members], [grads[k] for k in members]
        if len(own) == 1:
            out.append(Bundle(members, own[0], some[0]))
            continue
        slots = tuple(
            [
                tuple([np.concatenate([x.slots[i][j] for x in own], axis=None) for j in range(len(keys))])
                for i, keys in enumerate(program.slots)
            ]
        )
        theta = np.concatenate([x.value for x in own], axis=None)
        out.append(Bundle(members, Tensor(own[0].name, theta, slots, own[0].row), np.concatenate(some, axis=None)))
    return out


class Eager:
    """The engine of an optimizer whose arrays are not NumPy's, or where llvmlite is not installed."""

    kind = "eager"

    def __init__(self, program: Program, tensors: Sequence[Tensor], seed: int = 0, *, is_metered: bool = False) -> None:
        self.program, self.tensors, self.seed, self.is_metered = program, tensors, seed, is_metered
        self.places = Places(program, tensors)
        self.grads: Sequence[Any] = ()
        self.sums: list[list[list[float]]] = []  # of the step made last, for each tensor
        self.measured: list[list[list[float]]] = []  # block sums of the measure made last, for each tensor
        self.outcomes: dict[int, list[tuple[Any, ...]]] = {}  # theta, g and slots of whole arrays, by stage
        self.applied = 0
        self.others: Regions | None = None  # what another engine writes in the same update
        self.results: tuple[list[list[tuple[Any, Any]]], list[list[list[float]]], int] | None = None
        self.unwritten: tuple[list[list[tuple[Any, Any]]], list[list[list[float]]], int] | None = None

    def step(self, _grads: tuple[Any, ...], _table: list[Row], _t: int, _guard: bool, /) -> bool:
        """Make update ``t`` at once where all is usual; else change nothing and return False."""
        return False  # the parts of a step do it

    def take(self, _grads: tuple[Any, ...], /) -> bool:
        """Take gradients of the usual kind, without a further look; return False for others."""
        return False

    def load(self, grads: Sequence[Any]) -> None:
        """Take gradients of any kind that fit."""
        self.places.check()
        self.results = None
        self.grads = [_plain(g if self.others is None else apart(g, self.others)) for g in grads]

    def keep_apart(self, arrays: Sequence[Any]) -> None:
        """Copy gradients that lie in these arrays too, before anything is written."""
        self.others = Regions([x for x in map(numpy_place, arrays) if x is not None])

    def forget(self) -> None:
        """Let go of gradients that were taken."""
        self.grads, self.outcomes, self.results = (), {}, None

    def look(self) -> bool:
        """Return whether all gradients are good."""
        pairs = zip(self.tensors, self.grads, strict=True)
        return all(within(g, self.program.limit_in(x.dtype)) for x, g in pairs)

    def measure(self, part: int, table: list[Row], t: int) -> tuple[Sums, bool]:
        """Return the sums of what a stage measures, and whether all gradients are good."""
        rules = self.program.rules
        good = part != self.program.first_pass or self.look()
        rows = [table[x.row] for x in self.tensors]
        steps = [step_key(self.seed, t)] * len(rows)
        cases = zip(self.tensors, self.grads, rows, steps, map(self._whole, range(len(rows))), strict=True)
        if rules[part].whole:
            self.outcomes[part] = [_transformed(self.program, part, *case) for case in cases]
            return [], good
        blocks = self.measured = [measured(self.program, part, *case) for case in cases]
        return totals(blocks, is_joint=rules[part].over == "all"), good

    def block_sums(self, part: int) -> NDArray[np.float64]:
        """Return the block sums of a measure over all arrays that was just made: a row for each thing measured."""
        things = range(len(self.program.rules[part].measure))
        return np.array([list(chain.from_iterable(own[k] for own in self.measured)) for k in things], np.float64)

    def _whole(self, k: int) -> Whole:
        """Return what the stages of whole arrays gave for a tensor."""
        return lambda part, _theta, _g: self.outcomes[part][k]

    def apply(self, table: list[Row], t: int) -> None:
        """Write parameters and state of update ``t``. All is computed before the first array is written."""
        if self.results is None:
            self.ready(table, t)
        self.unwritten = self.results
        self.finish()
        self.forget()

    def ready(self, table: list[Row], t: int) -> None:
        """Do all of :meth:`apply` that may fail: compute the update."""
        sums: list[list[list[float]]] = []
        self.places.check()  # a schedule may have moved an array
        cases = zip(self.tensors, self.grads, map(self._whole, range(len(self.tensors))), strict=True)
        results = [self._result(x, g, table[x.row], t, sums, whole) for x, g, whole in cases]
        self.results = results, sums, self.applied + 1

    def finish(self) -> None:
        """Write the rest of what was begun."""
        if self.unwritten is not None:
            results, self.sums, applied = self.unwritten
            _write(results)
            self.applied = applied
            self.unwritten = None

    @property
    def is_writing(self) -> bool:
        """True while arrays are being written one after the other."""
        return self.unwritten is not None

    def metered(self) -> tuple[Columns, Ranges]:
        """Return the sums of the last update, and where each tensor's stand."""
        ends = list(accumulate((len(own[0]) for own in self.sums), initial=0))
        columns = [list(chain(*(own[k] for own in self.sums))) for k in range(METERS)]
        return columns, list(pairwise(ends))

    def _result(
        self, x: Tensor, g: Any, row: Row, t: int, sums: list[list[list[float]]], whole: Whole
    ) -> list[tuple[Any, Any]]:
        """Each array of a tensor, and what it becomes; what is metered goes to ``sums``."""
        theta, g, state = _operands(x, g)
        theta_after, after = _run(self.program, x, theta, g, state, row, normals(x, step_key(self.seed, t)), whole)
        if x.layout is not None:
            stored = low.stored(x, theta_after, list(chain(*after)), step_key(self.seed, t))
            if self.is_metered:
                sums.append(metered(theta, g, theta_after, low.kept(x, theta_after, stored[0][1])))
            return stored
        value, slots = _finished(x, [g, theta, *chain(*state)], theta_after, after)
        if self.is_metered:
            sums.append(metered(theta, g, theta_after, as_reals(value)))
        return [(_plain(x.value), value), *zip(x.flat, chain(*slots), strict=True)]


def _write(results: list[list[tuple[Any, Any]]]) -> None:
    for old, new in chain(*results):
        old[...] = new


def _plain(x: Any) -> Any:
    """A torch parameter without its graph; np.matrix and the like as what they hold."""
    if array_api_compat.is_torch_array(x):
        return x.detach()
    return np.asarray(x) if array_api_compat.is_numpy_array(x) else x


def _operands(tensor: Tensor, g: Any) -> tuple[Any, Any, list[list[Any]]]:
    if tensor.layout is not None:
        theta, flat = low.loaded(tensor)
        each = iter(flat)
        return theta, as_reals(_plain(g)), [[next(each) for _ in slots] for slots in tensor.slots]
    state = [[as_reals(x) for x in slots] for slots in tensor.slots]
    return as_reals(_plain(tensor.value)), as_reals(_plain(g)), state


def _run(
    program: Program,
    tensor: Tensor,
    theta: Any,
    g: Any,
    state: list[list[Any]],
    row: Row,
    normal: Normal,
    whole: Whole | None = None,
) -> tuple[Any, list[list[Any]]]:
    with np.errstate(all="ignore"):  # a branch that where() leaves out may divide by zero
        theta, _, after, _ = run(program.rules, theta, g, state, as_arrays(row, theta, tensor.dtype), whole, normal)
    return theta, after


def as_arrays(row: Row, like: Any, dtype: str) -> list[list[Any]]:
    """Scalars as 0-d arrays of the compute dtype in the array's namespace: the only kind that no namespace promotes."""
    xp = namespace(like)
    is_moved = array_api_compat.is_jax_array(like)  # JAX's own is where it is needed, and that may be several devices
    device = None if is_moved else array_api_compat.device(like)
    return [[xp.asarray(x, dtype=getattr(xp, dtype), device=device) for x in numbers] for numbers in row]


def _finished(
    tensor: Tensor, operands: Sequence[Any], theta: Any, state: Sequence[Sequence[Any]]
) -> tuple[Any, list[list[Any]]]:
    """The new value and state as they are stored, none of them an operand."""
    finish = _Finish(tensor.value, [tensor.value, *tensor.flat, *operands])
    return finish(theta, as_stored), [[finish(x, as_complex) for x in slots] for slots in state]


class _Finish:
    """Makes a result the caller's own: an array (NumPy gives scalars for 0-d), no argument, stored as before."""

    def __init__(self, like: Any, taken: Sequence[Any]) -> None:
        self.like, self.taken = like, {id(x) for x in taken}

    def __call__(self, x: Any, store: Callable[[Any, Any], Any]) -> Any:
        xp = namespace(self.like)
        if id(x) in self.taken:  # a rule may return an argument itself, or one result twice
            x = xp.asarray(x, copy=True)
        out = store(xp.asarray(x), self.like)
        self.taken.add(id(x))
        return out
