"""The state of a run: the numbers that it shows, and its way to a file and back."""

import time
from collections.abc import Mapping
from typing import Any

from gradstep.array.namespaces import copied
from gradstep.array.tree import Nest
from gradstep.checkpoint import Checkpoint, Rng, as_saved, load, plan, user_metadata, write
from gradstep.checkpoint.rng import states_as_json, taken
from gradstep.checkpoint.transfer import uninterrupted
from gradstep.errors import CheckpointError, InUseError
from gradstep.files import AnyPath
from gradstep.locks import turn
from gradstep.loop.batches import Cursor
from gradstep.loop.bounds import Constraints
from gradstep.loop.direction import VALUE, Directions
from gradstep.loop.evaluation import Evaluated
from gradstep.loop.files import Checkpoints
from gradstep.loop.lbfgs import LineDescent, last_point, lbfgs
from gradstep.loop.plateau import START, Memory, read, reduce_lr
from gradstep.loop.progress import Before, Best, Counts
from gradstep.loop.signals import Signals
from gradstep.loop.step import History
from gradstep.loop.stop import Reason
from gradstep.naming import Closed, Uncopied
from gradstep.optimizer import Optimizer

WITHIN = "an evaluation or a step of the same run"


class RunState(Closed, Uncopied):
    """All that the rest of a run depends on; :class:`gradstep.Run` makes its steps.

    Attributes
    ----------
    params, opt, history, reason, unsaved, last_metrics
        As a run has them.
    """

    params: Any
    opt: Optimizer
    history: History | None
    reason: Reason | None
    unsaved: OSError | None
    last_metrics: Mapping[str, float]

    _nest: Nest
    _rng: Rng
    _directions: Directions
    _is_noisy: bool
    _now: Counts
    _before: Before | None
    _evaluated: Evaluated | None
    _best: Best
    _cursor: Cursor | None
    _constraints: Constraints
    _reduces: reduce_lr | None
    _plateau: Memory
    _line: LineDescent | None
    _signals: Signals
    _checkpoints: Checkpoints
    _started: float | None
    _lock: Any  # the optimizer's
    _turning: Any  # held while a turn is made
    _is_changing: bool  # within the lock: arrays and counts do not belong together

    @property
    def method(self) -> lbfgs | None:
        """The method that makes directions and their lengths, where a rule does not; :attr:`opt` makes its steps."""
        return None if self._line is None else self._line.method

    @property
    def t(self) -> int:
        """Updates made."""
        return self.opt.t

    @property
    def evaluations(self) -> int:
        """Calls of the objective."""
        return self._now.evaluations

    @property
    def skipped(self) -> int:
        """Steps that did not happen because something was not finite."""
        return self._now.skipped

    @property
    def seconds(self) -> float:
        """Time that the run has taken, over all its resumptions."""
        return self._now.seconds + (0.0 if self._started is None else time.monotonic() - self._started)

    @property
    def signal(self) -> int | None:
        """The number of a signal that has come, of those that a stop asks for, or None."""
        return self._signals.number

    @property
    def best(self) -> Any:
        """Copies of the best parameters so far: a nest like ``params``; None where none are kept."""
        arrays = self._best.arrays
        return None if arrays is None else self._nest.build([copied(x) for x in arrays])

    @property
    def best_value(self) -> float:
        """The value, or metric, of :attr:`best`; NaN where there is none."""
        return self._best.value

    @property
    def best_t(self) -> int | None:
        """The updates that had been made at :attr:`best`; None where there is none."""
        return None if self._best.arrays is None else self._best.t

    @property
    def best_by(self) -> str | None:
        """The number by which :attr:`best` is chosen: ``"value"``, a metric, or None."""
        return self._best.by

    def is_worse(self, value: float) -> bool:
        """Return True for a value that is worse than that of the start; of noise nobody can say it."""
        first, sign = self._now.first, self._directions.sign(VALUE)
        return not self._is_noisy and first is not None and sign * value > sign * first

    def save(self, path: AnyPath, *, extra: Any = None, keep: int = 1) -> None:
        """Write all that the rest of the run depends on; see :meth:`gradstep.Optimizer.save`.

        It may be called at any time: by the objective, a callback, a signal handler, another thread. The file is of one
        point of the run, at which it goes on: before the evaluation that is being made or has been made, or after the
        last update.

        Raises
        ------
        InUseError
            When a signal handler calls it while arrays are being written one after the other.
        """
        if self._is_changing and self._lock._is_owned():
            raise InUseError(
                "the run's parameters are being changed just now, by bounds, a projection or a restoration; save when "
                "that is done."
            )
        with self._lock:
            arrays, manifest = as_saved(self.opt.parts())
            best, data = self._best.to_save()
            before = self._before
            if before is None or before.t != manifest["optimizer"]["t"]:
                before = Before(self.t, self._now, taken(self._rng))
            own = {"run": before.counts.as_json(self.seconds), "best": data, "rng": states_as_json(before.random)}
            line, kept = ({}, None) if self._line is None else self._line.to_save()
            own |= {} if kept is None else {"line": kept}
            own |= {} if self._reduces is None else {"plateau": dict(self._plateau)}
            write(path, arrays | best | line, manifest | user_metadata(extra, None) | own, keep)

    def restore(self, path: AnyPath, *, strict: bool = True) -> Checkpoint:
        """Go on from a checkpoint of a run like this one, or of its optimizer.

        Parameters
        ----------
        path
            A file that :meth:`save` wrote.
        strict
            As for :meth:`gradstep.Optimizer.restore`. If not, a best point that does not fit the parameters is left.

        Returns
        -------
        Checkpoint
            The file's content; ``anew`` and ``converted`` say what was not simply taken.

        Raises
        ------
        CheckpointError
            When it is damaged or of another run. Nothing has been changed.
        InUseError
            When it is called within an evaluation or a step of this run; or by another thread, and none of the turns
            that this run makes meanwhile ends for it within ten seconds: the objective may be waiting for that thread.
        """
        return self.take(load(path), path, strict=strict)

    def resume(self) -> bool:
        """Go on from ``save_to``, or from the file kept before it where that one is damaged; False if there is none.

        Raises
        ------
        CheckpointError
            When all of them are damaged, or of another run. Nothing has been changed.
        """
        newest = self._checkpoints.newest()
        if newest is not None:
            self.take(*newest)
        return newest is not None

    def take(self, found: Checkpoint, path: AnyPath, *, strict: bool = True) -> Checkpoint:
        """Go on from what has been loaded from ``path``; see :meth:`restore`."""
        with turn(self._turning, "run.restore", WITHIN), self._lock:
            restore = plan(self.opt.parts(), found, path, strict=strict, rng=self._rng)
            alone = Counts(drawn=found.t, evaluations=found.t).as_json(0.0)  # saved by its optimizer
            best = found.metadata.get("best")
            if not strict and not self._best.fits(best, found.arrays):
                best = None
            try:
                now = Counts.from_json(found.metadata.get("run", alone))
                self._best.check(best, found.arrays)
                plateau = START if self._reduces is None else read(found.metadata.get("plateau"))
                line = last_point(self._line, found.metadata.get("line"), found.arrays)
            except CheckpointError as problem:
                raise CheckpointError(
                    f"checkpoint {str(path)!r} is not of this run: {problem}. Nothing was changed."
                ) from None
            if self._cursor is not None:
                self._cursor.move(now.drawn)

            def act() -> None:
                nonlocal found
                found = restore()
                self._best.take(best, found.arrays)
                self._plateau = plateau
                if self._line is not None:
                    self._line.take(line)
                self._now, self._before, self._evaluated, self.reason = now.copy(), None, None, None
                self._constraints.done = None
                self._started = None if self._started is None else time.monotonic()
                self._signals.number = None
                if self.history is not None:
                    self.history.clear()
                self._checkpoints.written(self.t)

            self._is_changing = True
            try:
                uninterrupted(act)()
            finally:
                self._is_changing = False
        return found
