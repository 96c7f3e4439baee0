"""The order of optimizers against the height of the targets: what an easier or a harder target says.

The heights are the levels that the targets have; where a problem has but one, made-up ones on the way to it.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.statistics import medians, run_scores
from gradstep.compare.evidence.statistics.tables import Array
from gradstep.compare.evidence.study import Study
from gradstep.compare.problems import Target
from gradstep.compare.record import RunRecord
from gradstep.compare.show.pages import plots
from gradstep.compare.show.pages.plots import Figure
from gradstep.compare.show.report.looks import looks, marker
from gradstep.compare.show.wording import Cell, steps

HEIGHTS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)


def at_height(target: Target, start: float, height: float) -> Target:
    """Return a target that is so far on the way from the start to the target, 1 for the target itself.

    The way is even in the logarithm of a loss, or of an error rate, 1 less an accuracy; in the loss itself where an end
    of it is not above 0.

    Parameters
    ----------
    target
        Of a problem.
    start
        The metric before the first step.
    height
        Above 1 for a target that is harder.
    """
    if height == 1:
        return target
    if target.metric == "accuracy":
        first, last = 1 - start, 1 - target.level
    else:
        first, last = start, target.level
    level = first * (last / first) ** height if first > 0 and last > 0 else first + height * (last - first)
    return replace(target, level=1 - level if target.metric == "accuracy" else level)


def times_at(evidence: Evidence, height: float) -> Array:
    """Steps to the targets of complete problems at a height, [problem, optimizer, run]."""
    study = evidence.study
    return study.steps_to(
        {problem: at_height(study.target(problem), _start(study, problem), height) for problem in evidence.problems}
    )


def _start(study: Study, problem: str) -> float:
    """The metric of the target before the first step, the median of all judging runs."""
    runs = [run for label in study.optimizers for run in study.evaluated(problem, label)]
    return float(np.median([_first(run, study.target(problem)) for run in runs]))


def _first(run: RunRecord, target: Target) -> float:
    values = run.accuracy if target.metric == "accuracy" else run.loss
    return values[0] if values else math.nan


def heights(evidence: Evidence) -> Figure | None:
    """Return scores against the height of the targets; None where no target was ever reached."""
    study, tiers = evidence.study, evidence.tiers
    x: list[Any] = list(tiers or HEIGHTS)
    times = list(tiers.values()) or [times_at(evidence, height) for height in HEIGHTS]
    with np.errstate(invalid="ignore"):
        scores = np.array([run_scores(own) for own in times])
    if not scores.any():
        return None
    data: list[Figure] = []
    for k, (label, look) in enumerate(zip(study.optimizers, looks(study.contenders.values()), strict=True)):
        line = plots.stroke(label, look, x, plots.rounded(scores[:, k].tolist()), width=2)
        hover = f"{'' if tiers else 'height '}%{{x}}: score %{{y:.3g}}<extra>%{{fullData.name}}</extra>"
        data.append(line | {"mode": "lines+markers", "marker": marker(look, 8), "hovertemplate": hover})
    layout = plots.axes("targets" if tiers else "height of the targets; 1: as they are", "score")
    layout["xaxis"] |= {"type": "category"} if tiers else {"tickvals": x, "ticktext": [f"{h:g}" for h in x]}
    layout["yaxis"] |= {"range": [-0.03, 1.03]}
    return {"data": data, "layout": layout}


def by_level(evidence: Evidence) -> tuple[list[str], list[list[Cell]]]:
    """Headings and rows of each optimizer at each level: its score, or on one problem median steps, and its hits."""
    study, alone = evidence.study, len(evidence.problems) == 1
    heads = ["optimizer", *(f"{tier}: {x}" for tier in evidence.tiers for x in ("steps" if alone else "score", "hit"))]
    rows: list[list[Cell]] = [[(study.optimizers[k], study.optimizers[k])] for k in evidence.order]
    for times in evidence.tiers.values():
        worth = medians(times)[0] if alone else run_scores(times)
        hits, runs = np.isfinite(times).sum(axis=(0, 2)), times.shape[0] * times.shape[2]
        for k, row in zip(evidence.order, rows, strict=True):
            value = float(worth[k])
            row += [(steps(value) if alone else f"{value:.3f}", value), (f"{hits[k]}/{runs}", int(hits[k]))]
    return heads, rows
