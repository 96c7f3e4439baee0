"""An engine that steps some rows of a table: where they lie, or gathered, as a small parameter, and written back."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from array_api_compat import is_jax_array

from gradstep.array.namespaces import copied, namespace
from gradstep.array.rows import Rows
from gradstep.engine import in_place
from gradstep.engine.meters import Columns, Ranges
from gradstep.engine.tensor import Engine, Tensor
from gradstep.errors import GradstepTypeError
from gradstep.form.chain import Program, Row, Sums

Make = Callable[[Sequence[Tensor]], Engine]
Pair = tuple[Any, Any, Any, int]  # a table, the places of rows, an array with these rows first, and their number


def has_rows(grads: Sequence[Any]) -> bool:
    """Return True where a gradient is :func:`gradstep.rows`."""
    return Rows in {*map(type, grads)}


def first_of_rows(names: Sequence[str], grads: Sequence[Any]) -> str | None:
    """Return the name of the first parameter whose gradient is :func:`gradstep.rows`; None where all are whole."""
    return next((name for name, g in zip(names, grads, strict=True) if type(g) is Rows), None)


class BySparseRows:
    """The engine of a step that has met :func:`gradstep.rows`; for whole gradients it is the engine that was there.

    Parameters
    ----------
    program
        What is run.
    dense
        The engine of the whole arrays.
    make
        Makes the like for other tensors; it is asked where rows cannot be stepped where they lie.
    tensors
        Parameters and state; the rows of those are gathered whose gradient is one of rows.
    is_exact
        Whether the gathered arrays have just as many rows as there are; else some more, so that they seldom have to be
        made anew. The gradient of these is zero.
    """

    def __init__(
        self, program: Program, dense: Engine, make: Make, tensors: Sequence[Tensor], *, is_exact: bool
    ) -> None:
        self.program, self.dense, self.make, self.tensors, self.is_exact = program, dense, make, tensors, is_exact
        self.kind = dense.kind
        self.small = self.current = dense
        self.form: tuple[Any, ...] = ()
        self.gathered: list[Tensor] = []
        self.buffers: list[Any] = []
        self.pairs: list[Pair] = []
        self.others: Sequence[Any] = ()
        self.tried: list[Row] = []  # scalars with which other rows are left alone
        self.placed: Any = None  # the engine of rows where they lie; None: they are gathered
        self.count = 0  # updates by rows that were gathered
        self.pending: tuple[int, int] | None = None  # updates that the small engine had made, and the count afterwards

    @property
    def applied(self) -> int:
        """Updates made."""
        return self.dense.applied + self.count + (0 if self.placed is None else self.placed.applied)

    @property
    def is_writing(self) -> bool:
        """True where arrays are being written one after the other."""
        pending = self.pending
        by_rows = pending is not None and (self.small.is_writing or self.small.applied != pending[0])
        return self.dense.is_writing or by_rows

    def finish(self) -> None:
        """Write the rest of what was begun; it may be done twice."""
        self.dense.finish()
        if self.pending is not None:
            before, after = self.pending
            self.small.finish()
            if self.small.applied != before:
                for x, place, some, n in self.pairs:
                    x[place] = some[:n]
                self.count = after
                self.pending = None  # not sooner: a signal handler may come here before the small engine has begun

    def step(self, grads: tuple[Any, ...], table: list[Row], t: int, guard: bool, /) -> bool:
        """Make update ``t`` at once where all is usual; else change nothing and return False."""
        if not has_rows(grads):
            self.current = self.dense
            return self.dense.step(grads, table, t, guard)
        if self.placed is None:
            return False
        try:
            self.check_leaves(table, grads)
        except GradstepTypeError:
            return False  # in parts, a bad gradient is found first
        self.current = self.placed
        return self.placed.step(grads, table, t, guard)

    def check_leaves(self, table: Sequence[Row], grads: Sequence[Any]) -> None:
        """Refuse an update that would move other rows too, as :func:`check_leaves_rows` does; the same scalars once."""
        scalars = [table[x.row] for x, g in zip(self.tensors, grads, strict=True) if type(g) is Rows]
        if scalars != self.tried:
            check_leaves_rows(self.program, table, self.tensors, grads)
            self.tried = scalars

    def take(self, grads: tuple[Any, ...], /) -> bool:
        """Take gradients of the usual kind, without a further look; return False for others."""
        self.current = self.dense
        return not has_rows(grads) and self.dense.take(grads)

    def load(self, grads: Sequence[Any]) -> None:
        """Take gradients of any kind that fit."""
        if not has_rows(grads):
            self.current = self.dense
            self.dense.load(grads)
            return
        self.pending = None
        if self._is_placed(grads):
            self.current = self.placed
            self.placed.load(grads)
            return
        found = [g.summed() if type(g) is Rows else (None, g) for g in grads]
        form = tuple([None if place is None else self._room(len(place)) for place, _ in found])
        if form != self.form:
            self._gather_into(form)
        pairs: list[Pair] = []
        whole = list[Any]()
        for x, own, buffer, (place, g) in zip(self.tensors, self.gathered, self.buffers, found, strict=True):
            if place is None:
                whole.append(g)
                continue
            n = len(place)
            for table, some in zip([x.value, *x.flat], [own.value, *own.flat], strict=True):
                _pick(table, place, some[:n])
                if n:
                    some[n:] = some[:1]  # numbers such as the rule has met
                pairs.append((table, place, some, n))
            buffer[:n] = g
            buffer[n:] = 0
            whole.append(buffer)
        self.pairs, self.current = pairs, self.small
        taken = tuple(whole)
        if not self.small.take(taken):
            self.small.load(taken)

    def forget(self) -> None:
        """Let go of gradients that were taken."""
        self.dense.forget()
        self.small.forget()
        if self.placed is not None:
            self.placed.forget()

    def keep_apart(self, arrays: Sequence[Any]) -> None:
        """Copy gradients that lie in these arrays too, before anything is written."""
        self.dense.keep_apart(arrays)
        if self.placed is not None:
            self.placed.keep_apart(arrays)
        self.others, self.form = arrays, ()

    def ready(self, table: list[Row], t: int) -> None:
        """Do all of :meth:`apply` that may fail."""
        self.current.ready(table, t)

    def look(self) -> bool:
        """Return whether all gradients are good."""
        return self.current.look()

    def measure(self, part: int, table: list[Row], t: int) -> tuple[Sums, bool]:
        """Return the sums of what a stage measures, and whether all gradients are good."""
        return self.current.measure(part, table, t)

    def apply(self, table: list[Row], t: int) -> None:
        """Write parameters and state of update ``t``."""
        if self.current is self.dense or self.current is self.placed:
            self.current.apply(table, t)
            return
        self.pending = self.small.applied, self.count + 1
        self.small.apply(table, t)
        self.finish()

    def metered(self) -> tuple[Columns, Ranges]:
        """Return the sums of the last update, and where each tensor's stand: of rows, those of the rows alone."""
        return self.current.metered()

    def _is_placed(self, grads: Sequence[Any]) -> bool:
        """Return whether the rows are stepped where they lie, when there is an engine with room for them."""
        counts = [len(g.index) if type(g) is Rows else None for g in grads]
        if self.placed is not None and self.placed.has_room(counts):
            return True
        made = in_place(self.dense, counts, self.placed)
        if made is None:
            return False
        if len(self.others):
            made.keep_apart(self.others)
        self.placed = made
        return True

    def _room(self, n: int) -> int:
        """Return a number of rows from ``n``, of which there are few: at most an eighth more."""
        if self.is_exact or n < 8:
            return n
        grain = 1 << (n.bit_length() - 4)
        return -(-n // grain) * grain

    def _gather_into(self, form: tuple[int | None, ...]) -> None:
        """Make arrays for so many rows of each parameter, and an engine of them."""
        tensors: list[Tensor] = []
        buffers: list[Any] = []
        for x, n in zip(self.tensors, form, strict=True):
            if n is None:
                tensors.append(x)
                buffers.append(None)
                continue
            slots = tuple(tuple(_room_for(y, n) for y in own) for own in x.slots)
            tensors.append(replace(x, value=_room_for(x.value, n), slots=slots))
            buffers.append(_room_for(x.value, n))
        small = self.make(tensors)
        if len(self.others):
            small.keep_apart(self.others)
        self.form = ()
        self.gathered, self.buffers, self.small = tensors, buffers, small
        self.form = form


def check_takes_rows(program: Program, name: str) -> None:
    """Refuse a program that cannot make a step with some rows of a gradient, whatever its numbers.

    Raises
    ------
    GradstepTypeError
        With the stage and the reason.
    """
    for part in program.parts:
        rule, asked = part.rule, {key for _, keys in part.rule.measured for key in keys}
        why = ""
        if rule.whole:
            why = "sees whole arrays"
        elif rule.every is not None:
            why = "gathers gradients of several calls, which have other rows"
        elif rule.random is not None:
            why = "draws random numbers for whole arrays"
        elif rule.inputs:
            why = "takes arrays beside the gradient"
        elif rule.early is not None or not asked <= {"g"}:
            why = "sums over whole arrays more than the gradient"
        if why:
            raise _refusal(name, part.label, why)


def check_leaves_rows(program: Program, table: Sequence[Row], tensors: Sequence[Tensor], grads: Sequence[Any]) -> None:
    """Refuse an update that would move also rows whose gradient is zero; rules that are lazy may leave them alone.

    It is tried out on a few numbers with the scalars of this very update: a weight decay of 0 counts as none, and so
    does one of parameters whose gradients are whole. A stage whose scalars change from update to update is tried with
    others too: Lookahead, say, moves nothing at most of them.

    Raises
    ------
    GradstepTypeError
        With the stage that moves them.
    """
    asked: dict[int, str] = {}
    for x, g in zip(tensors, grads, strict=True):
        if type(g) is Rows:
            asked.setdefault(x.row, x.name)
    for row, name in asked.items():
        theta = before = start = np.array([3.0, -1e-3, 0.5, -700.0])
        g = np.zeros(4)
        for part, numbers in zip(program.parts, table[row], strict=True):
            rule = part.rule
            if rule.lazy:
                continue
            if rule.kind == "rule":
                before = theta
            slots = [np.full(4, 0.7 + k) for k in range(len(rule.state))]
            wrapped = (start if rule.wraps == "all" else before,) if rule.wraps else ()
            later = [[0.75] * len(numbers)] if rule.counts else []
            for own in (numbers, *later):
                with np.errstate(all="ignore"):
                    after = rule.update(*wrapped, theta, g, *slots, **dict(zip(rule.numbers, own, strict=True)))
                if not all(map(np.array_equal, after, [theta, g, *slots])):
                    raise _refusal(name, part.label, "with these hyperparameters moves all rows")


def _refusal(name: str, label: str, why: str) -> GradstepTypeError:
    return GradstepTypeError(
        f"gradient {name!r} is gs.rows, and {label} {why}; make the gradient a whole array, or take a rule that leaves "
        f"alone what has no gradient, such as sgd, adagrad or (lazily) adam. Nothing was changed."
    )


def _room_for(x: Any, n: int) -> Any:
    """Return an array for ``n`` rows like those of ``x``; contiguous, in native order."""
    shape = (n, *x.shape[1:])
    if isinstance(x, np.ndarray):
        return np.zeros(shape, x.dtype.newbyteorder("="))
    return namespace(x).zeros(shape, dtype=x.dtype, device=x.device)


def _pick(x: Any, place: Any, out: Any) -> None:
    """Write the rows of ``x`` at ``place`` into ``out``."""
    if isinstance(x, np.ndarray) and x.dtype == out.dtype and x.flags.c_contiguous:
        np.take(x, place, axis=0, out=out, mode="clip")  # they are within: so nothing is copied twice
    else:
        out[...] = x[place]


def gathered(tensors: Sequence[Tensor], grads: Sequence[Any]) -> tuple[list[Tensor], tuple[Any, ...], list[Any]]:
    """Return tensors of new arrays with the rows that gradients name, their gradients, and the places; None: whole."""
    found = [g.summed() if type(g) is Rows else (None, g) for g in grads]
    out: list[Tensor] = []
    for x, (place, _) in zip(tensors, found, strict=True):
        slots = x.slots if place is None else tuple(tuple(y[place] for y in own) for own in x.slots)
        out.append(x if place is None else replace(x, value=x.value[place], slots=slots))
    return out, tuple(g for _, g in found), [place for place, _ in found]


def scattered(x: Tensor, place: Any, after: Sequence[Any]) -> list[Any]:
    """Return copies of a parameter and its slots with some rows of each replaced."""
    out: list[Any] = []
    for old, some in zip([x.value, *x.flat], after, strict=True):
        if is_jax_array(old):
            new = old.at[place].set(some)
        else:
            new = copied(old)
            new[place] = some
        out.append(new)
    return out
