"""The cost of a study and what it can show, before it is made."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from gradstep.compare.evidence.spending import planned_runs
from gradstep.compare.evidence.statistics.power import power
from gradstep.compare.making import on_one_thread
from gradstep.compare.processes import EndedError, apart
from gradstep.compare.protocol import Plan, hyper_of, parts, totals, train
from gradstep.compare.record import PlannedRun

FACTORS = (1.2, 1.5, 2.0)
NOISES = (0.15, 0.35)  # spreads of the steps to a target between seeds, as they were seen on the problems here
MOST_STUDIES, WORK = 200, 20_000  # made-up studies; and times in all of them


@dataclass(frozen=True)
class Forecast:
    """The forecast of a study.

    Attributes
    ----------
    runs, seconds
        By problem: how many runs, and the seconds of a whole one, measured with the first optimizer; NaN where it
        failed.
    whole
        By problem, the steps of all runs in whole runs: fewer than ``runs``, where trials are halved.
    power
        By noise and factor: the chance, at least, that an optimizer which is quicker by that factor on all problems is
        claimed to beat one other.
    """

    runs: Mapping[str, int]
    seconds: Mapping[str, float]
    whole: Mapping[str, float]
    power: Mapping[float, Mapping[float, float]]

    @property
    def total(self) -> float:
        """The seconds of all runs, one after the other."""
        return math.fsum(self.whole[problem] * self.seconds[problem] for problem in self.runs)


def forecast(plan: Plan) -> Forecast:
    """Return the forecast of a study: a few steps of each problem are timed, and some studies made up.

    Parameters
    ----------
    plan
        From :func:`~gradstep.compare.protocol.make_spec`.
    """
    spec = plan.spec
    runs = totals(spec, plan.contenders)
    size = len(spec.problems) * len(spec.optimizers) * spec.seeds * spec.searches
    studies = max(40, min(MOST_STUDIES, WORK // size))
    shape = len(spec.problems), len(spec.optimizers), spec.seeds, spec.searches
    return Forecast(
        {label: sum(n for (problem, _), n in runs.items() if problem == label) for label in spec.problems},
        {label: _seconds(plan, label) for label in spec.problems},
        {label: _whole(plan, label) for label in spec.problems},
        {
            noise: {factor: power(*shape, factor=factor, noise=noise, studies=studies) for factor in FACTORS}
            for noise in NOISES
        }
        if len(spec.optimizers) > 1
        else {},
    )


def _whole(plan: Plan, label: str) -> float:
    """The steps of all runs on a problem, in whole runs."""
    spec, problem = plan.spec, plan.problems[label]
    steps = spec.steps or problem.steps
    own = [(plan.contenders[optimizer], search) for part, optimizer, search in parts(spec) if part == label]
    return math.fsum(planned_runs(spec, one, search, steps, problem.every) for one, search in own)


def _seconds(plan: Plan, label: str) -> float:
    """The seconds of a run, from two short ones; a first one loads the data, and does not count."""
    spec, problem = plan.spec, plan.problems[label]
    name, one = next(iter(plan.contenders.items()))
    steps, split = spec.steps or problem.steps, "train" if problem.target is None else problem.target.split
    files = spec.sources.get(label), spec.stages.get(name)
    hyper = hyper_of(spec, one, problem, 0, 0)

    def took(length: int) -> float:
        planned = PlannedRun(label, name, "tune", 0, 0, hyper, *files, length, split)
        try:
            return apart(_timed, planned) if planned.is_own else _timed(planned)
        except EndedError:
            return math.nan

    short, long = min(2 * problem.every, steps), min(6 * problem.every, steps)
    _, first, second = took(1), took(short), took(long)
    if long == short or second <= first:
        return second * steps / long
    return second + (second - first) / (long - short) * (steps - long)


def _timed(planned: PlannedRun) -> float:
    with on_one_thread(planned):
        began = time.perf_counter()
        run = train(planned)
        return time.perf_counter() - began if run.error is None else math.nan
