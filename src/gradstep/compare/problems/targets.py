"""Levels that count as solved on real data: what tuned baselines reached, frozen in ``targets.json``.

``benchmarks/targets.py`` writes the file and says how. A formula needs none: its minimum is known.
"""

import json
import math
from functools import cache
from importlib import resources
from typing import Any, Literal

from gradstep.compare.problems.problem import Target


def frozen(name: str, metric: Literal["accuracy", "loss"], split: Literal["train", "validation"]) -> Target:
    """The target of a problem. Where none is frozen yet its level is NaN, which no run meets."""
    return Target(metric, records().get(name, {}).get("level", math.nan), split)


@cache
def records() -> dict[str, dict[str, Any]]:
    """Return the content of the file: by problem, the level and its origin."""
    file = resources.files("gradstep.compare.problems") / "targets.json"
    return json.loads(file.read_text("utf-8"))
