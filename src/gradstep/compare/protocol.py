"""The protocol: what is run, so that every optimizer gets the same trials from the same starts on the same batches.

Each optimizer has the same number of trials, out of a declared log-space (:mod:`gradstep.compare.search`), with seeds
of their own; the best of them is run again with fresh seeds, and those runs alone judge. All of this is a search; a
study has one or more, each with points and seeds of its own, so that what tuning leaves to chance shows. A seed settles
the initial parameters and the batches, and nothing else is random: runs of one seed are paired. Targets are levels of
training or validation data; test data give the final figures alone. All runs go all of their steps.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, get_args

import numpy as np

import gradstep
from gradstep.compare.contender import Contender, contender
from gradstep.compare.own_stage import is_file, look_at_stage
from gradstep.compare.problems import FULL, QUICK, Problem, Task, find_problem
from gradstep.compare.problems.own import ChangedError, Sight, described, is_own, look, own_problem
from gradstep.compare.problems.problem import TIERS
from gradstep.compare.problems.targets import settled
from gradstep.compare.processes import EndedError, apart
from gradstep.compare.record import (
    SEARCH_SEEDS,
    Goal,
    Options,
    PlannedRun,
    Ruleset,
    RunKey,
    RunRecord,
    Search,
    Source,
    Spec,
    Tune,
    read_shard,
)
from gradstep.compare.search import at, is_searched, moved, space, table
from gradstep.errors import GradstepError, GradstepValueError, NonFiniteError
from gradstep.loop.problem_file import refuse_within_a_file
from gradstep.naming import as_float, find, unknown
from gradstep.optimizer import Optimizer
from gradstep.text import read_names, short

DEFAULT_OPTIMIZERS = "sgd,momentum,nesterov,adagrad,rmsprop,adadelta,adam,adamax,adamw"
BEYOND = 1e6  # times the first loss (and 1): a run that gets there has diverged
SETS = {"quick": QUICK, "full": FULL}  # problems that are compared on together
FIRST_TUNING_SEED = 1000  # of a search, so choosing and judging never share a seed
MOST_STEPS, MOST_RUNS, MOST_SEARCHES = 10_000_000, 1_000_000, 100
MOST_ETA, MOST_RUNGS = 100, 10


@dataclass(frozen=True)
class Plan:
    """A study that is to be made: its spec, and what was found while that was read.

    Attributes
    ----------
    spec
        The spec.
    problems, contenders
        By label, in its order.
    notes
        Sentences on what is wrong and does not stop a study.
    """

    spec: Spec
    problems: Mapping[str, Problem]
    contenders: Mapping[str, Contender]
    notes: tuple[str, ...] = ()

    def going_on(self, spec: Spec) -> "Plan":
        """Return the plan with the spec of a study that was begun: the scales of its problems are as they were then."""
        problems = {
            label: replace(problem, scale=dict(spec.sources[label].scale)) if label in spec.sources else problem
            for label, problem in self.problems.items()
        }
        return replace(self, spec=spec, problems=problems)


def make_spec(
    problems: Sequence[str],
    optimizers: str = DEFAULT_OPTIMIZERS,
    *,
    target: str | None = None,
    vary: str | None = None,
    **options: Any,
) -> Plan:
    """Return the plan of a study; everything that can be wrong in it is found here, before the first run.

    Parameters
    ----------
    problems
        Names with options, as ``quadratic:condition=1000``; ``FILE.py:NAME``; or a set of problems, ``quick``.
    optimizers
        Comma-separated, with hyperparameters that are held: ``adam,momentum:momentum=0.95,keras.RMSprop``.
    target
        ``loss=0.1`` or ``accuracy=0.95``, in place of the one that a problem has.
    vary
        ``batch=32,128,512``: each problem with each of these values of an option.
    **options
        Of :class:`~gradstep.compare.record.Options`; ``searches`` is 3 for the set ``full`` unless it is given. An
        optimizer whose label holds all that would be searched has one trial.

    Raises
    ------
    GradstepValueError, GradstepTypeError, UserCodeError
        For unknown problems, options, optimizers or hyperparameters, any number out of range, and problem files that
        cannot be used.
    """
    refuse_within_a_file("a comparison")
    if options.get("searches") is None:
        options["searches"] = 3 if "full" in problems else 1
    chosen = _options(options)
    _refuse_ending(optimizers)
    contenders = read_contenders(optimizers)
    found, sources, notes = _problems(problems if vary is None else _varied(problems, vary))
    if chosen.ruleset == "defaults":
        for one in contenders.values():
            one.stage({})  # which may lack a learning rate
    goals = {label: goal for label, problem in found.items() if (goal := _goal_of(problem, contenders)) is not None}
    if target is not None:
        goals = {label: _given(target, problem, sources.get(label)) for label, problem in found.items()}
    spec = Spec(
        problems=tuple(found),
        optimizers=tuple(contenders),
        **chosen.effective(),
        goals=goals,
        sources=sources,
        stages={label: one.source for label, one in contenders.items() if one.source is not None},
        version=gradstep.__version__,
    )
    if (runs := len(found) * sum(total(spec, one) for one in contenders.values())) > MOST_RUNS:
        raise GradstepValueError(f"these would be {runs} runs; a study has at most {MOST_RUNS}.")
    if spec.share[1] > (most := len(parts(replace(spec, shard=None)))):
        raise GradstepValueError(
            f"shard {spec.shard} would be one of more parts than the study has: {most}, a search of an optimizer on a "
            f"problem each; give K/N with N up to that."
        )
    return Plan(spec, found, contenders, tuple(notes))


def read_contenders(labels: str, stages: Mapping[str, Source] | None = None) -> dict[str, Contender]:
    """Return the optimizers of a comma-separated text, by label; errors as :func:`make_spec`.

    ``stages`` has the files of those that are the user's own, as they were when a study began; None: as they are now.
    """
    found = [contender(named, (stages or {}).get(str(named))) for named in read_names(labels, words=True)]
    by_label = {one.label: one for one in found}
    if len(by_label) < len(found):
        raise GradstepValueError("two optimizers are of files of one name; rename a file, or the rule in it.")
    return by_label


def trials_of(spec: Spec, one: Contender) -> int:
    """Return the number of trials of an optimizer: one where nothing is searched."""
    return spec.trials if spec.ruleset == "tuned" and is_searched(one, spec.tune) else 1


def total(spec: Spec, one: Contender) -> int:
    """Return the number of runs of an optimizer on each problem, in all searches and shards."""
    return sum(part_total(spec, one, search) for search in range(spec.searches))


def part_total(spec: Spec, one: Contender, search: int) -> int:
    """Return the number of runs of one search of an optimizer on a problem; the first has the look at its steps."""
    return tuning_total(spec, one) + spec.seeds + (search == 0)


def tuning_total(spec: Spec, one: Contender) -> int:
    """Return how many of them choose."""
    trials = trials_of(spec, one)
    return trials * spec.tuning_seeds if trials > 1 else 0


def parts(spec: Spec) -> list[tuple[str, str, int]]:
    """Return (problem, optimizer, search) of all that a spec asks for, or of its shard.

    A part chooses its trial and judges it, and asks nothing of the others: so it can be made anywhere.
    """
    k, n = spec.share
    every = [(p, o, search) for search in range(spec.searches) for p in spec.problems for o in spec.optimizers]
    return every[k - 1 :: n]


def totals(spec: Spec, contenders: Mapping[str, Contender]) -> dict[tuple[str, str], int]:
    """Return the number of runs by problem and optimizer, of those that a spec, or its shard, has parts of."""
    out: dict[tuple[str, str], int] = {}
    for problem, optimizer, search in parts(spec):
        n = part_total(spec, contenders[optimizer], search)
        out[problem, optimizer] = out.get((problem, optimizer), 0) + n
    return out


def is_asked(spec: Spec, one: Contender, run: RunKey) -> bool:
    """Return True for a run that a part of a study has; whether its trial is the best of them is not looked at."""
    if run.phase == "tune":
        is_there = tuning_total(spec, one) > 0 and run.seed in tuning_seeds(spec, run.search)
    else:
        is_there = run.seed in judging_seeds(spec, run.search) if run.phase == "eval" else run.seed == 0
    return is_there and run.trial < trials_of(spec, one)


def tuning_seeds(spec: Spec, search: int) -> range:
    """The seeds by which the trials of a search are chosen."""
    first = SEARCH_SEEDS * search + FIRST_TUNING_SEED
    return range(first, first + spec.tuning_seeds)


def judging_seeds(spec: Spec, search: int) -> range:
    """The seeds that judge the best trial of a search."""
    return range(SEARCH_SEEDS * search, SEARCH_SEEDS * search + spec.seeds)


def hyper_of(spec: Spec, one: Contender, problem: Problem, search: int, trial: int) -> dict[str, float]:
    """Hyperparameters of a trial by the stored table; under the ruleset of defaults, the rate that it comes with."""
    if spec.ruleset == "tuned":
        return at(space(one, problem, spec.tune), moved(table()[trial], problem.name, search))
    own = one.defaults.get(one.rate or "")
    return {one.rate: float(own)} if one.rate and one.rate not in one.held and isinstance(own, float | int) else {}


def train(planned: PlannedRun) -> RunRecord:
    """Make one run. Whether it diverges or the problem's own code raises something, that is recorded, not raised.

    Raises
    ------
    ChangedError
        When the problem's file is not what it was.
    """
    began = time.perf_counter()
    record = _Record(planned)
    final: dict[str, float] = {}
    diverged, error, stopped = None, None, None
    try:
        problem = problem_of(planned.problem, planned.source)
        with np.errstate(all="ignore"):  # overflow is what diverging runs do
            task = problem.begin(planned.seed)
            diverged = _train(planned, problem, task, record)
            stopped = planned.until if diverged is None else None
            final = {} if (diverged, stopped) != (None, None) else _floats(task.evaluate("test"))
    except ChangedError:
        raise
    except (GradstepError, SystemExit) as raised:
        error = f"{planned.problem} left by SystemExit: {raised}." if isinstance(raised, SystemExit) else str(raised)
    return RunRecord(
        *planned.key,
        hyper=planned.hyper,
        steps=record.steps,
        batch_loss=record.batch_loss,
        loss=record.loss,
        accuracy=record.accuracy,
        final=final,
        diverged=diverged,
        error=error,
        stopped=stopped,
        health=record.health,
        seconds=time.perf_counter() - began,
    )


def problem_of(label: str, source: Source | None) -> Problem:
    """The problem of a label in a spec."""
    if source is None:
        return find_problem(label)
    return own_problem(f"{source.path}:{label.rpartition(':')[2]}", source.sha256)[0]


def started(planned: PlannedRun, problem: Problem, task: Task, **options: Any) -> Optimizer:
    """The optimizer of a run of a problem at its beginning, on one thread."""
    one = _one(planned.optimizer, planned.stage)
    return Optimizer(task.params, one.stage(planned.hyper, planned.steps or problem.steps), threads=1, **options)


@cache
def _one(label: str, stage: Source | None) -> Contender:
    [one] = read_contenders(label, {label: stage} if stage is not None else None).values()
    return one


class _Record:
    """The curves of a run while it is made."""

    def __init__(self, planned: PlannedRun) -> None:
        self.split: Any = planned.split
        self.steps: list[int] = []
        self.batch_loss: list[float] = []
        self.loss: list[float] = []
        self.accuracy: list[float] = []
        self.health: dict[str, list[float]] = {}

    def evaluated(self, task: Task) -> dict[str, float]:
        """Return the values of the task now, on the data of the target."""
        return _floats(task.evaluate(self.split))

    def add(self, step: int, batch_losses: list[float], values: Mapping[str, float]) -> bool:
        """Keep what ``step`` updates led to; False, and nothing kept, when the loss tells that the run diverged."""
        if self.lost(values["loss"]):
            return False
        self.steps.append(step)
        self.batch_loss.append(math.fsum(batch_losses) / len(batch_losses))
        self.loss.append(values["loss"])
        if "accuracy" in values:
            self.accuracy.append(values["accuracy"])
        return True

    def look(self, optimizer: Optimizer) -> None:
        """Keep the norms of the step before."""
        if (seen := optimizer.diagnostics) is None:
            return
        rate = seen.update_norm / seen.grad_norm if seen.grad_norm else 0.0 if not seen.update_norm else math.inf
        norms = {"grad_norm": seen.grad_norm, "update_ratio": seen.update_ratio, "rate": rate}
        for key, x in {**norms, "unmoved": seen.unmoved_share}.items():
            self.health.setdefault(key, []).append(x)

    def lost(self, loss: float) -> bool:
        """Return True for a loss that is not finite, or so far above the first that the run will not come back."""
        return not math.isfinite(loss) or (len(self.loss) > 0 and loss > BEYOND * (1 + abs(self.loss[0])))


def _floats(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values as floats, which JSON knows, whatever NumPy type a problem gives."""
    return {key: as_float(x) for key, x in values.items()}


