"""Steps to the target against an option that problems of a study differ in: batch size, width, condition."""

import math

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.problems import usual_options
from gradstep.compare.show.pages import plots
from gradstep.compare.show.pages.plots import Figure
from gradstep.compare.show.report.looks import looks, marker
from gradstep.text import read_names


def varied(problems: list[str]) -> dict[tuple[str, str], dict[float, str]]:
    """Return labels of problems by the value of an option, for each option in which problems of one name differ.

    By the problem that they are otherwise and the option: ``("digits-mlp", "batch")``.
    """
    found: dict[tuple[str, str], dict[float, str]] = {}
    for label in problems:
        [named] = read_names(label)
        options = usual_options(named.name) | dict(named.values)
        for key, value in options.items():
            others = tuple(sorted((name, x) for name, x in options.items() if name != key))
            found.setdefault((f"{named.name} {others}", key), {})[value] = label
    titled: dict[tuple[str, str], dict[float, str]] = {}
    for (_, key), labels in found.items():
        if len(labels) > 1:
            [named] = read_names(labels[min(labels)])
            rest = ",".join(f"{name}={x:g}" for name, x in named.values if name != key)
            titled[f"{named.name}:{rest}" if rest else named.name, key] = dict(sorted(labels.items()))
    return titled


def against(evidence: Evidence, key: str, labels: dict[float, str]) -> Figure | None:
    """Return steps to the target against the values of an option; None if no optimizer reached one."""
    study = evidence.study
    steps = evidence.steps().estimate
    data: list[Figure] = []
    for k, (label, look) in enumerate(zip(study.optimizers, looks(study.contenders.values()), strict=True)):
        y = [float(steps[evidence.problems.index(problem), k]) for problem in labels.values()]
        line = plots.stroke(label, look, list(labels), plots.finite(y), width=2)
        hover = f"{key} %{{x}}: %{{y:.4g}} steps<extra>%{{fullData.name}}</extra>"
        data.append(line | {"mode": "lines+markers", "marker": marker(look, 8), "hovertemplate": hover})
    reached = [y for line in data for y in line["y"] if y is not None and math.isfinite(y) and y > 0]
    if not reached:
        return None
    layout = plots.axes(key, "steps to the target, median")
    ticks = list(labels)
    layout["xaxis"] |= {"type": "log", "tickvals": ticks, "ticktext": [f"{x:g}" for x in ticks]}
    layout["yaxis"] |= plots.log_axis(reached)
    return {"data": data, "layout": layout}
