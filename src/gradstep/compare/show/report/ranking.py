"""Figures that rank optimizers: profiles, run-time distributions, costs of a step, ranks."""

import math
from collections.abc import Sequence

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.statistics import CriticalDifference, StepFunction, medians
from gradstep.compare.evidence.statistics.profile import R_MAX
from gradstep.compare.evidence.study import Axis, Study
from gradstep.compare.show.pages import plots
from gradstep.compare.show.pages.plots import Figure
from gradstep.compare.show.report.looks import looks, marker

UNITS: dict[Axis, str] = {"steps": "steps", "seconds": "seconds", "gradients": "gradient evaluations"}


def profile(evidence: Evidence, axis: Axis) -> Figure:
    """The fraction of problems that each optimizer solves within a multiple of the best one's time."""
    found = [_corners(curve, 1.0, R_MAX) for curve in evidence.profiles(axis)]
    layout = plots.axes(f"times the {UNITS[axis]} of the best", "fraction of problems solved")
    layout["xaxis"] |= {"range": [1, R_MAX]}
    layout["yaxis"] |= {"range": [0, 1.03]}
    return {"data": _stairs(evidence, found), "layout": layout}


def ecdf(evidence: Evidence, axis: Axis) -> Figure:
    """The fraction of (problem, target, seed) that each optimizer has reached by a time."""
    found = evidence.ecdfs(axis)
    positive = [float(x) for curve in found for x in curve.x if x > 0]
    low, high = min(positive, default=1e-3), max(positive, default=1.0)
    alone = len(evidence.problems) == 1
    title = UNITS[axis] if alone else f"{UNITS[axis]}, as a fraction of the budget"
    layout = plots.axes(title, "fraction of targets reached")
    layout["xaxis"] |= plots.log_axis(positive) | {"range": [math.log10(low), math.log10(max(high, 1.01 * low))]}
    layout["yaxis"] |= {"range": [0, 1.03]}
    return {"data": _stairs(evidence, [_corners(curve, low, high) for curve in found]), "layout": layout}


def _corners(function: StepFunction, low: float, high: float) -> tuple[list[float], list[float]]:
    """Return the corners of a step function from ``low`` to ``high``, both ends among them."""
    x, y = function.x, function.y
    inside = (x > low) & (x < high)
    xs = [low, *x[inside].tolist(), high]
    ys = [float(function.at(low)), *y[inside].tolist(), float(function.at(high))]
    return plots.rounded(xs), plots.rounded(ys)


def _stairs(evidence: Evidence, corners: Sequence[tuple[list[float], list[float]]]) -> list[Figure]:
    labels = evidence.study.optimizers
    out: list[Figure] = []
    for label, look, (x, y) in zip(labels, looks(evidence.study.contenders.values()), corners, strict=True):
        line = plots.stroke(label, look, x, y, width=2.5)
        line["line"]["shape"] = "hv"
        out.append(line | {"hovertemplate": "%{y:.3g} by %{x:.3g}<extra>%{fullData.name}</extra>"})
    return out


def costs(evidence: Evidence) -> Figure:
    """Median seconds to the target against median steps: a point for each optimizer on each problem that it solves."""
    steps, seconds = medians(evidence.times()), medians(evidence.times("seconds"))
    labels = evidence.study.optimizers
    data: list[Figure] = []
    for k, (label, look) in enumerate(zip(labels, looks(evidence.study.contenders.values()), strict=True)):
        there = [i for i in range(len(evidence.problems)) if 0 < steps[i, k] < math.inf]
        x, y = ([float(table[i, k]) for i in there] for table in (steps, seconds))
        point = plots.stroke(label, look, plots.rounded(x), plots.rounded(y), width=0) | {"mode": "markers"}
        point |= {"marker": marker(look, 9), "customdata": [evidence.problems[i] for i in there]}
        hover = "%{customdata}: %{x:.4g} steps, %{y:.3g} s<extra>%{fullData.name}</extra>"
        data.append(point | {"hovertemplate": hover})
    layout = plots.axes("steps to the target", "seconds to the target")
    layout["xaxis"] |= plots.log_axis([x for point in data for x in point["x"]])
    layout["yaxis"] |= plots.log_axis([y for point in data for y in point["y"]])
    return {"data": data, "layout": layout}


def rank_change(evidence: Evidence) -> Figure:
    """The place of each optimizer by steps and by seconds, joined."""
    labels = evidence.study.optimizers
    places = [evidence.ranks("steps"), evidence.ranks("seconds")]
    data: list[Figure] = []
    for label, look, *ranks in zip(labels, looks(evidence.study.contenders.values()), *places, strict=True):
        line = plots.stroke(label, look, [], ranks, width=2.5) | {"x": ["by steps", "by seconds"]}
        line |= {"mode": "lines+markers", "marker": marker(look, 8)}
        data.append(line | {"hovertemplate": "place %{y} %{x}<extra>%{fullData.name}</extra>"})
    layout = plots.axes("", "place")
    layout["xaxis"] |= {"type": "category"}
    layout["yaxis"] |= {"range": [len(labels) + 0.5, 0.5], "dtick": 1 if len(labels) < 15 else 5}
    return {"data": data, "layout": layout}


def critical(study: Study, found: CriticalDifference) -> Figure:
    """Mean ranks over problems, and a bar for each group of optimizers that cannot be told apart."""
    labels, own = study.optimizers, looks(study.contenders.values())
    order = sorted(range(len(labels)), key=lambda k: found.ranks[k])
    data: list[Figure] = []
    for place, k in enumerate(order):
        look = own[k]
        mark = plots.stroke(labels[k], look, plots.rounded([float(found.ranks[k])]), [-place], width=0)
        mark |= {"mode": "markers+text", "text": [labels[k]], "textposition": "middle right"}
        mark |= {"textfont": {"color": "ink"}, "marker": marker(look, 9)}
        data.append(mark | {"hovertemplate": "mean rank %{x:.3g}<extra>%{fullData.name}</extra>"})
    for number, group in enumerate(found.groups):
        ends = [float(found.ranks[group[0]]), float(found.ranks[group[-1]])]
        height = 1.0 + 0.6 * number
        bar = plots.stroke("not told apart", {"color": "ink", "dash": "solid"}, ends, [height, height], width=4)
        data.append(bar | {"hoverinfo": "skip"})
    layout = plots.axes("mean rank (1 is best)", "")
    layout["showlegend"] = False
    layout["xaxis"] |= {"range": [0.8, len(labels) + 0.8]}
    layout["yaxis"] |= {"showticklabels": False, "showgrid": False}
    layout["yaxis"] |= {"range": [-len(labels), 1.6 + 0.6 * len(found.groups)]}
    return {"data": data, "layout": layout}
