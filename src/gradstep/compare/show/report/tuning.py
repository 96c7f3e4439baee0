"""Figures of tuning: the loss at learning rates around the best one, and the best of a number of trials."""

import math

from gradstep.compare.evidence.evidence import Evidence, Rates
from gradstep.compare.show.pages import plots
from gradstep.compare.show.pages.plots import Figure, Look
from gradstep.compare.show.report.looks import looks, marker
from gradstep.text import written


def sensitivity(evidence: Evidence, problem: str) -> Figure | None:
    """Return the loss against the learning rate in the trials, at most the initial loss; None if nothing was tried.

    It is the final one, or where trials were halved that of the first rung, to which all of them came.
    """
    study = evidence.study
    found = {label: evidence.rates(problem, label) for label in study.optimizers}
    data = [
        _rates(label, look, rates)
        for (label, rates), look in zip(found.items(), looks(study.contenders.values()), strict=True)
        if rates is not None
    ]
    if not data:
        return None
    start = evidence.start(problem)
    stop, loss = evidence.first_stop(problem), f"{study.problem_info[problem].prefix(study.target(problem).split)}loss"
    layout = plots.axes("learning rate", f"final {loss}" if stop is None else f"{loss} after {stop} steps")
    layout["xaxis"] |= plots.log_axis([]) | {"dtick": 1}
    layout["yaxis"] |= plots.log_axis([y for trace in data for y in trace["y"]])
    layout["shapes"] = [plots.level(start)]
    return {"data": data, "layout": layout}


def _rates(label: str, look: Look, found: Rates) -> Figure:
    middle = found.middle
    bars = {
        "array": [high - y for high, y in zip(found.high, middle, strict=True)],
        "arrayminus": [y - low for low, y in zip(found.low, middle, strict=True)],
    }
    line = plots.stroke(label, look, found.rates, plots.rounded(middle), width=2)
    return line | {
        "mode": "lines+markers",
        "marker": marker(look, 8, found.lost),
        "error_y": {"type": "data", "symmetric": False, "color": look["color"], "thickness": 1, "width": 3}
        | {key: plots.rounded(values) for key, values in bars.items()},
        "text": [
            f"{lost} of {runs} lost" if lost else f"{low:.3g} to {high:.3g}"
            for lost, runs, low, high in zip(found.lost, found.runs, found.low, found.high, strict=True)
        ],
        "hovertemplate": "lr %{x}: %{y:.3g} (%{text})<extra>%{fullData.name}</extra>",
    }


def budget(evidence: Evidence, problem: str) -> Figure | None:
    """Return steps to the target of the best of k trials, against k; None if there are no trials to count."""
    study = evidence.study
    data: list[Figure] = []
    for label, look in zip(study.optimizers, looks(study.contenders.values()), strict=True):
        found = evidence.trials(problem, label)
        if found is None:
            continue
        line = plots.stroke(label, look, found.trials.tolist(), plots.finite(found.median.tolist()), width=2.5)
        line |= {"mode": "lines+markers", "marker": marker(look, 8)}
        line["customdata"] = plots.rounded(found.hit.tolist())
        hover = "best of %{x}: %{y:.4g} steps; a hit with probability %{customdata:.3g}<extra>%{fullData.name}</extra>"
        data.append(line | {"hovertemplate": hover})
    if not any(y is not None for line in data for y in line["y"]):
        return None
    layout = plots.axes("trials", "steps to the target, best trial")
    ticks = sorted({x for line in data for x in line["x"]})
    layout["xaxis"] |= {"type": "log", "tickvals": ticks, "ticktext": list(map(str, ticks))}
    layout["yaxis"] |= plots.log_axis([y for line in data for y in line["y"] if y])
    return {"data": data, "layout": layout}


def usable(found: Rates) -> tuple[str, str]:
    """Return the scalar and the usable decades of :func:`lr_sensitivity` in words; a dash if unknown."""
    if found.found is None:
        return "-", "-"
    if math.isnan(found.found.low):
        return written(found.found.value), "0"
    below, above = found.found.low == found.rates[0], found.found.high == found.rates[-1]
    more = " or more: all that was tried" if below and above else " or more, below" * below + " or more, above" * above
    return written(found.found.value), f"{found.found.decades:.2g}{more}"