def _train(planned: PlannedRun, problem: Problem, task: Task, record: _Record) -> int | None:
    """Make the updates of a run; return the update at which it diverged, or None."""
    metered = planned.phase == "health"
    optimizer = started(planned, problem, task, diagnostics=metered)
    steps = planned.steps or problem.steps
    losses: list[float] = []
    for step in range(steps):
        # Before the gradient, whose arrays a function may use again when it is called to evaluate.
        values = record.evaluated(task) if step % problem.every == 0 else None
        value, grads = task.value_and_grad(next(task.batches))
        loss = as_float(value)
        losses.append(loss)
        if record.lost(loss):
            return step
        if values is not None:
            if not record.add(step, losses, values):
                return step
            if step == planned.until:
                return None
            if metered:
                record.look(optimizer)
            losses.clear()
        try:
            optimizer.step(grads, loss=loss)
        except NonFiniteError:
            return step
    if not record.add(steps, losses or [record.batch_loss[-1]], record.evaluated(task)):
        return steps
    if metered:
        record.look(optimizer)
    return None


def _varied(texts: Sequence[str], vary: str) -> list[str]:
    """Return each problem with each value of an option."""
    key, _, values = (part.strip() for part in vary.partition("="))
    if not (key and values):
        raise GradstepValueError(f"cannot read what to vary from {vary!r}; write an option and values, batch=32,128.")
    out: list[str] = []
    for text in [name for given in texts for name in SETS.get(given, (given,))]:
        if is_own(text):
            raise GradstepValueError(
                f"{text} is a file, which has no options to vary; give one name for each form of it."
            )
        before = f"{text}{',' if ':' in text else ':'}{key}"
        out += [f"{before}={value.strip()}" for value in values.split(",")]
    return out


