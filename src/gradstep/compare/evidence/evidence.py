"""The results of a study in numbers with intervals; its report, its views and its verdict take them from here.

Only problems on which every optimizer has all of its seeds are counted; a study that is not finished may have none.
"""

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np

from gradstep.compare.evidence.statistics import (
    BestOfTrials,
    CriticalDifference,
    Interval,
    Sensitivity,
    StepFunction,
    best_of_trials,
    critical_difference,
    cumulative,
    differences,
    improvement,
    interval,
    lr_sensitivity,
    median,
    medians,
    paired_draws,
    profiles,
    run_scores,
    run_time_table,
    signed_rank,
    solved_by_both,
    speedups,
)
from gradstep.compare.evidence.statistics.pairwise import MIN_PROBLEMS
from gradstep.compare.evidence.statistics.tables import Array
from gradstep.compare.evidence.study import Axis, Study, final_loss, to_target

COMPARISON_BASELINES = ("adamw", "nesterov", "nadam", "adam", "sgd")  # the first of them that a study has


@dataclass(frozen=True)
class Rates:
    """Final losses of an optimizer over the learning rates of its trials, sorted by rate.

    Attributes
    ----------
    rates
        The rates; trials of the same rate are one.
    low, middle, high
        Of the final losses, the start's where it is worse than that: the least, the median, the greatest.
    lost, runs
        Runs that diverged or failed, of how many.
    found
        None where fewer than two rates were tried.
    """

    rates: list[float]
    low: list[float]
    middle: list[float]
    high: list[float]
    lost: list[int]
    runs: list[int]
    found: Sensitivity | None


