"""The figures as plain Plotly dicts. Colours named ``ink`` are replaced on the page by the theme's text colour."""

import math
from collections.abc import Sequence

from gradstep.compare.record import Run
from gradstep.compare.report import plots
from gradstep.compare.report.plots import Figure
from gradstep.compare.statistics import median
from gradstep.compare.study import Study, final_loss, learning_rate
from gradstep.compare.table import make_entry
from gradstep.compare.wording import chosen


def accuracy_curves(study: Study, problem: str) -> Figure:
    """Accuracy against steps at each best trial; the range leaves out the climb that all share."""
    target = study.target(problem)
    low = max(0.0, target.level - 0.15) if target.metric == "accuracy" else 0.5
    figure = _curves(study, problem, "accuracy")
    figure["layout"]["yaxis"] |= {"tickformat": ".0%", "range": [low, 1.0]}
    return figure


def loss_curves(study: Study, problem: str) -> Figure:
    """Loss against steps, on a log axis, at each best trial."""
    figure = _curves(study, problem, "loss")
    figure["layout"]["yaxis"] |= plots.log_axis([y for trace in figure["data"] for y in trace["y"]])
    return figure


def sensitivity(study: Study, problem: str) -> Figure:
    """Final loss against learning rate, by trial; no worse than where it began, and a cross where a seed diverged."""
    starts = [r.loss[0] for label in study.optimizers for r in study.runs_of(problem, label) if r.loss]
    start = median(starts or [1.0])
    traces = [_sensitivity_trace(study, problem, i, start) for i in range(len(study.optimizers))]
    where = study.cards[problem].where(study.target(problem).split)
    layout = plots.axes("learning rate", f"final {where}loss")
    layout["xaxis"] |= plots.log_axis([]) | {"dtick": 1}
    layout["yaxis"] |= plots.log_axis([y for trace in traces for y in trace["y"]])
    layout["shapes"] = [plots.level(start)]
    return {"data": traces, "layout": layout}


def _curves(study: Study, problem: str, metric: str) -> Figure:
    target = study.target(problem)
    traces: list[Figure] = []
    for i, label in enumerate(study.optimizers):
        best = study.evaluated(problem, label)
        for r in best:
            thin = plots.line(label, i, r.steps, getattr(r, metric), width=1)
            traces.append(thin | {"opacity": 0.3, "showlegend": False, "hoverinfo": "skip"})
        steps, middle = _median_curve(best, metric)
        traces.append(plots.line(label, i, steps, middle, width=2.5))
    layout = plots.axes("steps", f"{study.cards[problem].where(target.split)}{metric}")
    if target.metric == metric and math.isfinite(target.level):
        layout["shapes"] = [plots.level(target.level)]
    return {"data": traces, "layout": layout}


def _median_curve(runs: Sequence[Run], metric: str) -> tuple[list[int], list[float]]:
    """The median over seeds at each step that all runs reached; a run that diverged ends it."""
    steps = min((r.steps for r in runs), key=len, default=[])
    return steps, [median(values) for values in zip(*(getattr(r, metric)[: len(steps)] for r in runs), strict=True)]


def _sensitivity_trace(study: Study, problem: str, i: int, start: float) -> Figure:
    label = study.optimizers[i]
    runs = study.tuning(problem, label) or study.evaluated(problem, label)
    rates: dict[float, list[Run]] = {}
    for r in runs:
        rates.setdefault(learning_rate(r), []).append(r)
    heights: list[float] = []
    bars: dict[str, list[float]] = {"array": [], "arrayminus": []}
    texts: list[str] = []
    symbols: list[str] = []
    for lr in sorted(rates):
        there = rates[lr]
        ends = [final_loss(r) for r in there]
        lost = sum(map(math.isinf, ends))
        low, middle, high = (min(x, start) for x in (min(ends), median(ends), max(ends)))
        heights.append(middle)
        bars["array"].append(high - middle)
        bars["arrayminus"].append(middle - low)
        symbols.append("x" if lost else "circle")
        texts.append(f"{lost} of {len(there)} diverged" if lost else f"{min(ends):.3g} to {max(ends):.3g}")
    trace = plots.line(label, i, sorted(rates), heights, width=2)
    return trace | {
        "mode": "lines+markers",
        "marker": {"color": plots.colour(i), "size": 9, "symbol": symbols},
        "error_y": {"type": "data", "symmetric": False, "color": plots.colour(i), "thickness": 1, "width": 3}
        | {key: plots.rounded(values) for key, values in bars.items()},
        "text": texts,
        "hovertemplate": "lr %{x}: %{y:.3g} (%{text})<extra>%{fullData.name}</extra>",
    }


def describe(study: Study, problem: str, what: str) -> str:
    """What a screen reader says in place of a figure; the numbers themselves are in the table."""
    entries = [make_entry(study, problem, label) for label in study.optimizers]
    names = ", ".join(f"{entry.optimizer} at {chosen(entry)}" for entry in entries if entry is not None)
    return f"Line chart of {what}. A line for each optimizer: {names}. The table above has the numbers."
