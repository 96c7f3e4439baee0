"""Statistics of a comparison: pure functions of float arrays in which less is better and a miss is infinity.

Tables have the axes [problem, solver, seed]; the seeds are paired: every solver ran on the same ones. Of several
searches the last axis has the runs, seeds of the first search, then those of the second. NaN is a run that is missing,
and refused.
"""

from gradstep.compare.evidence.statistics.draws import ENOUGH, Draws, Unit, paired_draws, resampled
from gradstep.compare.evidence.statistics.ecdf import loss_targets, problem_targets, run_time_table, run_times
from gradstep.compare.evidence.statistics.intervals import Estimate, Interval, differences, interval, iqm, pooled_median
from gradstep.compare.evidence.statistics.pairwise import claims, holm, improvement, least_p, pair_tests, units_needed
from gradstep.compare.evidence.statistics.profile import profiles, ratios, run_scores, scores
from gradstep.compare.evidence.statistics.ranks import CriticalDifference, critical_difference, signed_rank
from gradstep.compare.evidence.statistics.sensitivity import Sensitivity, lr_sensitivity
from gradstep.compare.evidence.statistics.speedup import log_speedups, priced, speedups
from gradstep.compare.evidence.statistics.steps import StepFunction, cumulative
from gradstep.compare.evidence.statistics.summary import (
    Spread,
    held,
    held_level,
    median,
    medians,
    spread,
    steps_to_target,
)
from gradstep.compare.evidence.statistics.tuning import BestOfTrials, best_of_trials

__all__ = [
    "ENOUGH",
    "BestOfTrials",
    "CriticalDifference",
    "Draws",
    "Estimate",
    "Interval",
    "Sensitivity",
    "Spread",
    "StepFunction",
    "Unit",
    "best_of_trials",
    "claims",
    "critical_difference",
    "cumulative",
    "differences",
    "held",
    "held_level",
    "holm",
    "improvement",
    "interval",
    "iqm",
    "least_p",
    "log_speedups",
    "loss_targets",
    "lr_sensitivity",
    "median",
    "medians",
    "pair_tests",
    "paired_draws",
    "pooled_median",
    "priced",
    "problem_targets",
    "profiles",
    "ratios",
    "resampled",
    "run_scores",
    "run_time_table",
    "run_times",
    "scores",
    "signed_rank",
    "speedups",
    "spread",
    "steps_to_target",
    "units_needed",
]