def _problems(texts: Sequence[str]) -> tuple[dict[str, Problem], dict[str, Source], list[str]]:
    """Problems by label, the files of those that are the user's, and what is to be said of their gradients."""
    found: dict[str, Problem] = {}
    sources: dict[str, Source] = {}
    notes: list[str] = []
    for text in [name for given in texts for name in SETS.get(given, (given,))]:
        if is_own(text):
            sight = _seen(text)
            problem = described(sight)
            sources[problem.name] = Source(sight.path, sight.sha256, tuple(sight.scale.items()))
            if sight.wrong is not None:
                notes.append(sight.wrong)
        else:
            problem = find_problem(text)
        if problem.name in found:
            raise GradstepValueError(f"{problem.name} is given twice; leave one out.")
        found[problem.name] = problem
    if not found:
        raise GradstepValueError("give a problem, such as digits-mlp, or a set of them, such as quick.")
    return found, sources, notes


def _seen(text: str) -> Sight:
    """Return what a problem file is at first sight; in another process, which it may end."""
    try:
        return apart(look, text)
    except EndedError as error:
        raise GradstepValueError(
            f"{text} ended the process that evaluated it first, by {error.how}; nothing was compared. "
            f"gradstep check {text} evaluates it alone."
        ) from None


def _refuse_ending(optimizers: str) -> None:
    """Refuse a file of optimizers that ends the process which runs it, before this one does."""
    for named in read_names(optimizers, words=True):
        if is_file(named.name):
            try:
                apart(look_at_stage, named.name)
            except EndedError as error:
                raise GradstepValueError(
                    f"{named.name} ended the process that ran it first, by {error.how}; nothing was compared."
                ) from None


