"""A run: an iterator over the steps of an optimizer on an objective, which ends by stops and goes on after a crash."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gradstep.array.rows import Rows
from gradstep.array.tree import flatten
from gradstep.checkpoint import Rng
from gradstep.checkpoint.rng import put_back, states_as_json, taken
from gradstep.checkpoint.transfer import uninterrupted
from gradstep.engine.eager import within
from gradstep.errors import GradstepTypeError, NonFiniteError, ScalarError
from gradstep.files import AnyPath
from gradstep.locks import new_lock, refuse_reentry, turn
from gradstep.loop import start
from gradstep.loop import stop as stops
from gradstep.loop.batches import Cursor, UsedUpError
from gradstep.loop.bounds import Constraints
from gradstep.loop.direction import VALUE, Mode
from gradstep.loop.evaluation import Evaluated, Functions, norm
from gradstep.loop.files import Checkpoints
from gradstep.loop.lbfgs import LineDescent, evaluations_left, method_of, refuse
from gradstep.loop.plateau import START, checked_plateau, reduce_lr
from gradstep.loop.progress import Before, Best, Counts, best_by, copied_memory
from gradstep.loop.signals import Signals
from gradstep.loop.state import WITHIN, RunState
from gradstep.loop.step import History, Step
from gradstep.loop.stop import Point, Reason, Stop
from gradstep.loop.user import Handed, raised
from gradstep.naming import html_table, whole
from gradstep.optimizer import Optimizer
from gradstep.rules.sgd import sgd


class Run(RunState):
    """The steps of an optimizer on an objective: ``for step in gs.Run(value_and_grad, x0, "adam", max_steps=500)``.

    Each turn evaluates objective and gradient at the current parameters, asks the stops whether the run ends there,
    and else makes one update. So a run of 500 steps evaluates 501 times, and ends at a point that has been evaluated.

    Parameters
    ----------
    value_and_grad
        ``params -> (value, gradients)``, or ``params, batch -> (value, gradients)`` with ``batches``: a number to be
        made small, and a nest like the parameters (or a dict by dotted name), of NumPy or of another library. It is
        handed the parameters read-only.
    x0
        Start: an array or a nest of arrays, or a list of numbers. It is copied; :attr:`params` moves. JAX's arrays,
        which cannot be changed, become NumPy's.
    rule
        As for :class:`gradstep.Optimizer`, which also takes ``**options``: ``lr`` and other hyperparameters,
        ``groups``, ``engine``, ``state_dtype`` ... Or ``"lbfgs"``, with those of :class:`gradstep.lbfgs`: a method that
        evaluates the objective several times for a step, which has to be deterministic.
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
    on_plateau
        :class:`gradstep.reduce_lr`, which lowers the learning rate where a number has stopped becoming better.
    callbacks
        Functions of a :class:`Step`, or of a step and this run, called after it; one that raises StopIteration ends the
        run.
    keep_best
        The number by which :attr:`best` is chosen: ``"value"``, a metric such as ``"val/loss"``, or False. None: the
        value, or, with ``batches`` or ``rng``, where it is noise, the metric ``"val/loss"`` where there is one.
    mode
        ``"max"`` makes the value large, as :func:`gradstep.maximize` in the rule does; the best point, targets and
        plateaus follow. For metrics that are looked at by name: ``{"val/accuracy": "max"}``. A ``loss`` is known to be
        made small; others have to be said.
    history
        Keep every step in :attr:`history`.
    on_nonfinite
        ``"stop"``, ``"skip"`` the batch, or ``"raise"`` where the objective or its gradient is not finite, or too large
        for the rule; a hundred in a row end a run that skips. Nothing has been changed in any case.
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
        The stops that were asked for, all in one; ``run.stop = gs.stop.steps(2000)`` gives more steps to a run that has
        ended.
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

    callbacks: list[Callable[..., Any]]
    _once = {  # noqa: RUF012 - as Closed declares it
        "params": "write into its arrays (run.params[...] = values), or make a new run",
        "opt": "make a new run",
    }

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
        on_plateau: reduce_lr | None = None,
        callbacks: Sequence[Callable[..., Any]] | Callable[..., Any] = (),
        keep_best: bool | str | None = None,
        mode: Mode | Mapping[str, Mode] | None = None,
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
        by_number = {"steps": max_steps, "evaluations": max_evaluations, "seconds": seconds, "grad_norm": grad_norm}
        stop, _ = start.ending(stop, on_nonfinite, **by_number, target=target)
        self._on_nonfinite = on_nonfinite
        self.params = start.parameters(x0)
        with start.hints(type(self).__init__, options):
            method = method_of(rule, start.own_numbers(options))
            if method is not None:
                given = {"batches": batches, "rng": rng, "bounds": bounds, "project": project, "on_plateau": on_plateau}
                refuse(given | options)
                rule, options = sgd, {key: x for key, x in options.items() if key not in start.own_numbers(options)}
            stage, self._directions, options = start.rule_and_directions(rule, mode, options)
        self.opt = Optimizer(self.params, stage, diagnostics=diagnostics, **options)
        self.callbacks = start.callbacks(callbacks)
        self._known: list[Callable[..., Any]] = []  # callbacks of the last step,
        self._taking: list[bool] = []  # and whether each takes the run, too
        self.history = History() if history else None
        self.reason, self.unsaved, self.last_metrics = None, None, {}
        self._rng = {} if rng is None else rng
        self._measures = diagnostics
        self._nest, self._leaves = flatten(self.params)
        self._groups = self.opt.parts().groups
        for made in self._groups.used.values():
            made.refuse_gathering("gs.Run", hands=["loss"])
        every = whole("evaluate_every", evaluate_every, least=1)
        self._is_noisy = batches is not None or bool(taken(self._rng))
        by = best_by(keep_best, self._is_noisy, evaluate is not None, self._directions)
        self._keeps = by if isinstance(keep_best, str) else None  # a metric that has to be there
        self._functions = Functions(value_and_grad, evaluate, every)
        self._reduces, self._plateau = on_plateau, START
        if on_plateau is not None:
            checked_plateau(on_plateau).lowered(self.opt)  # which refuses what it could not lower
        self.stop = stop
        self._handed = Handed(self._nest, self._leaves)
        self._cursor = None if batches is None else Cursor(batches)
        self._best = Best(by, self._nest.names, self._leaves, self._directions)
        own = self._nest, self._leaves, self.opt.state
        self._constraints = Constraints(bounds, project, self.params, *own, ascends=self._directions.ascends)
        self._line = None
        if method is not None:
            active = [k for k, group in enumerate(self._groups.of) if group is not None]
            sign = self._directions.sign(VALUE)
            self._line = LineDescent(method, self._nest, self._leaves, active, sign, self._objective_at)
        self._now = Counts()
        self._before = self._evaluated = None
        self._lock = self.opt.parts().lock
        self._turning = new_lock()
        self._is_changing, self._started = False, None
        self._signals = Signals()
        self._checkpoints = Checkpoints(save_to, save_every, save_seconds, keep)
        if not (resume and self.resume()):
            self._after_update()
        self._checkpoints.written(self.t)

    def _instead(self, name: str) -> str | None:
        return f"run.opt.{name} = ..." if name in self.opt.hyper or hasattr(self.opt, name) else None

    @property
    def stop(self) -> Stop:
        """The stops that were asked for, all in one. To set them lets a run that has ended go on."""
        return self._asked

    @stop.setter
    def stop(self, stop: Stop) -> None:
        asked, ends = start.ending(stop, self._on_nonfinite)
        self._functions.want(
            start.looked_at(asked, (self._keeps, self._reduces and self._reduces.metric), self._directions)
        )
        self._asked, self._ends, self.reason = asked, ends, None

    @property
    def on_nonfinite(self) -> str:
        """``"stop"``, ``"skip"`` or ``"raise"``."""
        return self._on_nonfinite

    @on_nonfinite.setter
    def on_nonfinite(self, policy: str) -> None:
        self._ends = start.ending(self._asked, policy)[1]
        self._on_nonfinite = policy

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
        if (evaluated := self.evaluated) is not None:
            return evaluated
        with turn(self._turning, "run.evaluation", WITHIN):
            return self._evaluate()

    def metrics(self) -> dict[str, float]:
        """Call ``evaluate`` at the current parameters."""
        return self._functions.measure(self._handed())

    def __repr__(self) -> str:
        method = self.opt.stage if self._line is None else "lbfgs"
        end = "" if self.reason is None else f", ended: {self.reason.message}"
        return f"<Run by {method!s}, t={self.opt.t}{end}>"

    def _repr_html_(self) -> str:
        last = {"value": f"{self.history[-1].value:.6g}"} if self.history else {}
        metrics = {key: f"{x:.6g}" for key, x in self.last_metrics.items()}
        end = "it has not ended" if self.reason is None else self.reason.message
        method = self.opt.stage if self._line is None else "lbfgs"
        return html_table({"run by": method, "updates made": self.t, **last, **metrics, "end": end})

    def __iter__(self) -> Iterator[Step]:
        """Iterate over the steps from the current parameters to the end. After a ``break`` another loop goes on."""
        numbers = [n for one in self._ends if isinstance(one, stops.signals) for n in one.numbers]
        with self._signals.caught(numbers):
            self._started = time.monotonic()
            try:
                while (step := self._advance()) is not None:
                    yield step
            finally:
                self._now.seconds, self._started = self.seconds, None

    def _advance(self) -> Step | None:
        """Make one turn, and what is due after it; None where the run has ended."""
        if self.reason is not None:
            return None
        refuse_reentry(self._turning, "the next step", WITHIN)
        with self._turning:
            try:
                made = self._turn()
            except (StopIteration, GeneratorExit) as error:  # which would end the loop without a word
                raise raised("the objective, or evaluate,", error) from error
        return self._end(made) if isinstance(made, Reason) else self._after_step(made)

    def _turn(self) -> Step | Reason:
        """Evaluate, ask the stops, step; return the step, or the reason to end."""
        try:
            evaluated = self._evaluate()
        except UsedUpError:
            return Reason("batches", "the batches are used up")
        reason = self._reason_at(evaluated)
        bad: NonFiniteError | None = None
        if not evaluated.problem:
            if reason is not None:
                bad = self.opt.look(evaluated.free)  # a step would do it, and the run ends here
            else:
                try:
                    return self._update(evaluated)
                except ScalarError:
                    raise  # the hyperparameters are at fault, not a gradient
                except NonFiniteError as error:
                    bad = error
        if bad is not None:
            self._evaluated = evaluated = replace(evaluated, problem=str(bad))
            reason = self._reason_at(evaluated)
        if evaluated.problem and self.on_nonfinite == "raise":
            raise NonFiniteError(evaluated.problem)
        if reason is None and self._gives_the_same():
            reason = Reason("non-finite", f"{evaluated.problem} The next evaluation would give the same")
        if reason is not None:
            return reason
        with self._lock:
            self._now.bad += 1
            self._now.skipped += 1
            self._before = self._evaluated = None
        return self._step(evaluated)

    def _evaluate(self) -> Evaluated:
        """Evaluate objective and gradient at the current parameters, on the next batch."""
        if (evaluated := self.evaluated) is not None:
            return evaluated
        self._after_update()  # an interrupt may have come between a step and this
        with self._lock:
            self._before = before = Before(self.t, self._now.copy(), taken(self._rng))
        try:
            evaluated = self._evaluated_on(() if self._cursor is None else (self._cursor(self._now.drawn),))
            now = before.counts.copy()
            now.evaluations += 1
            now.drawn += self._cursor is not None
            if evaluated.metrics:
                now.measured, self.last_metrics = self.t, evaluated.metrics
            if not evaluated.problem:
                now.first = evaluated.value if now.first is None else now.first
                self._best.offer(evaluated.value, evaluated.metrics, self.t)
            self._now, self._evaluated = now, evaluated
        except BaseException:  # it will be made again
            put_back(self._rng, before.random)
            self._now, self._before, self._evaluated = before.counts, None, None
            raise
        return evaluated

    def _gives_the_same(self) -> bool:
        """Return True where another evaluation here could give nothing else: no batches, and no numbers were drawn."""
        if self._cursor is not None or self._before is None:
            return False
        return states_as_json(taken(self._rng)) == states_as_json(self._before.random)

    def _evaluated_on(self, batch: tuple[Any, ...]) -> Evaluated:
        """Call the user's functions, and hold what points out of a bound."""
        known = None if self._line is None else self._line.known(self.t)
        evaluated = self._functions(self._handed(), batch, self.t, self._now.measured != self.t, known)
        if (grads := self._handed.gradients(evaluated.grads)) is not evaluated.grads:
            evaluated = replace(evaluated, grads=grads, free=grads)
        if self._constraints.box is None:
            return evaluated
        leaves, blocked = self._constraints.box.held(self._leaves, self._nest.leaves(evaluated.grads, "gradients"))
        return replace(evaluated, free=dict(zip(self._nest.names, leaves, strict=True)), blocked=blocked)

    def _reason_at(self, evaluated: Evaluated) -> Reason | None:
        """Ask the stops; they may be asked again, for each time they begin with their memory of before this point."""
        assert self._before is not None  # noqa: S101 - this point has been evaluated
        self._now.stop = copied_memory(self._before.counts.stop)
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
            directions=self._directions,
        )
        return self._ends.check(point, self._now.stop)

    def _objective_at(self, leaves: list[Any]) -> tuple[float, Any]:
        """Evaluate the objective elsewhere; the gradients fit."""
        handed = Handed(self._nest, leaves)
        value, grads = self._functions.objective(handed())
        self.opt.fitting(grads := handed.gradients(grads))
        return value, grads

    def _descend(self, line: LineDescent, evaluated: Evaluated) -> Step | Reason:
        """Search along a line, and step to what is found there."""
        if any(type(g) is Rows for g in self._nest.leaves(evaluated.grads, "gradients")):
            raise GradstepTypeError("lbfgs needs whole gradients, and was given gs.rows. Nothing was changed.")
        most = evaluations_left(self._ends, self.evaluations)
        found = line.search(self.t, evaluated.value, evaluated.grads, most)
        if found.direction is None:
            self._now.evaluations += found.evaluations
            return found.reason(most, self.evaluations)
        size = norm(self.opt.fitting(evaluated.free)) if self._measures else math.nan
        self.opt.lr = found.alpha
        self.opt.step(found.direction)
        self._now.evaluations += found.evaluations
        self._evaluated = None
        self._after_update()
        done = self.opt.diagnostics if self._measures else None
        return self._step(evaluated, grad_norm=size, update_ratio=math.nan if done is None else done.update_ratio)

    def _reduce(self, reduces: reduce_lr, evaluated: Evaluated) -> None:
        """Lower the learning rate where that is due: once at each t, however often this point is evaluated."""
        x = reduces.number(evaluated.value, evaluated.metrics)
        if x is None or self._plateau["t"] == self.t:
            return
        memory, is_due = reduces.after(self._plateau, x, self._directions.sign(reduces.metric or VALUE), self.t)
        lowered = reduces.lowered(self.opt) if is_due else []

        def act() -> None:
            for place, key, value in lowered:
                place[key] = value
            self._plateau = memory

        self._is_changing = True
        try:
            with self._lock:
                uninterrupted(act)()
        finally:
            self._is_changing = False

    def _update(self, evaluated: Evaluated) -> Step | Reason:
        if self._reduces is not None:
            self._reduce(self._reduces, evaluated)
        if self._line is not None:
            return self._descend(self._line, evaluated)
        lr = self.opt.lr if "lr" in self.opt.hyper else math.nan
        cut = self._is_clipped(evaluated)  # before the step, which may change the very array that is the gradient
        self.opt.step(evaluated.free, loss=evaluated.value)
        self._evaluated = None
        self._after_update()
        done = self.opt.diagnostics if self._measures else None
        if done is None:
            return self._step(evaluated, lr=lr, clipped=cut or self.opt.clipped)
        norms = {"grad_norm": done.grad_norm, "update_ratio": done.update_ratio, "unmoved": done.unmoved_share}
        return self._step(evaluated, lr=lr, clipped=cut or self.opt.clipped, **norms)

    def _step(self, evaluated: Evaluated, **what: Any) -> Step:
        counts = {"evaluations": self.evaluations, "skipped": self.skipped, "seconds": self.seconds}
        return Step(
            t=self.t, value=evaluated.value, blocked=evaluated.blocked, metrics=evaluated.metrics, **counts, **what
        )

    def _is_clipped(self, evaluated: Evaluated) -> bool:
        """Return True where a stage clips the gradient by value; what comes before it in the chain is not looked at."""
        if not any(made.cuts for made in self._groups.used.values()):
            return False
        limits = self._groups.limits(self.opt.hyper.raw, self.t)
        active = [limits[group] for group in self._groups.of if group is not None]
        return any(not within(g, limit) for g, limit in zip(self.opt.fitting(evaluated.free), active, strict=True))

    def _after_step(self, step: Step) -> Step:
        """Do what is due after a step: history, callbacks, checkpoint."""
        if self.history is not None:
            self.history.append(step)
        if self._known != self.callbacks:
            self._known, self._taking = list(self.callbacks), [start.takes_run(f) for f in self.callbacks]
        for callback, takes_run in zip(self._known, self._taking, strict=True):
            try:
                callback(step, self) if takes_run else callback(step)
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
        self._is_changing = True
        try:
            with self._lock:
                self._constraints.apply(self.t)
                self._now.bad, self._now.settled = 0, self.t
        finally:
            self._is_changing = False
