"""The steps that the trials of a study took, beside those that they would have taken if none had been stopped."""

from collections.abc import Sequence
from dataclasses import dataclass

from gradstep.compare.contender import Contender
from gradstep.compare.evidence.study import Study
from gradstep.compare.halving import planned_steps, rungs
from gradstep.compare.protocol import part_total, parts, trials_of, tuning_total
from gradstep.compare.record import RunRecord, Spec


@dataclass(frozen=True)
class Spending:
    """The steps of all trials on a problem.

    Attributes
    ----------
    spent
        Steps made. A trial that went on was made again from its start, which counts again.
    planned
        What that is at most, if no run ends by itself.
    full
        What all trials had taken without halving; a run that was lost where it was.
    """

    spent: int
    planned: int
    full: int


def spending(study: Study, problem: str) -> Spending:
    """Return the steps of all trials on a problem, in all searches."""
    spec, card = study.spec, study.problem_info[problem]
    planned = spent = full = 0
    for label, optimizer, search in parts(spec):
        trials = trials_of(spec, study.contenders[optimizer])
        if label != problem or trials == 1:
            continue
        found = rungs(spec, trials, card.steps, card.every)
        planned += planned_steps(found, card.steps) * spec.tuning_seeds
        for run in study.tuning(problem, optimizer, search):
            spent += _made(run, found, card.steps)
            full += _end(run, card.steps)
    return Spending(spent, planned, full)


def planned_runs(spec: Spec, one: Contender, search: int, steps: int, every: int) -> float:
    """Return the steps that a search of an optimizer on a problem takes, in whole runs, if none ends by itself."""
    tuned = rungs(spec, trials_of(spec, one), steps, every) if tuning_total(spec, one) else []
    judged = part_total(spec, one, search) - tuning_total(spec, one)
    return judged + planned_steps(tuned, steps) * spec.tuning_seeds / steps


def whole_runs(study: Study) -> dict[tuple[str, str], float]:
    """Return the steps that a study takes, in whole runs, by problem and optimizer."""
    out: dict[tuple[str, str], float] = {}
    for problem, label, search in parts(study.spec):
        card = study.problem_info[problem]
        found = planned_runs(study.spec, study.contenders[label], search, card.steps, card.every)
        out[problem, label] = out.get((problem, label), 0.0) + found
    return out


def share(study: Study, run: RunRecord, with_shorter: bool = False) -> float:
    """Return the steps of a run, in whole runs; ``with_shorter``: and those of the same trial at the rungs before."""
    card = study.problem_info[run.problem]
    if run.phase != "tune" or not with_shorter:
        return _end(run, run.stopped or card.steps) / card.steps
    trials = trials_of(study.spec, study.contenders[run.optimizer])
    return _made(run, rungs(study.spec, trials, card.steps, card.every), card.steps) / card.steps


def _made(run: RunRecord, found: Sequence[tuple[int | None, int]], steps: int) -> int:
    """The steps of a trial, those of its shorter runs at the rungs before included."""
    last = _end(run, steps)
    came = [stop for stop in (stop or steps for stop, _ in found) if stop <= (run.stopped or steps)]
    return sum(min(stop, last) for k, stop in enumerate(came) if k == 0 or came[k - 1] < last)


def _end(run: RunRecord, steps: int) -> int:
    """The steps of a run: all, or where it was lost; of one that an error ended, up to its last evaluation."""
    if not run.lost:
        return steps
    return run.diverged if run.diverged is not None else run.steps[-1] if run.steps else 0
