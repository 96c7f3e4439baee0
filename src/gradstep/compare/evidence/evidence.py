"""The results of a study in numbers with intervals; its report, its views and its verdict take them from here.

Only problems on which every optimizer has all of its seeds are counted; a study that is not finished may have none.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.compare.evidence.statistics import (
    BestOfTrials,
    CriticalDifference,
    Draws,
    Estimate,
    Sensitivity,
    StepFunction,
    Unit,
    best_of_trials,
    claims,
    critical_difference,
    cumulative,
    improvement,
    interval,
    least_p,
    log_speedups,
    lr_sensitivity,
    median,
    medians,
    pair_tests,
    paired_draws,
    priced,
    profiles,
    resampled,
    run_scores,
    run_time_table,
    scores,
    signed_rank,
)
from gradstep.compare.evidence.statistics.intervals import LEVEL
from gradstep.compare.evidence.statistics.ranks import MIN_PROBLEMS
from gradstep.compare.evidence.statistics.tables import Array
from gradstep.compare.evidence.study import Axis, Study, final_loss, to_target
from gradstep.compare.halving import ended, rungs
from gradstep.compare.problems.problem import TIERS, Tier

COMPARISON_BASELINES = ("adamw", "nesterov", "nadam", "adam", "sgd")  # the first of them that a study has


@dataclass(frozen=True)
class Rates:
    """Final losses of an optimizer over the learning rates of its trials, sorted by rate; of halved ones, the first.

    Attributes
    ----------
    rates
        The rates; trials of the same rate are one.
    low, middle, high
        Of these losses, the start's where it is worse than that: the least, the median, the greatest.
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

    @cached_property
    def fixed(self) -> list[bool]:
        """Complete problems without randomness, where other seeds change nothing, as True."""
        return [not self.study.varies(problem) for problem in self.problems]

    def over(self, problems: int) -> Unit | None:
        """The runs that an interval or a claim over so many problems may speak of; None where there are too few.

        Every interval, mark and claim of a report asks here. Runs that are all the same are one run.
        """
        found = resampled(problems, self.study.spec.seeds, self.study.spec.searches)
        return None if found == "seeds" and all(self.fixed) else found

    def times(self, axis: Axis = "steps") -> Array:
        """Times to the targets, [complete problem, optimizer, run]; NaN where no step has been timed yet."""
        return self.study.times(axis)[[self.study.problems.index(problem) for problem in self.problems]]

    def has(self, axis: Axis) -> bool:
        """Return True if there is a complete problem, and all of them have times on this axis."""
        return bool(self.problems) and not np.isnan(self.times(axis)).any()

    @cached_property
    def baseline(self) -> int:
        """The optimizer that others are compared with: the first of COMPARISON_BASELINES, else of the study."""
        names = [one.named.name for one in self.study.contenders.values()]
        return next((names.index(name) for name in COMPARISON_BASELINES if name in names), 0)

    def _draws(self, over: Unit, over_problems: bool = False) -> Draws:
        problems, seeds = len(self.problems), self.study.spec.seeds
        return paired_draws(problems, seeds, self.study.spec.searches, over=over, over_problems=over_problems)

    def _sure(self, statistic: Any, times: Array, together: bool, over_problems: bool = False) -> Estimate:
        """A statistic with its interval; of all problems ``together``, or of each by itself."""
        over = self.over(len(self.problems) if together else 1)
        if over is not None:
            found = interval(statistic, times, self._draws(over, over_problems), smooth=together)
            return Estimate(found.estimate, found.low, found.high, over)
        estimate = statistic(times)
        single = np.stack([statistic(times[..., [k]]) for k in range(times.shape[2])])
        single = single if len(single) > 1 else np.full_like(single, np.nan)
        return Estimate(estimate, single.min(axis=0), single.max(axis=0), None)

    def steps(self, axis: Axis = "steps") -> Estimate:
        """Median times to the targets, [problem, optimizer]."""
        return self._sure(medians, self.times(axis), together=False)

    def scores(self, axis: Axis = "steps", over_problems: bool = False) -> Estimate:
        """The exact scores of the profiles, [optimizer]; ``over_problems``: with intervals for problems like these."""
        return _clipped(self._sure(run_scores, self.times(axis), True, over_problems), 0.0)

    def speedups(self, axis: Axis = "steps", over_problems: bool = False) -> Estimate:
        """Return speed-ups over the baseline, [optimizer]: geometric means over all problems, a miss at its price.

        The price is the problem's budget and one evaluation more, the least that the run would have taken. NaN where
        both miss every problem by median. ``over_problems``: with intervals for problems like these.
        """
        cards = [self.study.problem_info[problem] for problem in self.problems]
        units = [[self.study.unit(axis, card.label, label) for label in self.study.optimizers] for card in cards]
        prices = np.array([[card.steps + card.every] for card in cards]) * np.array(units)
        found = self._sure(
            lambda x: log_speedups(x, self.baseline),
            priced(self.times(axis), prices),
            len(self.problems) > 1,
            over_problems,
        )
        missed = np.isinf(medians(self.times(axis)))
        unknown = (missed & missed[:, [self.baseline]]).all(axis=0)
        estimate, low, high = (np.where(unknown, np.nan, np.exp(x)) for x in (found.estimate, found.low, found.high))
        return Estimate(estimate, low, high, found.over)

    @cached_property
    def families(self) -> dict[str, list[int]]:
        """The complete problems of each family, by their places among all of them."""
        found: dict[str, list[int]] = {}
        for k, problem in enumerate(self.problems):
            found.setdefault(self.study.problem_info[problem].family, []).append(k)
        return found

    def family_scores(self) -> dict[str, Array]:
        """The scores of the profiles over each family's problems alone, [optimizer]."""
        return {family: run_scores(self.times()[places]) for family, places in self.families.items()}

    def ahead(self, first: int, second: int, over_problems: bool = False) -> Estimate:
        """The difference of two optimizers, above zero if the first is better: of scores, or on one problem of steps.

        ``over_problems``: with an interval for problems like these.
        """
        if len(self.problems) == 1:
            pair = [first, second]
            return self._sure(lambda x: _difference(medians(x)[..., 0, pair]), self.times(), together=False)

        def score(times: Array) -> Array:
            return _difference(run_scores(times)[..., [second, first]])

        return _clipped(self._sure(score, self.times(), True, over_problems), -1.0)

    @cached_property
    def order(self) -> list[int]:
        """Optimizers from the best: by score, or on one problem by median steps; then hits, then final loss."""
        times = self.times()
        worth = medians(times)[0] if len(self.problems) == 1 else -run_scores(times)
        hits = np.isfinite(times).sum(axis=(0, 2))
        labels = self.study.optimizers
        loss = [sum(self._loss(problem, label) for problem in self.problems) for label in labels]
        return sorted(range(len(labels)), key=lambda k: (worth[k], -hits[k], loss[k], k))

    def _loss(self, problem: str, label: str) -> float:
        return median([final_loss(run) for run in self.study.evaluated(problem, label)])

    @cached_property
    def tiers(self) -> dict[Tier, Array]:
        """Steps to the targets at each of their levels, as :meth:`times`; empty where a target has one level."""
        out: dict[Tier, Array] = {}
        for tier in TIERS:
            found = {problem: self.study.target(problem).at(tier) for problem in self.problems}
            targets = {problem: target for problem, target in found.items() if target is not None}
            if not targets or len(targets) < len(found):
                return {}
            out[tier] = self.study.steps_to(targets)
        return out

    def first_at(self, tier: Tier) -> list[int]:
        """Return who is first at a level: by score, or on one problem by median steps; none where nobody solves any."""
        times = medians(self.tiers[tier])
        if not np.isfinite(times).any():
            return []
        worth = times[0] if len(self.problems) == 1 else -scores(times)
        return np.flatnonzero(worth == worth.min()).tolist()

    def profiles(self, axis: Axis = "steps") -> list[StepFunction]:
        """The performance profile of each optimizer."""
        return profiles(medians(self.times(axis)))

    def ecdfs(self, axis: Axis = "steps") -> list[StepFunction]:
        """The run-time distribution of each optimizer over 20 targets a problem; one problem: times as they are.

        They go down to the hard level of the problem, so that no optimizer settles them by its presence; where there is
        none, to the best loss of all runs.
        Of several, times are fractions of each problem's budget, which is that of the slowest optimizer in seconds. A
        run that did not make all its steps meets no target.
        """
        study = self.study
        curves = [
            [
                [
                    ([x * self.study.unit(axis, problem, label) for x in run.steps], run.loss)
                    if run.finished
                    else ([], [])
                    for run in study.evaluated(problem, label)
                ]
                for label in study.optimizers
            ]
            for problem in self.problems
        ]
        targets = [study.target(problem) for problem in self.problems]
        last = [target.hard if target.metric == "loss" else None for target in targets]
        found = run_time_table(curves, patience=[target.patience for target in targets], last=last)
        if len(self.problems) > 1:
            budgets = [
                study.problem_info[problem].steps
                * max(self.study.unit(axis, problem, label) for label in study.optimizers)
                for problem in self.problems
            ]
            found = found / np.reshape(budgets, (-1, 1, 1, 1))
        return [cumulative(found[:, k]) for k in range(len(study.optimizers))]

    @cached_property
    def improvement(self) -> Estimate | None:
        """The probability that the row's run beats the column's, [optimizer, optimizer]; None with one run."""
        times, over = self.times(), self.over(len(self.problems))
        runs = times.shape[2]
        if runs < 2:
            return None
        found = improvement(times, Draws(np.arange(runs)[None, None]) if over is None else self._draws(over))
        none = np.full_like(found.low, np.nan)
        return Estimate(found.estimate, *((none, none) if over is None else (found.low, found.high)), over)

    @cached_property
    def better(self) -> NDArray[np.bool_]:
        """Which optimizer is better than which by more than chance, [optimizer, optimizer]; none without intervals.

        In at most 5 % of studies one of these is false, see :func:`~gradstep.compare.evidence.statistics.claims`; and
        none of them contradicts an interval that holds one half.
        """
        over, found = self.over(len(self.problems)), self.improvement
        if over is None or found is None:
            return np.zeros((len(self.study.optimizers),) * 2, bool)
        p = pair_tests(self.times(), self.study.spec.searches, over, np.array(self.fixed) & (over == "seeds"))
        return claims(found.estimate, p) & (found.low > 0.5)

    @property
    def units(self) -> int:
        """The number of searches or seeds behind the claims of :attr:`better`, over all problems; 0 without claims."""
        over = self.over(len(self.problems))
        if over is None:
            return 0
        runs = self.study.spec.searches if over == "searches" else self.times().shape[2]
        return sum(1 if fixed and over == "seeds" else runs for fixed in self.fixed)

    @property
    def least_p(self) -> float:
        """The least p that a signed rank test over problems can have, of each optimizer against the baseline."""
        return least_p(len(self.problems), max(1, len(self.study.optimizers) - 1))

    @cached_property
    def signed_rank(self) -> Array | None:
        """Wilcoxon's p of each optimizer against the baseline over problems, after Holm; None where none can be low."""
        if len(self.study.optimizers) < 2 or self.least_p > 1 - LEVEL:
            return None
        return signed_rank(medians(self.times()), self.baseline)[self.baseline]

    @cached_property
    def critical_difference(self) -> CriticalDifference | None:
        """Mean ranks and Nemenyi's distance; None for fewer than six problems, or one optimizer."""
        if len(self.problems) < MIN_PROBLEMS or len(self.study.optimizers) < 2:
            return None
        return critical_difference(medians(self.times()))

    def ranks(self, axis: Axis = "steps") -> list[int]:
        """The place of each optimizer by score, or on one problem by median time; 1 is best, equals share a place."""
        times = self.times(axis)
        worth = medians(times)[0] if len(self.problems) == 1 else -run_scores(times)
        return [1 + int((worth < x).sum()) for x in worth]

    def start(self, problem: str) -> float:
        """The loss before the first step, the median of all runs on the problem."""
        study = self.study
        found = [run.loss[0] for label in study.optimizers for run in study.runs_of(problem, label) if run.loss]
        return median(found) if found else math.nan

    def trials(self, problem: str, optimizer: str) -> BestOfTrials | None:
        """The best of k trials, in steps to the target.

        None without trials, where a target came after them, and where some were stopped before they came to it.
        """
        spec = self.study.spec
        if self.first_stop(problem) is not None:
            return None
        found = [self.study.worth(problem, optimizer, search) for search in range(spec.searches)]
        steps = [steps for worth in found for steps, _ in worth.values()]
        most = min(spec.trials, len(steps))
        if spec.goals.get(problem) is None or most < 2:
            return None
        return best_of_trials(steps, sorted({*(1 << k for k in range(most.bit_length())), most}))

    @property
    def halved(self) -> bool:
        """True where trials were stopped."""
        return any(self.first_stop(problem) is not None for problem in self.study.problems)

    def first_stop(self, problem: str) -> int | None:
        """The update to which all trials were made; None for all steps."""
        spec, card = self.study.spec, self.study.problem_info[problem]
        return rungs(spec, spec.trials, card.steps, card.every)[0][0]

    def rates(self, problem: str, optimizer: str) -> Rates | None:
        """Losses after :meth:`first_stop` over the learning rates that were tried; None where nothing was tried."""
        start, stop = self.start(problem), self.first_stop(problem)
        tried: dict[float, list[float]] = {}
        for run in self.study.tuning(problem, optimizer):
            tried.setdefault(self.study.learning_rate(run), []).append(final_loss(ended(run, stop)))
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


def _difference(pair: Array) -> Array:
    """The second of the last axis less the first; of two misses none."""
    with np.errstate(invalid="ignore"):
        return pair[..., 1] - pair[..., 0]


def _clipped(found: Estimate, low: float) -> Estimate:
    return Estimate(found.estimate, np.maximum(found.low, low), np.minimum(found.high, 1.0), found.over)
