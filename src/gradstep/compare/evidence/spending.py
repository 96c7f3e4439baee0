"""The steps that the trials of a study took, beside those that they would have taken if none had been stopped."""

from dataclasses import dataclass

from gradstep.compare.evidence.study import Study
from gradstep.compare.halving import planned_steps, rungs
from gradstep.compare.protocol import parts, trials_of
from gradstep.compare.record import RunRecord


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
        stops = [card.steps if stop is None else stop for stop, _ in found]
        for run in study.tuning(problem, optimizer, search):
            last = _end(run) if run.lost else card.steps
            came = [stop for stop in stops if stop <= (run.stopped or card.steps)]
            spent += sum(min(stop, last) for k, stop in enumerate(came) if k == 0 or came[k - 1] < last)
            full += last
    return Spending(spent, planned, full)


def _end(run: RunRecord) -> int:
    """The steps of a run that was lost; of one that an error ended, up to its last evaluation."""
    return run.diverged if run.diverged is not None else run.steps[-1] if run.steps else 0
