"""The conduct of a study: its phases in order; each run is kept when it is finished, and none is made twice."""

import math
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gradstep.compare.contender import Contender
from gradstep.compare.content import Content
from gradstep.compare.evidence.study import Study
from gradstep.compare.halving import cut, serves
from gradstep.compare.own_stage import label_of
from gradstep.compare.problems import Problem
from gradstep.compare.protocol import Plan, hyper_of, judging_seeds, make_spec, parts, tuning_seeds
from gradstep.compare.record import Phase, PlannedRun, ProblemInfo, RunRecord, Spec
from gradstep.compare.search import ask_tpe, at, space
from gradstep.compare.signals import sigterm_interrupts
from gradstep.compare.store import Store
from gradstep.compare.timing import measure
from gradstep.compare.workers import LOKY, Workers
from gradstep.environment import environment
from gradstep.errors import GradstepValueError
from gradstep.form.rule import Rule, Stage
from gradstep.text import counted


class Listener:
    """A listener to a study's progress; its methods do nothing until they are overridden."""

    def begin(self, study: Study) -> None:
        """Hear that the study begins or goes on: some of its runs may be there."""

    def result(self, run: RunRecord) -> None:
        """Hear of one more run of the study, which is finished and kept: now, or before the study asked for more."""

    def workers(self, where: str, slots: Mapping[str, int]) -> None:
        """Hear which workers a cluster has, and how many runs each makes at a time, whenever these are others."""


def compare(
    optimizers: str | Rule | Stage | Sequence[str | Rule | Stage],
    problems: str | Sequence[str],
    *,
    out: str | Path | None = None,
    jobs: int | None = None,
    backend: str = LOKY,
    address: str | None = None,
    files: str | Path | Sequence[str | Path] = (),
    target: str | None = None,
    vary: str | None = None,
    **options: Any,
) -> Study:
    """Compare optimizers on problems.

    Parameters
    ----------
    optimizers
        Labels, as ``["adam", "momentum:momentum=0.95", "keras.RMSprop", "lion.py:lion"]``; or rules and chains
        themselves, ``[gs.adam, gs.momentum(momentum=0.95), lion]``. One of your own must have a name at the top of a
        file, for other processes run that.
    problems
        Names of problems, of sets of them, or ``FILE.py:NAME``.
    out
        A folder in which every finished run is kept at once, and in which the same call goes on; None: in memory alone.
    jobs, backend
        Runs at a time (None: as many as cores), and what makes them: ``"loky"`` or another backend of joblib's, or a
        cluster of ``"dask"`` or ``"ray"``; the results do not depend on them.
    address
        Of the cluster: ``tcp://HOST:PORT`` of dask's scheduler, ``HOST:PORT`` or ``auto`` for ray. None: what the
        environment names, or else one of this machine alone.
    files
        Files and folders that a problem file of one's own reads, for workers that do not see them. Modules beside it
        that it imports need not be named.
    target
        ``loss=0.1`` or ``accuracy=0.95``, in place of the one that a problem has.
    vary
        ``batch=32,128,512``: each problem with each of these values of an option.
    **options
        Of :class:`~gradstep.compare.record.Options`: ``seeds``, ``trials``, ``steps`` and so on.

    Raises
    ------
    GradstepError
        As from there; when ``out`` holds another study, or a damaged one; and when a cluster cannot be had or is lost.

    Examples
    --------
    >>> from gradstep.compare import compare
    >>> study = compare(["sgd", "adam"], "quadratic", seeds=2, trials=2, steps=20, jobs=1)
    >>> study.times().shape
    (1, 2, 2)
    """
    given = [optimizers] if isinstance(optimizers, str | Rule | Stage) else optimizers
    names = [label_of(one) if isinstance(one, Rule | Stage) else one for one in given]
    folder = None if out is None else Path(out).absolute()  # code of the user's may change the current folder
    plan = make_spec(
        [problems] if isinstance(problems, str) else problems,
        ",".join(names),
        target=target,
        vary=vary,
        **options,
    )
    more = [files] if isinstance(files, str | Path) else files
    return run_study(plan, folder, Workers(jobs, backend, address, [Path(path) for path in more]))


