"""Levels that count as solved: frozen in the package where tuned baselines settled them."""

import json
from functools import cache
from importlib import resources

from gradstep.compare.problems import Problem
from gradstep.compare.record import Goal

_FILE = "targets.json"


def goal_of(problem: Problem) -> Goal | None:
    """The frozen target of a problem, else the one of its definition, else None."""
    if (found := _frozen().get(problem.name)) is not None:
        return found
    own = problem.target
    return None if own is None else Goal(own.metric, own.level, own.split, "problem")


@cache
def _frozen() -> dict[str, Goal]:
    file = resources.files("gradstep.compare.problems").joinpath(_FILE)
    if not file.is_file():
        return {}
    content = json.loads(file.read_text("utf-8"))
    return {name: Goal(x["metric"], x["level"], x["split"], "frozen") for name, x in content.items()}
