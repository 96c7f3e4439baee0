"""Figures against steps: learning curves with their interval and single seeds, norms of gradients and updates."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from gradstep.compare.evidence.statistics import interval, medians, paired_draws, resampled
from gradstep.compare.evidence.study import Study
from gradstep.compare.evidence.table import entries
from gradstep.compare.record import RunRecord
from gradstep.compare.show.pages import plots
from gradstep.compare.show.pages.plots import Figure
from gradstep.compare.show.report.looks import looks

Metric = Literal["loss", "accuracy"]
MOST = 60  # points of a line of health
LEADING = 3  # optimizers in colour, with their names at the lines
# Of all lines of one kind of a study together, which are the mass of a page: medians, and single seeds.
POINTS, THIN_POINTS = 5_000, 20_000
NAME = 0.055  # of an axis, that a name takes in height
LETTERS = 16  # of a name that has room beside an axis; where one is longer there is a legend
RESAMPLES = 500  # of a band: one for each point of each line
HEALTH = {  # recorded quantities of a step, and their titles
    "update_ratio": "update over parameters",
    "grad_norm": "gradient norm",
    "rate": "update over gradient",
}


def curves(study: Study, problem: str, metric: Metric) -> Figure:
    """Return a metric on the target's data against steps, at each best trial.

    Each line's ``meta`` has the seconds of a step, so that the page can turn steps into seconds.
    """
    target = study.target(problem)
    metrics = 1 + any(run.accuracy for run in study.runs if run.phase == "eval")
    lines = len(study.optimizers) * len(study.problems) * metrics
    leading = [entry.optimizer for entry in entries(study, problem)][:LEADING]
    behind: list[Figure] = []
    bands: list[Figure] = []
    middles: list[Figure] = []
    for label, look in zip(study.optimizers, looks(study.contenders.values()), strict=True):
        in_front = label in leading
        look = look if in_front else {"color": "muted", "dash": "solid"}
        timing = study.timing(problem, label)
        meta = {"seconds": timing.step_us / 1e6} if timing is not None and timing.step_us > 0 else {}
        runs = study.evaluated(problem, label)
        line = plots.stroke(
            label, look, *_seeds(runs, metric, share(THIN_POINTS, lines * study.spec.seeds, fewest=8)), width=1
        )
        own = {"opacity": 0.25, "showlegend": False, "hoverinfo": "skip"}
        behind += [line | own | {"meta": meta | {"part": "seeds"}}] * in_front
        steps, low, middle, high = median_band(runs, metric, study.spec.seeds)
        if low and in_front:
            x, y = _outline(steps, low, high)
            band = plots.stroke(label, look, x, y, width=0) | {"fill": "toself", "fillcolor": look["color"]}
            own = {"opacity": 0.15, "showlegend": False, "hoverinfo": "skip"}
            bands.append(band | own | {"meta": meta | {"part": "band"}})
        line = plots.stroke(label, look, steps, plots.finite(middle), width=2.5 if in_front else 1)
        line |= {} if in_front else {"opacity": 0.6}
        if low:
            line["customdata"] = [list(x) for x in zip(plots.finite(low), plots.finite(high), strict=True)]
        between = " [%{customdata[0]:.4g}, %{customdata[1]:.4g}]" if low else ""
        hover = f"%{{y:.4g}}{between} at %{{x:.4~g}}<extra>%{{fullData.name}}</extra>"
        middles.append(line | {"hovertemplate": hover, "meta": meta | {"part": "median"}})
    middles.sort(key=lambda line: line["legendgroup"] in leading)  # those in colour are drawn last, above the others
    layout = plots.axes("steps", f"{study.problem_info[problem].prefix(target.split)}{metric}")
    if target.metric == metric and math.isfinite(target.level):
        others = [plots.level(y, 0.5) for y in (target.easy, target.hard) if y is not None]
        layout["shapes"] = [plots.level(target.level), *others]
    drawn = [y for line in (*behind, *bands, *middles) for y in line["y"] if y is not None]
    if metric == "loss":
        layout["yaxis"] |= plots.log_axis(drawn)
        logs = [math.log10(y) for y in (*drawn, *(shape["y0"] for shape in layout.get("shapes", ()))) if y > 0] or [0.0]
        room = 0.04 * (max(logs) - min(logs) or 1)
        layout["yaxis"]["range"] = [min(logs) - room, max(logs) + room]
    else:  # the climb that all share is left out
        low = max(0.0, target.level - 0.15) if target.metric == "accuracy" and math.isfinite(target.level) else 0.5
        ends = [line["y"][-1] for line in middles if line["y"] and line["y"][-1] is not None]
        layout["yaxis"] |= {"tickformat": ".0%", "range": [min([low, *ends]), 1.0]}
    first = [line for line in middles if line["legendgroup"] in leading]
    longest = max((len(line["name"]) for line in first), default=0)
    if longest > LETTERS:
        for line in middles:
            line["showlegend"] = line in first
        return {"data": [*behind, *bands, *middles], "layout": layout | {"showlegend": True}}
    names = names_at_ends(first, layout["yaxis"])
    layout["xaxis"] |= {"range": [0, max((x for line in (*middles, *names) for x in line["x"]), default=0) or 1]}
    margin = {"showlegend": False, "margin": {"r": 30 + 8 * longest}}
    return {"data": [*behind, *bands, *middles, *names], "layout": layout | margin}


def names_at_ends(lines: Sequence[Figure], axis: Figure) -> list[Figure]:
    """Return the names of lines beside their last points, moved apart, each with a line that leads to it."""
    is_log, (low, high) = axis.get("type") == "log", axis["range"]
    ends = [(x, y, line) for line in lines for x, y in [_end(line)] if y is not None and (y > 0 or not is_log)]
    ends.sort(key=lambda end: end[1])
    heights: list[float] = []  # of the axis
    for _, y, _ in ends:
        height = ((math.log10(y) if is_log else y) - low) / (high - low)
        heights.append(max(height, heights[-1] + NAME if heights else 0.0))
    top = 1.0
    for k in reversed(range(len(heights))):
        heights[k] = min(heights[k], top)
        top = heights[k] - NAME
    further = 0.03 * max((x for x, _, _ in ends), default=0.0)
    out: list[Figure] = []
    for (x, y, line), height in zip(ends, heights, strict=True):
        place = low + height * (high - low)
        own = plots.stroke(line["name"], line["line"], [x, x + further], [y, 10**place if is_log else place], width=1)
        own |= {"mode": "lines+text", "text": ["", line["name"]], "textposition": "middle right", "name": line["name"]}
        own |= {"textfont": {"color": "ink"}, "showlegend": False, "hoverinfo": "skip", "cliponaxis": False}
        own["line"] |= {"dash": "solid"}
        out.append(own | {"meta": line["meta"] | {"part": "name"}})
    return out


def trials(study: Study, problem: str) -> Figure | None:
    """Return the loss of the runs that there are of a problem before any was judged; None before the first."""
    data: list[Figure] = []
    for label, look in zip(study.optimizers, looks(study.contenders.values()), strict=True):
        runs = [run for run in study.runs if (run.problem, run.optimizer) == (problem, label) and run.steps]
        if runs:
            line = plots.stroke(label, look, *_seeds(runs, "loss", MOST), width=1.5)
            hover = "%{y:.4g} after %{x} steps<extra>%{fullData.name}</extra>"
            data.append(line | {"hovertemplate": hover, "meta": {"part": "trials"}})
    if not data:
        return None
    layout = plots.axes("steps", f"{study.problem_info[problem].prefix(study.target(problem).split)}loss")
    layout["yaxis"] |= plots.log_axis([y for line in data for y in line["y"] if y is not None])
    return {"data": data, "layout": layout}


def _end(line: Figure) -> tuple[float, float | None]:
    """Return the last point of a line that is there."""
    there = [(x, y) for x, y in zip(line["x"], line["y"], strict=True) if y is not None]
    return there[-1] if there else (0.0, None)


def _seeds(runs: Sequence[RunRecord], metric: Metric, points: int) -> tuple[list[int | None], list[float | None]]:
    """Return the curves of all seeds as one line with gaps, which has one name, look and hint in the page."""
    x: list[int | None] = []
    y: list[float | None] = []
    for run in runs:
        kept = thinned(len(run.steps), points)
        x += [*(run.steps[k] for k in kept), None]
        y += [*plots.finite([getattr(run, metric)[k] for k in kept]), None]
    return x, y


def median_band(
    runs: Sequence[RunRecord], metric: Metric, seeds: int
) -> tuple[list[int], list[float], list[float], list[float]]:
    """Return steps, and there the lower bound, the median and the upper bound of a 95 % bootstrap over whole curves.

    All evaluations are there; none is left out.

    A lost run has an infinite loss, or accuracy 0. The runs are those of so many ``seeds`` for each search; the bounds
    are empty where :func:`~gradstep.compare.evidence.statistics.resampled` finds too few, or not all are there.
    """
    if not runs:
        return [], [], [], []
    longest = max(runs, key=lambda run: len(run.steps)).steps
    kept = range(len(longest))
    lost = math.inf if metric == "loss" else 0.0
    values = np.array(
        [[getattr(run, metric)[k] if k < len(getattr(run, metric)) else lost for run in runs] for k in kept], float
    ).reshape(len(kept), len(runs))
    values = np.where(np.isnan(values), lost, values)
    steps = [longest[k] for k in kept]
    if not steps:
        return [], [], [], []
    searches, missing = divmod(len(runs), seeds)
    over = None if missing else resampled(1, seeds, searches)
    if over is None:
        return steps, [], medians(values).tolist(), []
    found = interval(medians, values[:, None, :], paired_draws(1, seeds, searches, RESAMPLES, over=over))
    return steps, *(x[:, 0].tolist() for x in (found.low, found.estimate, found.high))


def health(study: Study, problem: str, quantity: str) -> Figure | None:
    """Return one of :data:`HEALTH` against steps, a line for each optimizer; None if no run has it."""
    data: list[Figure] = []
    for label, look in zip(study.optimizers, looks(study.contenders.values()), strict=True):
        run = study.health(problem, label)
        if run is None or not run.health.get(quantity):
            continue
        values = run.health[quantity]
        kept = thinned(len(values), share(POINTS, len(HEALTH) * len(study.problems) * len(study.optimizers)))
        # A log axis has no place for 0.
        y = [x if x is not None and x > 0 else None for x in plots.finite([values[k] for k in kept])]
        line = plots.stroke(label, look, [run.steps[1 + k] for k in kept], y, width=2)
        data.append(line | {"hovertemplate": "%{y:.3g} in step %{x}<extra>%{fullData.name}</extra>"})
    if not any(y is not None for line in data for y in line["y"]):
        return None
    layout = plots.axes("steps", HEALTH[quantity])
    layout["yaxis"] |= plots.log_axis([y for line in data for y in line["y"] if y])
    return {"data": data, "layout": layout}


def share(points: int, lines: int, fewest: int = 16) -> int:
    """Return the number of points of each line, from those of all lines together."""
    return min(MOST, max(fewest, points // lines))


def thinned(count: int, most: int) -> list[int]:
    """Return indices of at most ``most`` of ``count`` points, evenly spaced, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(k * (count - 1) / (most - 1)) for k in range(most)})


def _outline(steps: Sequence[int], low: Sequence[float], high: Sequence[float]) -> tuple[list[int], list[float]]:
    """Return the outline along the lower bounds and back along the upper ones, where both are finite."""
    pairs = zip(steps, low, high, strict=True)
    there = [x for x in pairs if math.isfinite(x[1]) and math.isfinite(x[2])]
    back = there[::-1]
    return [s for s, _, _ in (*there, *back)], plots.rounded([*(x[1] for x in there), *(x[2] for x in back)])
