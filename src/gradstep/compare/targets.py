"""Levels that count as solved: frozen in the package where tuned baselines settled them."""

import math

from gradstep.compare.problems import Problem
from gradstep.compare.problems.targets import records
from gradstep.compare.record import Goal


def goal_of(problem: Problem) -> Goal | None:
    """The target of a problem, or None where it has none; its origin says whether it is frozen or its definition's."""
    own = problem.target
    if own is None or math.isnan(own.level):
        return None
    return Goal(own.metric, own.level, own.split, "frozen" if problem.name in records() else "problem")
