"""A run: an iterator over the steps of an optimizer on an objective, which ends by rules and goes on after a crash."""

import copy
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from gradstep.arrays import copied, put, to_numpy
from gradstep.checkpoint import Checkpoint, Rng, as_saved, load, plan, users, write
from gradstep.checkpoint.forms import is_like
from gradstep.errors import CheckpointError, GradstepTypeError, GradstepValueError, NonFiniteError, ScalarError
from gradstep.files import AnyPath, earlier
from gradstep.loop import stop as stops
from gradstep.loop.batches import Cursor
from gradstep.loop.bounds import Box
from gradstep.loop.objective import Here, Objective
from gradstep.loop.step import Step
from gradstep.loop.stop import Point, Reason, Rule
from gradstep.optimizer import Optimizer
from gradstep.tree import flatten

_BEST = "best/"
_FORM: Any = {
    "drawn": int,
    "evaluations": int,
    "seconds": float,
    "skipped": int,
    "bad": int,
    "measured": (int, None),
    "stop": {str: object},
    "best": ({"value": float, "t": int}, None),
}


class Run:
    """The steps of an optimizer on an objective: ``for step in gs.Run(value_and_grad, x0, "adam", max_steps=500)``.

    Each turn evaluates objective and gradient where the parameters stand, asks the rules whether the run ends there,
    and else makes one update. So a run of 500 steps evaluates 501 times, and ends at a point that has been evaluated.

    Parameters
    ----------
    value_and_grad
        ``params -> (value, gradients)``, or ``params, batch -> (value, gradients)`` with ``batches``: a number to be
        made small, and a nest like the parameters (or a dict by dotted name).
    x0
        Where to begin: an array or a nest of arrays, or a list of numbers. It is copied; :attr:`params` moves.
    rule
        As for :class:`gradstep.Optimizer`, which also takes ``**options``: ``lr`` and other hyperparameters,
        ``groups``, ``engine``, ``state_dtype`` ...
    stop
        A rule of :mod:`gradstep.stop`, or several as ``a | b`` and ``a & b``.
    max_steps, max_evaluations, seconds, grad_norm, target
        Further rules by their usual numbers; whichever comes first ends the run.
    batches
        :class:`gradstep.Batches`, a function of the batch's number, or an iterable.
    evaluate
        ``params -> number`` or ``-> {name: number}``, called before step 1 and then every ``evaluate_every`` steps;
        ``val/loss`` is its number, ``val/name`` one of several.
    bounds
        ``(low, high)``, SciPy's forms, or ``{"pattern": (low, high)}``: see :class:`gradstep.loop.bounds.Box`.
    project
        Called after each update with the parameters, which it changes in place to where they may be.
    callbacks
        Functions of a :class:`Step`, called after it; one that raises StopIteration ends the run.
    keep_best
        What :attr:`best` is the best of: ``"value"``, a metric such as ``"val/loss"``, or False. None: the value,
        or, with batches, whose values are noise, the metric ``"val/loss"`` where there is one.
    history
        Whether :attr:`history` keeps every step.
    on_nonfinite
        What to do where the objective or its gradient is not finite, or too large for the rule: ``"stop"``, ``"skip"``
        that batch, or ``"raise"``. Nothing has been changed in any case.
    save_to, save_every, save_seconds, keep
        A checkpoint's path, after how many steps or seconds it is written, and how many are kept; it is also written
        at the end. When the disk is full the run goes on, with a warning.
    resume
        Whether to go on from ``save_to``, if it is there.
    rng
        A random generator of yours (or a dict of several), whose state is saved and restored with the run.
    diagnostics
        Whether steps know ``grad_norm`` and ``update_ratio``.

    Attributes
    ----------
    params
        Where the run stands: a nest like ``x0``.
    opt
        Its :class:`gradstep.Optimizer`; ``run.opt.lr = 1e-4`` works between steps.
    stop
        The rules, all in one.
    reason
        Why the run ended (:class:`gradstep.stop.Reason`), or None.
    history
        All steps since the run was begun or resumed.

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

    def __init__(
        self,
        value_and_grad: Callable[..., Any],
        x0: Any,
        rule: Any = "adam",
        *,
        stop: Rule | None = None,
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
        usual: dict[Callable[[Any], Rule], Any] = {
            stops.steps: max_steps,
            stops.evaluations: max_evaluations,
            stops.seconds: seconds,
            stops.grad_norm: grad_norm,
            stops.target: target,
        }
        given = [kind(value) for kind, value in usual.items() if value is not None]
        ends = [stops.non_finite()] if on_nonfinite == "stop" else []
        self.stop = stops.any_of(*ends, *given, *([] if stop is None else [stop]))
        self.on_nonfinite = on_nonfinite
        self.params = _begin(x0)
        self._metered = diagnostics
        self.opt = Optimizer(self.params, rule, diagnostics=diagnostics, **options)
        self._nest, self._leaves = flatten(self.params)
        ascends = sum(part.rule.name == "maximize" for part in self.opt.stage.parts) % 2 == 1
        self._box = None if bounds is None else Box(bounds, self._nest.names, self._leaves, ascends)
        self._project = project
        self._cursor = None if batches is None else Cursor(batches)
        self._objective = Objective(value_and_grad, evaluate, stops.whole("evaluate_every", evaluate_every, least=1))
        self._best_by = _best_by(keep_best, batches is not None, evaluate is not None)
        self._best: list[Any] | None = None
        self._best_at: tuple[float, int] | None = None
        self.callbacks = [callbacks] if callable(callbacks) else list(callbacks)
        self.history: list[Step] | None = [] if history else None
        self.reason: Reason | None = None
        self.rng = rng
        self._memory: dict[str, Any] = {}
        self._here: Here | None = None
        self._evaluations = self._skipped = self._bad = 0
        self._measured: int | None = None  # the last t at which evaluate() was called
        self._seconds, self._since = 0.0, None
        self._signal: int | None = None
        self._save_to = None if save_to is None else Path(save_to)
        self._save_every, self._save_seconds, self._keep = save_every, save_seconds, keep
        self._mark = self._progress()
        self._keep_inside()
        if resume:
            self.resume()
        self._saved = (self.opt.t, time.monotonic())

    # What can be read at any time ------------------------------------------------------------------------------------

    @property
    def t(self) -> int:
        """Updates made."""
        return self.opt.t

    @property
    def evaluations(self) -> int:
        """Calls of the objective."""
        return self._evaluations

    @property
    def skipped(self) -> int:
        """Steps that did not happen because something was not finite."""
        return self._skipped

    @property
    def seconds(self) -> float:
        """Time that the run has taken, over all its resumptions."""
        return self._seconds + (0.0 if self._since is None else time.monotonic() - self._since)

    @property
    def best(self) -> Any:
        """Copies of the best parameters so far: a nest like ``params``; None where none are kept."""
        return None if self._best is None else self._nest.build([copied(x) for x in self._best])

    @property
    def best_value(self) -> float:
        """The value, or metric, of :attr:`best`; NaN where none is kept."""
        return math.nan if self._best_at is None else self._best_at[0]

    @property
    def best_t(self) -> int | None:
        """The updates that had been made at :attr:`best`."""
        return None if self._best_at is None else self._best_at[1]

    def here(self) -> Here:
        """Objective and gradient where the run stands; evaluated if they have not been."""
        return self._evaluate()

    # The loop --------------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Step]:
        """The steps from where the run stands to its end. After a ``break`` another loop goes on."""
        with self._catching():
            while (step := self._advance()) is not None:
                yield step

    def _advance(self) -> Step | None:
        if self.reason is not None:
            return None
        try:
            here = self._evaluate()
        except _UsedUp:
            return self._end(Reason("batches", "the batches are used up"))
        reason = self._check(here)
        if reason is None and not here.problem:
            try:
                step = self._update(here)
            except ScalarError:
                raise
            except NonFiniteError as error:
                self._here = here = replace(here, problem=str(error))
                reason = self._check(here)
            else:
                self._bad = 0
                return self._made(step)
        if here.problem and self.on_nonfinite == "raise":
            raise NonFiniteError(here.problem)
        if reason is None and self._cursor is None:
            reason = Reason("non-finite", f"{here.problem} Without batches the next evaluation would be the same")
        if reason is not None:
            return self._end(reason)
        self._here = None
        self._bad += 1
        self._skipped += 1
        return self._made(self._step(here, math.nan))

    def _evaluate(self) -> Here:
        """Objective and gradient where the parameters stand, on the batch that is next."""
        if self._here is not None and self._here.t == self.opt.t:
            return self._here
        self._keep_inside()  # an interrupt may have come between a step and this
        if self._since is None:
            self._since = time.monotonic()
        self._mark = self._progress()
        batch: tuple[Any, ...] = ()
        if self._cursor is not None:
            try:
                batch = (self._cursor.draw(),)
            except StopIteration:
                raise _UsedUp from None
        measure = self._measured != self.t
        here = self._objective(self.params, batch, self.t, measure)
        if here.metrics:
            self._measured = self.t
        self._evaluations += 1
        self._remember(here)
        if self._box is not None:
            leaves, blocked = self._box.held(self._leaves, self._nest.leaves(here.grads, "gradients"))
            here = replace(here, free=dict(zip(self._nest.names, leaves, strict=True)), blocked=blocked)
        self._here = here
        return here

    def _check(self, here: Here) -> Reason | None:
        """Why the run ends here; may be asked again, with what the rules remembered before."""
        self._memory = copy.deepcopy(self._mark["stop"])
        point = Point(
            t=self.t,
            evaluations=self._evaluations,
            seconds=self.seconds,
            value=here.value,
            grad_norm=lambda: here.grad_norm(self._nest),
            problem=here.problem,
            bad=self._bad + bool(here.problem),
            metrics=here.metrics,
            signal=self._signal,
        )
        return self.stop.check(point, self._memory)

    def _update(self, here: Here) -> Step:
        opt = self.opt
        lr = opt.lr if "lr" in opt.hyper else math.nan
        opt.step(here.free)
        self._here = None
        self._keep_inside()
        return self._step(here, lr, opt.diagnostics if self._metered else None, opt.clipped)

    def _step(self, here: Here, lr: float, diagnostics: Any = None, clipped: bool = False) -> Step:
        return Step(
            t=self.t,
            value=here.value,
            grad_norm=math.nan if diagnostics is None else diagnostics.grad_norm,
            update_ratio=math.nan if diagnostics is None else diagnostics.update_ratio,
            lr=lr,
            seconds=self.seconds,
            evaluations=self._evaluations,
            skipped=self._skipped,
            clipped=clipped,
            blocked=here.blocked,
            metrics=here.metrics,
        )

    def _made(self, step: Step) -> Step:
        """What is due after a step."""
        if self.history is not None:
            self.history.append(step)
        for callback in self.callbacks:
            try:
                callback(step)
            except StopIteration:
                self._end(Reason("callback", "a callback raised StopIteration"))
        if self.reason is None and self._save_is_due():
            self._save_or_warn()
        return step

    def _end(self, reason: Reason) -> None:
        self.reason = reason
        if self._save_to is not None:
            self._save_or_warn()

    def _keep_inside(self) -> None:
        if self._box is not None:
            masters = {
                k: own["master"]
                for k, name in enumerate(self._nest.names)
                if "master" in (own := self.opt.state.get(name, {}))
            }
            self._box.clip(self._leaves, masters)
        if self._project is not None:
            self._project(self.params)

    def _remember(self, here: Here) -> None:
        if self._best_by is None or here.problem:
            return
        value = here.value if self._best_by == "value" else here.metrics.get(self._best_by, math.nan)
        if not (math.isfinite(value) and (self._best_at is None or value < self._best_at[0])):
            return
        if self._best is None:
            self._best = [copied(x) for x in self._leaves]
        else:
            for kept, x in zip(self._best, self._leaves, strict=True):
                put(kept, to_numpy(x))
        self._best_at = value, self.t

    @contextmanager
    def _catching(self) -> Generator[None]:
        """Catch the signals that a rule asks for, while the run runs; one that comes twice has its usual effect."""
        wanted = [n for rule in self.stop if isinstance(rule, stops.signals) for n in rule.numbers]
        if not wanted or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {n: signal.getsignal(n) for n in wanted}

        def note(number: int, _frame: Any) -> None:
            if self._signal is not None:
                signal.signal(number, before[number])
                signal.raise_signal(number)
            self._signal = number

        for n in wanted:
            signal.signal(n, note)
        try:
            yield
        finally:
            for n, handler in before.items():
                signal.signal(n, handler)

    # Saving ----------------------------------------------------------------------------------------------------------

    def save(self, path: AnyPath, *, extra: Any = None, keep: int = 1) -> None:
        """Write all that the rest of the run depends on; see :meth:`gradstep.Optimizer.save`."""
        arrays, manifest = as_saved(self.opt.parts())
        if self._best is not None:
            arrays |= {f"{_BEST}{name}": to_numpy(x) for name, x in zip(self._nest.names, self._best, strict=True)}
        # What was evaluated where the run stands will be evaluated again.
        progress = self._progress() if self._here is None else self._mark | {"seconds": self.seconds}
        best = None if self._best_at is None else {"value": self._best_at[0], "t": self._best_at[1]}
        write(path, arrays, manifest | users(extra, self.rng) | {"run": {**progress, "best": best}}, keep)

    def restore(self, path: AnyPath) -> Checkpoint:
        """Go on from a checkpoint of a run like this one, or of its optimizer.

        Raises
        ------
        CheckpointError
            When it is damaged or of another run. Nothing has been changed.
        """
        found = load(path)
        return self._restore(found, path)

    def resume(self) -> bool:
        """Go on from ``save_to``, or from the file kept before it where that one is damaged; False if there is none.

        Raises
        ------
        CheckpointError
            When all of them are damaged, or of another run.
        """
        if self._save_to is None:
            raise GradstepValueError("resume needs save_to=, the path of the checkpoint.")
        damaged: CheckpointError | None = None
        for path in (earlier(self._save_to, k) for k in range(max(1, self._keep))):
            try:
                found = load(path)
            except FileNotFoundError:
                continue
            except CheckpointError as error:
                damaged = damaged or error
                continue
            self._restore(found, path)
            if damaged is not None:
                warnings.warn(f"{damaged} The run goes on from {str(path)!r}.", RuntimeWarning, stacklevel=2)
            return True
        if damaged is not None:
            raise damaged
        return False

    def _restore(self, found: Checkpoint, path: AnyPath) -> Checkpoint:
        restore = plan(self.opt.parts(), found, path, rng=self.rng)
        run = found.metadata.get("run", {**_NEW, "drawn": found.t, "evaluations": found.t})
        best = None
        if not is_like(run, _FORM):
            raise CheckpointError(f"checkpoint {str(path)!r} has a run that makes no sense. Nothing was changed.")
        if run["best"] is not None and self._best_by is not None:
            best = [found.arrays.get(f"{_BEST}{name}") for name in self._nest.names]
            fits = all(y is not None and y.shape == x.shape for x, y in zip(self._leaves, best, strict=True))
            if not fits:
                raise CheckpointError(f"checkpoint {str(path)!r} lacks the best parameters. Nothing was changed.")
        if self._cursor is not None:
            self._cursor.move(run["drawn"])
        restore()
        self._best_at = None if best is None else (run["best"]["value"], run["best"]["t"])
        self._best = None if best is None else [copied(x) for x in self._leaves]
        for kept, x in zip(self._best or (), best or (), strict=True):
            put(kept, np.asarray(x))
        self._evaluations, self._skipped, self._bad = run["evaluations"], run["skipped"], run["bad"]
        self._measured, self._memory, self._seconds = run["measured"], run["stop"], run["seconds"]
        self._since = self._here = self.reason = self._signal = None
        if self.history is not None:
            self.history.clear()
        return found

    def _progress(self) -> dict[str, Any]:
        """All that the rest of the run depends on besides the optimizer, where no evaluation is under way."""
        return {
            "drawn": 0 if self._cursor is None else self._cursor.drawn,
            "evaluations": self._evaluations,
            "seconds": self.seconds,
            "skipped": self._skipped,
            "bad": self._bad,
            "measured": self._measured,
            "stop": copy.deepcopy(self._memory),
        }

    def _save_is_due(self) -> bool:
        if self._save_to is None:
            return False
        t, at = self._saved
        by_steps = self._save_every is not None and self.t - t >= self._save_every
        return by_steps or (self._save_seconds is not None and time.monotonic() - at >= self._save_seconds)

    def _save_or_warn(self) -> None:
        assert self._save_to is not None  # noqa: S101 - asked before
        try:
            self.save(self._save_to, keep=self._keep)
        except OSError as error:
            text = f"the checkpoint {str(self._save_to)!r} could not be written: {error.strerror or error}; "
            warnings.warn(f"{text}the one before is as it was, and the run goes on.", RuntimeWarning, stacklevel=2)
        self._saved = (self.t, time.monotonic())


_NEW = {"seconds": 0.0, "skipped": 0, "bad": 0, "measured": None, "stop": {}, "best": None}


class _UsedUp(Exception):  # noqa: N818 - no error
    """There are no more batches."""


def _begin(x0: Any) -> Any:
    """A copy of where to begin; a list of numbers, or an array of integers, as one of float64."""
    if isinstance(x0, list | tuple) and x0 and all(isinstance(x, Real) for x in x0):
        x0 = np.array(x0)
    if isinstance(x0, np.ndarray) and x0.dtype.kind in "iu":
        x0 = x0.astype(np.float64)
    nest, leaves = flatten(x0)
    return nest.build([copied(x) for x in leaves])


def _best_by(keep: bool | str | None, has_batches: bool, has_metric: bool) -> str | None:
    if isinstance(keep, str):
        if keep != "value" and not has_metric:
            raise GradstepValueError(f"keep_best is {keep!r}, but there is no evaluate= that gives it.")
        return keep
    if keep is None:
        return "value" if not has_batches else "val/loss" if has_metric else None
    if not isinstance(keep, bool):
        raise GradstepTypeError(f"keep_best must be True, False or a name, not {keep!r}.")
    return "value" if keep else None