class Evidence:
    """The statistics of a study, each computed when it is first asked for."""

    def __init__(self, study: Study) -> None:
        self.study = study

    @cached_property
    def problems(self) -> list[str]:
        """The problems that are complete."""
        times = zip(self.study.problems, self.study.times(), strict=True)
        return [problem for problem, own in times if not np.isnan(own).any()]

    def times(self, axis: Axis = "steps") -> Array:
        """Times to the targets, [complete problem, optimizer, seed]; NaN where no step has been timed yet."""
        rows = [self.study.problems.index(problem) for problem in self.problems]
        return self.study.times(axis)[rows]

    def has(self, axis: Axis) -> bool:
        """Return True if there is a complete problem, and all of them have times on this axis."""
        return bool(self.problems) and not np.isnan(self.times(axis)).any()

    @cached_property
    def baseline(self) -> int:
        """The optimizer that others are compared with: the first of COMPARISON_BASELINES, else of the study."""
        names = [one.named.name for one in self.study.contenders.values()]
        return next((names.index(name) for name in COMPARISON_BASELINES if name in names), 0)

    @cached_property
    def _draws(self) -> Any:
        return paired_draws(len(self.problems), self.study.spec.seeds)

    def _sure(self, statistic: Any, axis: Axis) -> Interval:
        """With an interval where there is more than one seed; without, its bounds are NaN."""
        times = self.times(axis)
        if self.study.spec.seeds > 1:
            return interval(statistic, times, self._draws)
        found = statistic(times)
        return Interval(found, np.full_like(found, np.nan), np.full_like(found, np.nan))

    def steps(self, axis: Axis = "steps") -> Interval:
        """Median times to the targets, [problem, optimizer]."""
        return self._sure(medians, axis)

    def scores(self, axis: Axis = "steps") -> Interval:
        """The exact scores of the profiles, [optimizer]."""
        return self._sure(run_scores, axis)

    def speedups(self, axis: Axis = "steps") -> Interval:
        """Return speed-ups over the baseline, [optimizer]: geometric means over problems that both solve."""
        return self._sure(partial(speedups, baseline=self.baseline), axis)

    def solved_by_both(self) -> Array:
        """Return the number of problems behind each speed-up, [optimizer]."""
        return solved_by_both(self.times(), self.baseline)

    def ahead(self, first: int, second: int) -> Interval | None:
        """The difference of two optimizers: of scores, or on one problem of median steps; None with one seed.

        Above zero where the first is better.
        """
        if self.study.spec.seeds < 2:
            return None
        alone = len(self.problems) == 1
        statistic = (lambda x: medians(x)[..., 0, :]) if alone else run_scores
        found = differences(statistic, self.times(), first if alone else second, self._draws)
        k = second if alone else first
        return Interval(found.estimate[k], found.low[k], found.high[k])

    @cached_property
    def order(self) -> list[int]:
        """Optimizers from the best: by score, or on one problem by median steps; then hits, then final loss."""
        times = self.times()
        worth = medians(times)[0] if len(self.problems) == 1 else -self.scores().estimate
        hits = np.isfinite(times).sum(axis=(0, 2))
        labels = self.study.optimizers
        loss = [sum(self._loss(problem, label) for problem in self.problems) for label in labels]
        return sorted(range(len(labels)), key=lambda k: (worth[k], -hits[k], loss[k], k))

    def _loss(self, problem: str, label: str) -> float:
        return median([final_loss(run) for run in self.study.evaluated(problem, label)])

    def profiles(self, axis: Axis = "steps") -> list[StepFunction]:
        """The performance profile of each optimizer."""
        return profiles(medians(self.times(axis)))

    def ecdfs(self, axis: Axis = "steps") -> list[StepFunction]:
        """The run-time distribution of each optimizer over 20 targets a problem; one problem: times as they are.

        Of several, times are fractions of each problem's budget, which is that of the slowest optimizer in seconds.
        """
        study = self.study
        curves = [
            [
                [
                    ([x * self._unit(axis, problem, label) for x in run.steps], run.loss)
                    for run in study.evaluated(problem, label)
                ]
                for label in study.optimizers
            ]
            for problem in self.problems
        ]
        found = run_time_table(curves)
        if len(self.problems) > 1:
            budgets = [
                study.problem_info[problem].steps * max(self._unit(axis, problem, label) for label in study.optimizers)
                for problem in self.problems
            ]
            found = found / np.reshape(budgets, (-1, 1, 1, 1))
        return [cumulative(found[:, k]) for k in range(len(study.optimizers))]

    def _unit(self, axis: Axis, problem: str, label: str) -> float:
        timing = self.study.timing(problem, label)
        return 1.0 if axis != "seconds" else math.nan if timing is None else timing.step_us / 1e6

    def improvement(self) -> Interval | None:
        """The probability that the row's run beats the column's, [optimizer, optimizer]; None with one seed."""
        return improvement(self.times(), self._draws) if self.study.spec.seeds > 1 else None

    @property
    def tested(self) -> Literal["seeds", "problems"] | None:
        """Over what Wilcoxon's pairs are; None where there are too few to tell anything: 2 to 5 problems, or seeds."""
        if len(self.problems) >= MIN_PROBLEMS:
            return "problems"
        return "seeds" if len(self.problems) == 1 and self.study.spec.seeds >= MIN_PROBLEMS else None

    def signed_rank(self) -> Array:
        """Wilcoxon's p of every two optimizers after Holm's correction."""
        times = self.times()
        return signed_rank(medians(times) if self.tested == "problems" else times[0].T)

    @cached_property
    def critical_difference(self) -> CriticalDifference | None:
        """Mean ranks and Nemenyi's distance; None for fewer than six problems, or one optimizer."""
        if len(self.problems) < MIN_PROBLEMS or len(self.study.optimizers) < 2:
            return None
        return critical_difference(medians(self.times()))

    def ranks(self, axis: Axis = "steps") -> list[int]:
        """The place of each optimizer by score, or on one problem by median time; 1 is best, equals share a place."""
        worth = medians(self.times(axis))[0] if len(self.problems) == 1 else -self.scores(axis).estimate
        return [1 + int((worth < x).sum()) for x in worth]

    def start(self, problem: str) -> float:
        """The loss before the first step, the median of all runs on the problem."""
        study = self.study
        found = [run.loss[0] for label in study.optimizers for run in study.runs_of(problem, label) if run.loss]
        return median(found) if found else math.nan

    def trials(self, problem: str, optimizer: str) -> BestOfTrials | None:
        """The best of k trials, in steps to the target; None without trials, or where a target came after them."""
        goal = self.study.spec.goals.get(problem)
        worth = self.study.worth(problem, optimizer)
        if goal is None or len(worth) < 2:
            return None
        doubled = [1 << k for k in range(len(worth).bit_length())]
        return best_of_trials([steps for steps, _ in worth.values()], sorted({*doubled, len(worth)}))

    def rates(self, problem: str, optimizer: str) -> Rates | None:
        """Final losses over the learning rates that were tried; None where nothing was tried."""
        start = self.start(problem)
        tried: dict[float, list[float]] = {}
        for run in self.study.tuning(problem, optimizer):
            tried.setdefault(self.study.learning_rate(run), []).append(final_loss(run))
        rates = sorted(rate for rate in tried if rate > 0)
        if not rates or not math.isfinite(start):
            return None
        ends = [tried[rate] for rate in rates]
        middle = [median(x) for x in ends]
        return Rates(
            rates,
            low=[min(*x, start) for x in ends],
            middle=[min(x, start) for x in middle],
            high=[min(max(x), start) for x in ends],
            lost=[sum(map(math.isinf, x)) for x in ends],
            runs=[len(x) for x in ends],
            found=lr_sensitivity(rates, middle, start) if len(rates) > 1 else None,
        )

    def hits(self, optimizer: str) -> tuple[int, int]:
        """Seeds that reached a target, of how many, over complete problems."""
        study = self.study
        found = [
            math.isfinite(to_target(run, study.target(problem)))
            for problem in self.problems
            for run in study.evaluated(problem, optimizer)
        ]
        return sum(found), len(found)
