"""The table of a study: one learning rate chosen for each optimizer by a declared rule, and how it did there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gradstep.compare.protocol import Contender, RunResult
from gradstep.compare.statistics import Spread, median, spread

CRITERION = "the lowest loss after the last step, on the target's data (median over seeds, infinite for a diverged run)"


@dataclass(frozen=True)
class Row:
    """One optimizer at its best learning rate.

    Attributes
    ----------
    optimizer, lr
        Its name, and the learning rate chosen by :data:`CRITERION`.
    at_edge
        Whether that is the first or last of several that were tried: the best may lie outside.
    steps_to_target
        Over seeds; a miss is infinity.
    hits, seeds
        Seeds that reached the target, of how many.
    target_loss
        Median over seeds of the loss after the last step on the target's data, by which ties are broken.
    loss, accuracy
        On test data (an exact problem: the function itself) after the last step. A diverged run has loss infinity and
        accuracy 0. ``accuracy`` is None where there are no classes.
    diverged, runs
        Runs that diverged, at any learning rate, of how many.
    step_us
        Microseconds of one optimizer step.
    """

    optimizer: str
    lr: float
    at_edge: bool
    steps_to_target: Spread
    hits: int
    seeds: int
    target_loss: float
    loss: Spread
    accuracy: Spread | None
    diverged: int
    runs: int
    step_us: float


def best_lr(contender: Contender, runs: Sequence[RunResult]) -> float:
    """The learning rate of this optimizer's runs that is best by :data:`CRITERION`; of equals the smallest."""

    def score(lr: float) -> float:
        return median([final_loss(r) for r in runs if r.lr == lr])

    return min(contender.lrs, key=lambda lr: (score(lr), lr))


def final_loss(run: RunResult) -> float:
    """The loss after the last step on the data of the target; infinite for a run that diverged."""
    return math.inf if run.diverged is not None else run.loss[-1]


def make_row(contender: Contender, runs: Sequence[RunResult], step_us: float) -> Row:
    """The row of one optimizer from all of its runs."""
    lr = best_lr(contender, runs)
    best = [r for r in runs if r.lr == lr]
    to_target = [r.to_target for r in best]
    has_accuracy = any(r.accuracy for r in best)
    return Row(
        optimizer=contender.label,
        lr=lr,
        at_edge=len(contender.lrs) > 1 and lr in (min(contender.lrs), max(contender.lrs)),
        steps_to_target=spread(to_target),
        hits=sum(map(math.isfinite, to_target)),
        seeds=len(best),
        target_loss=median([final_loss(r) for r in best]),
        loss=spread([r.final.get("loss", math.inf) for r in best]),
        accuracy=spread([r.final.get("accuracy", 0.0) for r in best]) if has_accuracy else None,
        diverged=sum(r.diverged is not None for r in runs),
        runs=len(runs),
        step_us=step_us,
    )
