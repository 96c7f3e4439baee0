"""Levels that count as solved on real data: what rules reached that seldom compete, in ``levels/NAME.json``.

``benchmarks/targets.py`` writes the files. A problem whose minimum is known has levels of its own, above that.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from gradstep.compare.problems.problem import TIERS, Target, Tier

# The rules that set targets: of several families, and in no set of optimizers that a comparison takes by itself.
BASELINES = ("lars", "madgrad", "signum", "yogi", "lamb", "novograd", "adan")
SHARES: Mapping[Tier, float] = {"easy": 0.25, "middle": 0.5, "hard": 1.0}  # of the steps, by which they reached a level


@dataclass(frozen=True)
class Settled:
    """The levels of a problem, and the rules that settled them."""

    levels: Mapping[Tier, float]
    by: tuple[str, ...]


def frozen(name: str, split: Literal["train", "validation"], patience: int = 1) -> Target:
    """The target of a problem, a loss, by all baselines. Where none is frozen yet its level is NaN, which no run meets.

    Parameters
    ----------
    name
        Of the problem, without options.
    split, patience
        As in :class:`Target`.
    """
    found = settled(name)
    if found is None:
        return Target("loss", math.nan, split, patience)
    levels = found.levels
    return Target("loss", levels["middle"], split, patience, levels["easy"], levels["hard"])


def settled(name: str, without: Collection[str] = ()) -> Settled | None:
    """The levels of a problem by the baselines that are not left out; None where no file or no baseline is left.

    A baseline has the levels that three of four of its runs hold by the shares of the steps in :data:`SHARES`; the
    problem's are those that half of the baselines, or more, have.
    """
    found = {rule: own for rule, own in records().get(name, {}).get("baselines", {}).items() if rule not in without}
    if not found:
        return None
    return Settled(
        {tier: rounded_up(_middle([in_most(own[tier]) for own in found.values()])) for tier in TIERS}, (*found,)
    )


def _middle(levels: Sequence[float]) -> float:
    """The lowest level that half of them have, or more: a level is had by all that are as low."""
    return sorted(levels)[math.ceil(len(levels) / 2) - 1]


def in_most(levels: Sequence[float]) -> float:
    """The lowest level that three of four runs reach: the ``ceil(3 n / 4)``-th of ``n``, odd or even."""
    return sorted(levels)[math.ceil(0.75 * len(levels)) - 1]


def rounded_up(x: float) -> float:
    """Return ``x`` rounded up to four digits."""
    if x == 0 or not math.isfinite(x):
        return x
    unit = 10.0 ** (math.floor(math.log10(abs(x))) - 3)
    out = float(f"{math.ceil(x / unit) * unit:.4g}")
    return out if out >= x else x


@cache
def records() -> dict[str, dict[str, Any]]:
    """Return the files by problem: what each baseline's runs held, and how that was found."""
    folder = resources.files("gradstep.compare.problems") / "levels"
    files = sorted(folder.iterdir(), key=lambda file: file.name) if folder.is_dir() else []
    return {
        file.name.removesuffix(".json"): json.loads(file.read_text("utf-8"))
        for file in files
        if file.name.endswith(".json")
    }
