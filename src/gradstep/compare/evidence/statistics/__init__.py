"""Statistics of a comparison: pure functions of float arrays in which less is better and a miss is infinity.

Tables have the axes [problem, solver, seed]; the seeds are paired: every solver ran on the same ones. NaN is a run
that is missing, and refused.
"""

from gradstep.compare.evidence.statistics.ecdf import loss_targets, problem_targets, run_time_table, run_times
from gradstep.compare.evidence.statistics.intervals import (
    Interval,
    differences,
    interval,
    iqm,
    paired_draws,
    pooled_median,
)
from gradstep.compare.evidence.statistics.pairwise import (
    CriticalDifference,
    critical_difference,
    holm,
    improvement,
    signed_rank,
)
from gradstep.compare.evidence.statistics.profile import profiles, ratios, run_scores, scores
from gradstep.compare.evidence.statistics.sensitivity import Sensitivity, lr_sensitivity
from gradstep.compare.evidence.statistics.speedup import solved_by_both, speedups
from gradstep.compare.evidence.statistics.steps import StepFunction, cumulative
from gradstep.compare.evidence.statistics.summary import Spread, median, medians, spread, steps_to_target
from gradstep.compare.evidence.statistics.tuning import BestOfTrials, best_of_trials

__all__ = [
    "BestOfTrials",
    "CriticalDifference",
    "Interval",
    "Sensitivity",
    "Spread",
    "StepFunction",
    "best_of_trials",
    "critical_difference",
    "cumulative",
    "differences",
    "holm",
    "improvement",
    "interval",
    "iqm",
    "loss_targets",
    "lr_sensitivity",
    "median",
    "medians",
    "paired_draws",
    "pooled_median",
    "problem_targets",
    "profiles",
    "ratios",
    "run_scores",
    "run_time_table",
    "run_times",
    "scores",
    "signed_rank",
    "solved_by_both",
    "speedups",
    "spread",
    "steps_to_target",
]
