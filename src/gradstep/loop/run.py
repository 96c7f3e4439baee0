"""A run: an iterator over the steps of an optimizer on an objective, which ends by stops and goes on after a crash."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from gradstep.array.namespaces import copied, duplicate
from gradstep.array.tree import flatten
from gradstep.checkpoint import Checkpoint, Rng, as_saved, load, plan, user_metadata, write
from gradstep.checkpoint.rng import put_back, states_as_json, taken
from gradstep.engine.eager import within
from gradstep.errors import CheckpointError, GradstepTypeError, GradstepValueError, NonFiniteError, ScalarError
from gradstep.files import AnyPath
from gradstep.form.chain import program
from gradstep.form.hyper import at
from gradstep.loop import stop as stops
from gradstep.loop.batches import Cursor, UsedUpError
from gradstep.loop.bounds import Box, Projection
from gradstep.loop.evaluation import Evaluated, Functions, norm
from gradstep.loop.files import Checkpoints
from gradstep.loop.progress import Best, Counts, best_by, copied_memory
from gradstep.loop.signals import Signals
from gradstep.loop.step import History, Step
from gradstep.loop.stop import Point, Reason, Stop
from gradstep.naming import Closed, Uncopied, whole
from gradstep.optimizer import Optimizer


class Run(Closed, Uncopied):
    """The steps of an optimizer on an objective: ``for step in gs.Run(value_and_grad, x0, "adam", max_steps=500)``.

    Each turn evaluates objective and gradient at the current parameters, asks the stops whether the run ends there,
    and else makes one update. So a run of 500 steps evaluates 501 times, and ends at a point that has been evaluated.

    Parameters
    ----------
    value_and_grad
        ``params -> (value, gradients)``, or ``params, batch -> (value, gradients)`` with ``batches``: a number to be
        made small, and a nest like the parameters (or a dict by dotted name).
    x0
        Start: an array or a nest of arrays, or a list of numbers. It is copied; :attr:`params` moves.
    rule
        As for :class:`gradstep.Optimizer`, which also takes ``**options``: ``lr`` and other hyperparameters,
        ``groups``, ``engine``, ``state_dtype`` ...
    stop
        A stop of :mod:`gradstep.stop`, or several as ``a | b`` and ``a & b``.
    max_steps, max_evaluations, seconds, grad_norm, target
        Further stops by their usual numbers; whichever comes first ends the run.
    batches
        :class:`gradstep.Batches`, a function of the batch's number, or an iterable.
    evaluate
        ``params -> number`` or ``-> {name: number}``, called before step 1 and then every ``evaluate_every`` steps;
        ``val/loss`` is its number, ``val/name`` one of several.
    bounds
        ``(low, high)``, SciPy's forms, or ``{"pattern": (low, high)}``: see :class:`gradstep.loop.bounds.Box`.
    project
        Called at the start and after each update with the parameters, which it changes in place to where they may be.
        It has the last word where there are bounds too.
    callbacks
        Functions of a :class:`Step`, called after it; one that raises StopIteration ends the run.
    keep_best
        The number by which :attr:`best` is chosen: ``"value"``, a metric such as ``"val/loss"``, or False. None: the
        value, or, with batches, whose values are noise, the metric ``"val/loss"`` where there is one.
    history
        Keep every step in :attr:`history`.
    on_nonfinite
        ``"stop"``, ``"skip"`` the batch, or ``"raise"`` where the objective or its gradient is not finite, or too large
        for the rule. Nothing has been changed in any case.
    save_to, save_every, save_seconds, keep
        A checkpoint's path, after how many steps or seconds it is written, and how many are kept; it is also written
        at the end. When the disk is full the run goes on, with a warning.
    resume
        Go on from ``save_to``, if it is there.
    rng
        A random generator of yours (or a dict of several), whose state is saved and restored with the run.
    diagnostics
        Give each step ``grad_norm`` and ``update_ratio``.

    Attributes
    ----------
    params
        The current parameters: a nest like ``x0``.
    opt
        Its :class:`gradstep.Optimizer`; ``run.opt.lr = 1e-4`` works between steps.
    stop
        The stops, all in one.
    reason
        The reason for which the run ended (:class:`gradstep.stop.Reason`), or None.
    history
        All steps since the run was begun or resumed.
    last_metrics
        The metrics that ``evaluate`` gave last.
    unsaved
        The error by which the last checkpoint could not be written, or None.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For what does not fit, before anything is evaluated.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> run = gs.Run(lambda x: (float(x @ x), 2 * x), np.array([3.0, 4.0]), "sgd", lr=0.25, grad_norm=1e-3)
    >>> [round(step.value, 3) for step in run][:3], run.reason.kind
    ([25.0, 6.25, 1.562], 'converged')
    """

    params: Any
    opt: Optimizer
    stop: Stop
    on_nonfinite: str
    callbacks: list[Callable[[Step], Any]]
    history: History | None
    reason: Reason | None
    unsaved: OSError | None
    last_metrics: Mapping[str, float]

    _rather = "write its state with run.save(path), and go on from it in a run made like this one, with restore(path)."

    def __init__(
        self,
        value_and_grad: Callable[..., Any],
        x0: Any,
        rule: Any = "adam",
        *,
        stop: Stop | None = None,
        max_steps: int | None = None,
        max_evaluations: int | None = None,
        seconds: float | None = None,
        grad_norm: float | None = None,
        target: float | None = None,
        batches: Callable[[int], Any] | Iterable[Any] | None = None,
        evaluate: Callable[[Any], Any] | None = None,
        evaluate_every: int = 100,
        bounds: Any = None,
        project: Callable[[Any], Any] | None = None,
        callbacks: Sequence[Callable[[Step], Any]] | Callable[[Step], Any] = (),
        keep_best: bool | str | None = None,
        history: bool = True,
        on_nonfinite: str = "stop",
        save_to: AnyPath | None = None,
        save_every: int | None = None,
        save_seconds: float | None = None,
        keep: int = 2,
        resume: bool = False,
        rng: Rng | None = None,
        diagnostics: bool = True,
        **options: Any,
    ) -> None:
        if on_nonfinite not in ("stop", "skip", "raise"):
            raise GradstepValueError(f'on_nonfinite must be "stop", "skip" or "raise", not {on_nonfinite!r}.')
        by_number = {"steps": max_steps, "evaluations": max_evaluations, "seconds": seconds, "grad_norm": grad_norm}
        self.stop = _stops(stop, on_nonfinite == "stop", **by_number, target=target)
        self.on_nonfinite = on_nonfinite
        self.params = _begin(x0)
        self.opt = Optimizer(self.params, rule, diagnostics=diagnostics, **options)
        self.callbacks = _callbacks(callbacks)
        self.history = History() if history else None
        self.reason, self.unsaved, self.last_metrics = None, None, {}
        self._rng: Rng = {} if rng is None else rng
        self._measures = diagnostics
        self._nest, self._leaves = flatten(self.params)
        made = program(self.opt.stage)
        made.refuse_gathering("gs.Run")
        self._value_limits = made.cuts
        every = whole("evaluate_every", evaluate_every, least=1)
        self._functions = Functions(value_and_grad, evaluate, every, _metrics_of(self.stop, keep_best))
        self._cursor = None if batches is None else Cursor(batches)
        self._best = Best(best_by(keep_best, batches is not None, evaluate is not None), self._nest.names, self._leaves)
        self._limit(bounds, project)
        self._now = Counts()
        self._before = self._now  # as it was before the evaluation at hand
        self._random_before = taken(self._rng)
        self._evaluated: Evaluated | None = None
        self._started: float | None = None
        self._signals = Signals()
        self._checkpoints = Checkpoints(save_to, save_every, save_seconds, keep)
        if not (resume and self.resume()):
            self._after_update()
        self._checkpoints.written(self.t)

    def _limit(self, bounds: Any, project: Callable[[Any], Any] | None) -> None:
        """Take bounds and projection, which also hold the float32 copies of parameters in fewer bits."""
        states = [self.opt.state.get(name, {}) for name in self._nest.names]
        self._masters = {k: state["master"] for k, state in enumerate(states) if "master" in state}
        self._box = None
        if bounds is not None:
            self._box = Box(bounds, self._nest.names, self._leaves, self.opt.state, ascends=_ascends(self.opt))
        self._project = None if project is None else Projection(project, self.params, self._leaves, self._masters)

    def _instead(self, name: str) -> str | None:
        return f"run.opt.{name} = ..." if name in self.opt.hyper or hasattr(self.opt, name) else None

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

    @property
    def evaluated(self) -> Evaluated | None:
        """Objective and gradient at the current parameters, if they have been evaluated."""
        return self._evaluated if self._evaluated is not None and self._evaluated.t == self.t else None

    def evaluation(self) -> Evaluated:
        """Return objective and gradient at the current parameters; they are evaluated if they have not been.

        Raises
        ------
        GradstepValueError
            When the batches are used up.
        """
        return self._evaluate()

    def metrics(self) -> dict[str, float]:
        """Call ``evaluate`` at the current parameters."""
        return self._functions.measure(self.params)

    def __iter__(self) -> Iterator[Step]:
        """Iterate over the steps from the current parameters to the end. After a ``break`` another loop goes on."""
        numbers = [n for one in self.stop if isinstance(one, stops.signals) for n in one.numbers]
        with self._signals.caught(numbers):
            self._started = time.monotonic()
            try:
                while (step := self._advance()) is not None:
                    yield step
            finally:
                self._now.seconds, self._started = self.seconds, None

    def _advance(self) -> Step | None:
        """Make one turn: evaluate, ask the stops, step; None where the run has ended."""
        if self.reason is not None:
            return None
        try:
            evaluated = self._evaluate()
        except UsedUpError:
            return self._end(Reason("batches", "the batches are used up"))
        reason = self._reason_at(evaluated)
        bad: NonFiniteError | None = None
        if not evaluated.problem:
            if reason is not None:
                bad = self.opt.look(evaluated.free)  # a step would do it, and the run ends here
            else:
                try:
                    return self._after_step(self._update(evaluated))
                except ScalarError:
                    raise  # the hyperparameters are at fault, not a gradient
                except NonFiniteError as error:
                    bad = error
        if bad is not None:
            self._evaluated = evaluated = replace(evaluated, problem=str(bad))
            reason = self._reason_at(evaluated)
        if evaluated.problem and self.on_nonfinite == "raise":
            raise NonFiniteError(evaluated.problem)
        if reason is None and self._cursor is None:
            reason = Reason(
                "non-finite", f"{evaluated.problem} Without batches the next evaluation would give the same"
            )
        if reason is not None:
            return self._end(reason)
        self._evaluated = None
        self._now.bad += 1
        self._now.skipped += 1
        return self._after_step(self._step(evaluated))

    def _evaluate(self) -> Evaluated:
        """Evaluate objective and gradient at the current parameters, on the next batch."""
        if (evaluated := self.evaluated) is not None:
            return evaluated
        self._after_update()  # an interrupt may have come between a step and this
        random = taken(self._rng)
        try:
            batch = () if self._cursor is None else (self._cursor.next(),)
            evaluated = self._functions(self.params, batch, self.t, self._now.measured != self.t)
            if self._box is not None:
                leaves, blocked = self._box.held(self._leaves, self._nest.leaves(evaluated.grads, "gradients"))
                evaluated = replace(evaluated, free=dict(zip(self._nest.names, leaves, strict=True)), blocked=blocked)
        except BaseException:
            put_back(self._rng, random)  # the evaluation failed, and will be made again
            raise
        self._before, self._random_before, self._evaluated = self._now.copy(), random, evaluated
        self._now.evaluations += 1
        if self._cursor is not None:
            self._cursor.advance()
            self._now.drawn = self._cursor.drawn
        if evaluated.metrics:
            self._now.measured, self.last_metrics = self.t, evaluated.metrics
        if not evaluated.problem:
            self._best.offer(evaluated.value, evaluated.metrics, self.t)
        return evaluated

    def _reason_at(self, evaluated: Evaluated) -> Reason | None:
        """Ask the stops; they may be asked again, for each time they begin with their memory of before this point."""
        self._now.stop = copied_memory(self._before.stop)
        point = Point(
            t=self.t,
            evaluations=self.evaluations,
            seconds=self.seconds,
            value=evaluated.value,
            grad_norm=lambda limit=math.inf: norm(self.opt.fitting(evaluated.free), limit),
            problem=evaluated.problem,
            bad=self._now.bad + bool(evaluated.problem),
            metrics=evaluated.metrics,
            signal=self._signals.number,
        )
        return self.stop.check(point, self._now.stop)

    def _update(self, evaluated: Evaluated) -> Step:
        lr = self.opt.lr if "lr" in self.opt.hyper else math.nan
        cut = self._is_clipped(evaluated)  # before the step, which may change the very array that is the gradient
        self.opt.step(evaluated.free)
        self._evaluated = None
        self._after_update()
        done = self.opt.diagnostics if self._measures else None
        norms = {} if done is None else {"grad_norm": done.grad_norm, "update_ratio": done.update_ratio}
        return self._step(evaluated, lr=lr, clipped=cut or self.opt.clipped, **norms)

    def _step(self, evaluated: Evaluated, **what: Any) -> Step:
        counts = {"evaluations": self.evaluations, "skipped": self.skipped, "seconds": self.seconds}
        return Step(
            t=self.t, value=evaluated.value, blocked=evaluated.blocked, metrics=evaluated.metrics, **counts, **what
        )

    def _is_clipped(self, evaluated: Evaluated) -> bool:
        """Return True where a stage clips the gradient by value; what comes before it in the chain is not looked at."""
        if not self._value_limits:
            return False
        limit = min(at(self.opt.hyper[key], key, self.t, "run") for key in self._value_limits)
        return any(not within(g, limit) for g in self.opt.fitting(evaluated.free))

    def _after_step(self, step: Step) -> Step:
        """Do what is due after a step: history, callbacks, checkpoint."""
        if self.history is not None:
            self.history.append(step)
        for callback in self.callbacks:
            try:
                callback(step)
            except StopIteration:
                self._end(Reason("callback", "a callback raised StopIteration"))
        if self.reason is None and self._checkpoints.is_due(self.t):
            self._write()
        return step

    def _end(self, reason: Reason) -> None:
        self.reason = reason
        self._write()

    def _write(self) -> None:
        self.unsaved = self._checkpoints.write(self.t, lambda path, keep: self.save(path, keep=keep))

    def _after_update(self) -> None:
        """Apply bounds and projection, once after each update, and set the count of bad steps to 0."""
        if self._now.settled == self.t:
            return
        if self._box is not None:
            self._box.clip(self._leaves, self._masters)
        if self._project is not None:
            self._project()
        self._now.bad, self._now.settled = 0, self.t

    def save(self, path: AnyPath, *, extra: Any = None, keep: int = 1) -> None:
        """Write all that the rest of the run depends on; see :meth:`gradstep.Optimizer.save`."""
        arrays, manifest = as_saved(self.opt.parts())
        best, data = self._best.to_save()
        if self.evaluated is None:
            now, random = self._now, taken(self._rng)
        else:  # this point will be evaluated again
            now, random = self._before, self._random_before
        own = {"run": now.as_json(self.seconds), "best": data, "rng": states_as_json(random)}
        write(path, arrays | best, manifest | user_metadata(extra, None) | own, keep)

    def restore(self, path: AnyPath) -> Checkpoint:
        """Go on from a checkpoint of a run like this one, or of its optimizer.

        Raises
        ------
        CheckpointError
            When it is damaged or of another run. Nothing has been changed.
        """
        return self.take(load(path), path)

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

    def take(self, found: Checkpoint, path: AnyPath) -> Checkpoint:
        """Go on from what has been loaded from ``path``; see :meth:`restore`."""
        restore = plan(self.opt.parts(), found, path, rng=self._rng)
        alone = Counts(drawn=found.t, evaluations=found.t).as_json(0.0)  # saved by its optimizer
        best = found.metadata.get("best")
        try:
            now = Counts.from_json(found.metadata.get("run", alone))
            self._best.check(best, found.arrays)
        except CheckpointError as problem:
            raise CheckpointError(
                f"checkpoint {str(path)!r} is not of this run: {problem}. Nothing was changed."
            ) from None
        if self._cursor is not None:
            self._cursor.move(now.drawn)
        restore()
        self._best.take(best, found.arrays)
        self._now, self._evaluated, self.reason = now, None, None
        self._started = None if self._started is None else time.monotonic()
        self._signals.number = None
        if self.history is not None:
            self.history.clear()
        self._checkpoints.written(self.t)
        return found


def _stops(stop: Stop | None, at_non_finite: bool, **by_number: float | None) -> Stop:
    """Join all stops into one, which ends the run by the first that does."""
    named = [getattr(stops, name)(value) for name, value in by_number.items() if value is not None]
    return stops.any_of(*[stops.non_finite()] * at_non_finite, *named, *([] if stop is None else [stop]))


def _metrics_of(stop: Stop, keep_best: bool | str | None) -> set[str]:
    """Return the metrics that ``evaluate`` has to give: those of plateaus and of the best point."""
    wanted = {one.metric for one in stop if isinstance(one, stops.plateau) and one.metric is not None}
    return wanted | ({keep_best} if isinstance(keep_best, str) and keep_best != "value" else set())


def _callbacks(callbacks: Any) -> list[Callable[[Step], Any]]:
    functions = [callbacks] if callable(callbacks) or not isinstance(callbacks, Iterable) else list(callbacks)
    for f in functions:
        if not callable(f):
            raise GradstepTypeError(f"callbacks must be functions of a step, not {f!r}.")
    return functions


def _begin(x0: Any) -> Any:
    """Copy the start; a list of numbers, or an array of integers, becomes an array of float64."""
    if isinstance(x0, list | tuple) and x0 and all(isinstance(x, Real) for x in x0):
        x0 = np.array(x0)
    if isinstance(x0, np.ndarray) and x0.dtype.kind in "iu":
        x0 = x0.astype(np.float64)
    nest, leaves = flatten(x0)
    return nest.build([duplicate(x) for x in leaves])


def _ascends(opt: Optimizer) -> bool:
    """Return True for a chain that follows the gradient upwards."""
    return sum(part.rule.ascends for part in opt.stage.parts) % 2 == 1
