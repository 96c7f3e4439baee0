"""The figures as plain Plotly dicts. Colours named ``ink`` are replaced on the page by the theme's text colour."""

import math
from collections.abc import Sequence

from gradstep.compare.naming import short
from gradstep.compare.protocol import RunResult
from gradstep.compare.report import plots
from gradstep.compare.report.plots import Figure
from gradstep.compare.statistics import median
from gradstep.compare.study import Study
from gradstep.compare.table import best_lr, final_loss


def accuracy_curves(study: Study) -> Figure:
    """Accuracy against steps at each best learning rate; the range leaves out the climb that all share."""
    target = study.problem.target
    low = max(0.0, target.level - 0.15) if target.metric == "accuracy" else 0.5
    figure = _curves(study, "accuracy")
    figure["layout"]["yaxis"] |= {"tickformat": ".0%", "range": [low, 1.0]}
    return figure


def loss_curves(study: Study) -> Figure:
    """Loss against steps, on a log axis, at each best learning rate."""
    figure = _curves(study, "loss")
    figure["layout"]["yaxis"] |= plots.log_axis([y for trace in figure["data"] for y in trace["y"]])
    return figure


def sensitivity(study: Study) -> Figure:
    """Final loss against learning rate; no worse than where it began, and a cross where a seed diverged."""
    start = median([r.loss[0] for r in study.runs if r.loss] or [1.0])
    traces = [_sensitivity_trace(study, i, start) for i in range(len(study.spec.contenders))]
    where = study.problem.where(study.problem.target.split)
    layout = plots.axes("learning rate", f"final {where}loss")
    layout["xaxis"] |= plots.log_axis([]) | {"dtick": 1}
    layout["yaxis"] |= plots.log_axis([y for trace in traces for y in trace["y"]])
    layout["shapes"] = [plots.level(start)]
    return {"data": traces, "layout": layout}


def _curves(study: Study, metric: str) -> Figure:
    target = study.problem.target
    traces: list[Figure] = []
    for i, contender in enumerate(study.spec.contenders):
        runs = study.runs_of(contender.label)
        best = [r for r in runs if r.lr == best_lr(contender, runs)]
        for r in best:
            thin = plots.line(contender.label, i, r.steps, getattr(r, metric), width=1)
            traces.append(thin | {"opacity": 0.3, "showlegend": False, "hoverinfo": "skip"})
        steps, middle = _median_curve(best, metric)
        traces.append(plots.line(contender.label, i, steps, middle, width=2.5))
    layout = plots.axes("steps", f"{study.problem.where(target.split)}{metric}")
    if target.metric == metric:
        layout["shapes"] = [plots.level(target.level)]
    return {"data": traces, "layout": layout}


def _median_curve(runs: Sequence[RunResult], metric: str) -> tuple[list[int], list[float]]:
    """The median over seeds at each step that all runs reached; a run that diverged ends it."""
    steps = min((r.steps for r in runs), key=len)
    return steps, [median(values) for values in zip(*(getattr(r, metric)[: len(steps)] for r in runs), strict=True)]


def _sensitivity_trace(study: Study, i: int, start: float) -> Figure:
    contender = study.spec.contenders[i]
    heights: list[float] = []
    bars: dict[str, list[float]] = {"array": [], "arrayminus": []}
    texts: list[str] = []
    symbols: list[str] = []
    for lr in contender.lrs:
        there = [r for r in study.runs_of(contender.label) if r.lr == lr]
        ends = [final_loss(r) for r in there]
        lost = sum(map(math.isinf, ends))
        low, middle, high = (min(x, start) for x in (min(ends), median(ends), max(ends)))
        heights.append(middle)
        bars["array"].append(high - middle)
        bars["arrayminus"].append(middle - low)
        symbols.append("x" if lost else "circle")
        texts.append(f"{lost} of {len(there)} diverged" if lost else f"{min(ends):.3g} to {max(ends):.3g}")
    trace = plots.line(contender.label, i, contender.lrs, heights, width=2)
    return trace | {
        "mode": "lines+markers",
        "marker": {"color": plots.colour(i), "size": 9, "symbol": symbols},
        "error_y": {"type": "data", "symmetric": False, "color": plots.colour(i), "thickness": 1, "width": 3}
        | {key: plots.rounded(values) for key, values in bars.items()},
        "text": texts,
        "hovertemplate": "lr %{x}: %{y:.3g} (%{text})<extra>%{fullData.name}</extra>",
    }


def describe(study: Study, what: str) -> str:
    """What a screen reader says in place of a figure; the numbers themselves are in the table."""
    names = ", ".join(f"{row.optimizer} at {short(row.lr)}" for row in study.table())
    return f"Line chart of {what}. A line for each optimizer: {names}. The table above has the numbers."