def run_study(
    plan: Plan,
    folder: Path | None = None,
    workers: Workers | None = None,
    listener: Listener | None = None,
) -> Study:
    """Make every run of a study that is not there yet.

    Parameters
    ----------
    plan
        From :func:`~gradstep.compare.protocol.make_spec`.
    folder
        Where it is kept; None: in memory alone.
    workers
        Who makes them; None: a process for each core.
    listener
        Is told of each run when it is finished.

    Raises
    ------
    GradstepError
        As :class:`~gradstep.compare.store.Store` and :class:`~gradstep.compare.workers.Workers`; and when every run of
        an optimizer ended with an error: there is nothing to compare it by.
    ChangedError
        When a problem file changes meanwhile.
    Terminated
        On SIGTERM, a KeyboardInterrupt; as after Ctrl-C the workers are stopped, and what was finished is kept.

    Notes
    -----
    The results depend on the spec alone; the seconds in them do not.
    """
    workers = workers or Workers()
    info = {label: ProblemInfo.of(problem, plan.spec.steps) for label, problem in plan.problems.items()}
    listener = listener or Listener()
    content = Content(plan.spec, info, environment(), list(plan.notes))
    own = [*plan.spec.sources.values(), *plan.spec.stages.values()]
    at_work = workers.at_work(own, lambda where, slots: listener.workers(where, slots))
    with sigterm_interrupts(), at_work as make, Store(folder, content) as store:

        def study() -> Study:
            return Study.of(store.content, folder)

        plan = plan.going_on(store.content.spec)
        begun = study()
        listener.begin(begun)
        done = {run.key: run for run in store.content.runs}
        told = {run.key for run in begun.runs}
        for planned in _rounds(plan, study):
            for todo in planned:
                run = done.get(todo.key)
                if run is not None and serves(run, todo.until) and todo.key not in told:  # it counts from now on
                    told.add(todo.key)
                    listener.result(cut(run, todo.until))
            for made in make([todo for todo in planned if not serves(done.get(todo.key), todo.until)]):
                run = made.run
                store.add(run, made.environment)
                done[run.key] = run
                told.add(run.key)
                listener.result(run)
            _refuse_failing(study())
        there = {(t.problem, t.optimizer) for t in store.content.timings}
        for todo in _judged(plan, study()):
            if todo.phase == "health" and (todo.problem, todo.optimizer) not in there:
                store.add(measure(todo, plan.contenders[todo.optimizer].rate))
        return study()


def _refuse_failing(study: Study) -> None:
    for label in study.optimizers:
        errors = [run.error for problem in study.problems for run in study.runs_of(problem, label)]
        if errors and None not in errors:
            raise GradstepValueError(
                f"{label} failed in each of its {counted(len(errors), 'run')}, and nothing can be said of it; the "
                f"first error: {errors[0]}"
            )


def _rounds(plan: Plan, study: Callable[[], Study]) -> Generator[list[PlannedRun]]:
    """Yield lists of runs; those of a list can be made side by side."""
    spec = plan.spec
    if spec.search == "tpe":
        for trial in range(spec.trials):
            yield _tuning(plan, study(), [trial])
    else:
        for _ in range(spec.rungs if spec.search == "halving" else 1):
            yield _tuning(plan, study(), range(spec.trials))
    yield _judged(plan, study())


def _tuning(plan: Plan, study: Study, trials: Iterable[int]) -> list[PlannedRun]:
    """Trials of all parts, as far as they go by what the study has; for TPE those before."""
    spec = plan.spec
    settle = partial(_asked_of_tpe, study) if spec.search == "tpe" else hyper_of
    return [
        replace(_planned(spec, study, (label, name), "tune", trial, seed, hyper), until=until[trial])
        for label, name, search in parts(spec)
        for until in [study.standing(label, name, search)[0]]
        for trial in trials
        if trial in until
        for hyper in [settle(spec, plan.contenders[name], plan.problems[label], search, trial)]
        for seed in tuning_seeds(spec, search)
    ]


def _planned(
    spec: Spec, study: Study, pair: tuple[str, str], phase: Phase, trial: int, seed: int, hyper: dict[str, float]
) -> PlannedRun:
    problem, optimizer = pair
    files = spec.sources.get(problem), spec.stages.get(optimizer)
    return PlannedRun(problem, optimizer, phase, trial, seed, hyper, *files, spec.steps, study.target(problem).split)


def _asked_of_tpe(
    study: Study, spec: Spec, one: Contender, problem: Problem, search: int, trial: int
) -> dict[str, float]:
    worth = study.worth(problem.name, one.label, search)
    told = [_as_one(*worth[k], spec.steps or problem.steps) for k in range(trial)]
    seed = zlib.crc32(f"{problem.name} {search}".encode())  # the same first points for all optimizers
    ranges = space(one, problem, spec.tune)
    return at(ranges, ask_tpe(list(ranges), told, seed, spec.trials))


def _as_one(steps: float, loss: float, budget: int) -> float:
    """Return the worth of a trial as one finite number: a hit its steps, a miss more, by its loss."""
    return steps if math.isfinite(steps) else budget * (1.5 + math.atan(loss) / math.pi)


def _judged(plan: Plan, study: Study) -> list[PlannedRun]:
    """The best trial of each part, with fresh seeds; of the first search a look at its steps."""
    spec = plan.spec
    out: list[PlannedRun] = []
    for label, name, search in parts(spec):
        trial = study.best_trial(label, name, search)
        hyper = next((r.hyper for r in study.tuning(label, name, search) if r.trial == trial), None)
        if hyper is None:
            hyper = hyper_of(spec, plan.contenders[name], plan.problems[label], search, trial)
        phases: list[tuple[Phase, Iterable[int]]] = [("eval", judging_seeds(spec, search)), ("health", [0][search:])]
        out += [
            _planned(spec, study, (label, name), phase, trial, seed, hyper) for phase, seeds in phases for seed in seeds
        ]
    return out