def _has_accuracy(label: str, source: Source | None, split: Any) -> bool:
    return "accuracy" in problem_of(label, source).begin(0).evaluate(split)


def _goal_of(problem: Problem, contenders: Mapping[str, Contender]) -> Goal | None:
    """Return the target of a problem, or None, with its origin.

    A frozen one is of the baselines that do not compete, so that nobody runs against a level of its own; where all of
    them do, of all. It is the same for all contenders.
    """
    own, name = problem.target, problem.name.partition(":")[0]
    if own is None or math.isnan(own.level):
        return None
    if (found := settled(name)) is None:
        return Goal(own.metric, own.level, own.split, "problem", own.patience, own.easy, own.hard)
    there = competing(contenders, found.by)
    left = settled(name, there)
    levels, left_out = (found, ()) if left is None else (left, there)
    easy, middle, hard = (levels.levels[tier] for tier in TIERS)
    return Goal(
        own.metric, middle, own.split, "frozen", own.patience, easy, hard, levels.by, left_out, compete=left is None
    )


def competing(contenders: Mapping[str, Contender], rules: Sequence[str]) -> tuple[str, ...]:
    """Return those of the rules that are in a contender, whatever its numbers and stages, or another library's form.

    A variant of a rule has its name in front: ``lamb_keras``.
    """
    used = {rule.name for one in contenders.values() for rule in one.rules}
    return tuple(name for name in rules if any(x == name or x.startswith(f"{name}_") for x in used))


