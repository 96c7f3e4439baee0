"""A study conducted: its phases one after the other, each run kept when it is finished, from wherever it stood."""

import math
import zlib
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from gradstep.compare.contender import Contender
from gradstep.compare.environment import environment
from gradstep.compare.problems import Problem
from gradstep.compare.protocol import (
    Asked,
    Todo,
    hyper_of,
    make_spec,
    trials_of,
    tuning_seeds,
)
from gradstep.compare.record import Card, Phase, Run
from gradstep.compare.search import ask_tpe, at, space
from gradstep.compare.signals import sigterm_interrupts
from gradstep.compare.store import Content, Store
from gradstep.compare.study import Study
from gradstep.compare.timing import measure
from gradstep.compare.workers import LOKY, Workers


class Listener(Protocol):
    """Who is told how a study goes."""

    def begin(self, study: Study) -> None:
        """It begins, or goes on: some of its runs may be there."""
        ...

    def result(self, run: Run) -> None:
        """One more run is finished, and kept."""
        ...


class Nobody:
    """A listener who does nothing."""

    def begin(self, study: Study) -> None:
        """Nothing."""

    def result(self, run: Run) -> None:
        """Nothing."""


def compare(
    optimizers: str | Sequence[str],
    problems: str | Sequence[str],
    *,
    out: str | Path | None = None,
    jobs: int | None = None,
    backend: str = LOKY,
    ruleset: str = "tuned",
    trials: int = 5,
    tuning_seeds: int = 1,
    seeds: int = 3,
    search: str = "quasi",
    tune: str = "lr",
    steps: int | None = None,
    target: str | None = None,
) -> Study:
    """Compare optimizers on problems.

    Parameters
    ----------
    optimizers
        Labels, as ``["adam", "momentum:momentum=0.95", "keras.RMSprop"]``.
    problems
        Names of problems, of sets of them, or ``FILE.py:NAME``.
    out
        A folder in which every finished run is kept at once, and in which the same call goes on; None: in memory alone.
    jobs, backend
        Runs at a time (None: as many as cores), and joblib's backend; the results do not depend on them.
    ruleset, trials, tuning_seeds, seeds, search, tune, steps, target
        As for :func:`~gradstep.compare.protocol.make_spec`.

    Raises
    ------
    GradstepError
        As from there; and when ``out`` holds another study, or a damaged one.

    Examples
    --------
    >>> from gradstep.compare import compare
    >>> study = compare(["sgd", "adam"], "quadratic", seeds=2, trials=2, steps=20, jobs=1)
    >>> study.times().shape
    (1, 2, 2)
    """
    names = [optimizers] if isinstance(optimizers, str) else optimizers
    asked = make_spec(
        [problems] if isinstance(problems, str) else problems,
        ",".join(names),
        ruleset=ruleset,
        trials=trials,
        tuning_seeds=tuning_seeds,
        seeds=seeds,
        search=search,
        tune=tune,
        steps=steps,
        target=target,
    )
    return run_study(asked, None if out is None else Path(out), Workers(jobs, backend))


def run_study(
    asked: Asked,
    folder: Path | None = None,
    workers: Workers | None = None,
    listener: Listener | None = None,
) -> Study:
    """Make every run of a study that is not there yet.

    Parameters
    ----------
    asked
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
        As :class:`~gradstep.compare.store.Store` and :class:`~gradstep.compare.workers.Workers`.
    ChangedError
        When a problem file changes meanwhile.
    Terminated
        On SIGTERM, a KeyboardInterrupt; as after Ctrl-C the workers are stopped, and what was finished is kept.

    Notes
    -----
    The results depend on the spec alone; the seconds in them do not.
    """
    workers = workers or Workers()
    cards = {label: Card.of(problem, asked.spec.steps) for label, problem in asked.problems.items()}
    listener = listener or Nobody()
    content = Content(asked.spec, cards, environment(), list(asked.notes))
    with sigterm_interrupts(), workers.at_work() as make, Store(folder, content) as store:

        def study() -> Study:
            return Study.of(store.content, folder)

        listener.begin(study())
        done = {run.key for run in store.content.runs}
        for todos in _rounds(asked, study):
            for run in make([todo for todo in todos if todo.key not in done]):
                store.add(run)
                listener.result(run)
        there = {(t.problem, t.optimizer) for t in store.content.timings}
        for todo in _judged(asked, study(), [0]):
            if todo.phase == "eval" and (todo.problem, todo.optimizer) not in there:
                store.add(measure(todo, asked.contenders[todo.optimizer].rate))
        return study()


def _rounds(asked: Asked, study: Callable[[], Study]) -> Generator[list[Todo]]:
    """What can be made side by side, one after the other."""
    spec = asked.spec
    if spec.search == "tpe":
        for trial in range(spec.trials):
            yield _tuning(asked, [trial], study())
    else:
        yield _tuning(asked, range(spec.trials), study())
    yield _judged(asked, study(), range(spec.seeds))


def _tuning(asked: Asked, trials: Iterable[int], study: Study) -> list[Todo]:
    """Trials of all optimizers on all problems; for TPE the study has those before."""
    spec = asked.spec
    return [
        Todo(label, spec.sources.get(label), name, "tune", trial, seed, hyper, spec.steps, study.target(label).split)
        for label, problem in asked.problems.items()
        for name, one in asked.contenders.items()
        if trials_of(spec, one) > 1
        for trial in trials
        for hyper in [
            hyper_of(spec, one, problem, trial) if spec.search == "quasi" else _asked_of_tpe(study, one, problem, trial)
        ]
        for seed in tuning_seeds(spec)
    ]


def _asked_of_tpe(study: Study, one: Contender, problem: Problem, trial: int) -> dict[str, float]:
    spec = study.spec
    worth = study.worth(problem.name, one.label)
    told = [_as_one(*worth[k], spec.steps or problem.steps) for k in range(trial)]
    seed = zlib.crc32(problem.name.encode())  # the same first points for all optimizers
    ranges = space(one, problem, spec.tune)
    return at(ranges, ask_tpe(list(ranges), told, seed, spec.trials))


def _as_one(steps: float, loss: float, budget: int) -> float:
    """What a trial was worth as one finite number: a hit its steps, a miss more, by its loss."""
    return steps if math.isfinite(steps) else budget * (1.5 + math.atan(loss) / math.pi)


def _judged(asked: Asked, study: Study, seeds: Sequence[int]) -> list[Todo]:
    """The best trial of all optimizers on all problems, with fresh seeds, and a look at its steps."""
    spec = asked.spec
    out: list[Todo] = []
    phases: tuple[tuple[Phase, Sequence[int]], ...] = (("eval", seeds), ("health", [0]))
    for label, problem in asked.problems.items():
        for name, one in asked.contenders.items():
            trial = study.best_trial(label, name)
            hyper = next((r.hyper for r in study.tuning(label, name) if r.trial == trial), None)
            if hyper is None:
                hyper = hyper_of(spec, one, problem, trial)
            split = study.target(label).split
            for phase, numbers in phases:
                out += [
                    Todo(label, spec.sources.get(label), name, phase, trial, seed, hyper, spec.steps, split)
                    for seed in numbers
                ]
    return out
