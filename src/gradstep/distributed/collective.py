"""An engine that does nothing alone: it looks, sums and writes when all processes have got as far."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradstep.array.reduction import joined
from gradstep.distributed.agree import Rounds
from gradstep.engine.tensor import Tensor
from gradstep.errors import GradstepValueError
from gradstep.form.chain import Program, Row, Sums


class Collective:
    """One process's engine for its pieces of the parameters, among the others.

    Attributes
    ----------
    guard
        Whether gradients are looked at, for all of these engines of a process: a list of one truth.
    """

    def __init__(self, inner: Any, program: Program, rounds: Rounds, guard: list[bool]) -> None:
        self.inner, self.program, self.rounds, self.guard = inner, program, rounds, guard
        self.kind = inner.kind
        self._is_ready = False
        self._rows = 1 + max((x.row for x in inner.tensors), default=0)  # others have parameters of the other rows

    @property
    def is_writing(self) -> bool:
        """True while arrays are being written."""
        return self.inner.is_writing

    @property
    def applied(self) -> int:
        """Updates made."""
        return self.inner.applied

    def finish(self) -> None:
        """Write the rest of what was begun."""
        self.inner.finish()

    def step(self, _grads: tuple[Any, ...], _table: list[Row], _t: int, _guard: bool, /) -> bool:
        """Make no update at once: others must agree before anything is written."""
        return False

    def take(self, grads: tuple[Any, ...], /) -> bool:
        """Take gradients of the usual kind."""
        return self.inner.take(grads)

    def load(self, grads: Sequence[Any]) -> None:
        """Take gradients of any kind that fit."""
        self.inner.load(grads)

    def forget(self) -> None:
        """Let go of gradients that were taken."""
        self._is_ready = False
        self.inner.forget()

    def keep_apart(self, arrays: Sequence[Any]) -> None:
        """Copy gradients that lie in these arrays too, before anything is written."""
        self.inner.keep_apart(arrays)

    def look(self) -> bool:
        """Return whether all gradients here are good; those elsewhere are when the next round is over."""
        return self.inner.look()

    def measure(self, part: int, table: list[Row], t: int) -> tuple[Sums, bool]:
        """Return the sums of what a stage measures over all arrays of all processes, or over each one here."""
        rule = self.program.rules[part]
        sums, good = self.inner.measure(part, table[: self._rows], t)
        if rule.over != "all" or (self.guard[0] and not good):
            return sums, good
        texts = self.rounds.exchange(np.ascontiguousarray(self.inner.block_sums(part)).tobytes())
        each = [np.frombuffer(text).reshape(len(rule.measure), -1) for text in texts]
        return [[joined(blocks.tolist()) for blocks in np.concatenate(each, axis=1)]], good

    def ready(self, table: list[Row], t: int) -> None:
        """Do all of :meth:`apply` that may fail, here and elsewhere."""
        self.inner.ready(table[: self._rows], t)
        self.rounds.exchange()
        self._is_ready = True

    def apply(self, table: list[Row], t: int) -> None:
        """Write parameters and state of update ``t``, when all processes are ready to."""
        if not self._is_ready:
            self.ready(table, t)
        self._is_ready = False
        self.inner.apply(table[: self._rows], t)

    def metered(self) -> Any:
        """Refuse: norms are over all processes."""
        raise GradstepValueError("the norms of a step that several processes share are not kept.")


class Maker:
    """Makes the engines of a process: what :class:`gradstep.step.Step` takes for its ``engine``."""

    def __init__(self, kind: str, rounds: Rounds) -> None:
        self.kind, self.rounds, self.guard = kind, rounds, [True]

    def __call__(self, make: Any, program: Program, tensors: Sequence[Tensor], *more: Any, **options: Any) -> Any:
        """Return the engine for some tensors; ``make`` makes an ordinary one."""
        return Collective(make(self.kind, program, tensors, *more, **options), program, self.rounds, self.guard)