def _given(text: str, problem: Problem, source: Source | None) -> Goal:
    """The target that ``loss=0.1`` is for a problem, on the data that its own is measured on."""
    metric, _, level = text.partition("=")
    try:
        value = float(level)
    except ValueError:
        value = math.nan
    if metric not in ("loss", "accuracy") or not math.isfinite(value):
        raise GradstepValueError(f"target must be loss=NUMBER or accuracy=NUMBER, not {text!r}.")
    split = "train" if problem.target is None else problem.target.split
    asked = problem.name, source, split
    if metric == "accuracy" and not (_has_accuracy(*asked) if source is None else apart(_has_accuracy, *asked)):
        raise GradstepValueError(f"{problem.name} has no accuracy; give a target as loss={short(value)}.")
    patience = 1 if problem.target is None else problem.target.patience
    return Goal("accuracy" if metric == "accuracy" else "loss", value, split, "given", patience)


def _options(given: Mapping[str, Any]) -> Options:
    """Return the options, all of them known and within their ranges."""
    known = {f.name: f for f in fields(Options)}
    for name in given:
        if name not in known:
            raise unknown("unknown option", name, known)
    options = Options(**given)
    for name, kind in (("ruleset", Ruleset), ("search", Search), ("tune", Tune)):
        find(f"unknown {name}", getattr(options, name), {x: x for x in get_args(kind)})
    most = {
        "trials": len(table()),
        "tuning_seeds": FIRST_TUNING_SEED,
        "searches": MOST_SEARCHES,
        "seeds": FIRST_TUNING_SEED,
        "steps": MOST_STEPS,
        "eta": MOST_ETA,
        "rungs": MOST_RUNGS,
    }
    for name, limit in most.items():
        value, least = getattr(options, name), 2 if name in ("eta", "rungs") else 1
        if not (name == "steps" and value is None) and not least <= value <= limit:
            raise GradstepValueError(f"{name.replace('_', '-')} must be {least} to {limit}, not {value}.")
    if options.shard is not None:
        read_shard(options.shard)
    return options
