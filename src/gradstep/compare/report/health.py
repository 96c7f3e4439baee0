"""What the steps of a run were like: norms of gradients and updates before each evaluation."""

from gradstep.compare.pages import plots
from gradstep.compare.pages.plots import Figure
from gradstep.compare.report.curves import POINTS, share, thinned
from gradstep.compare.report.looks import looks
from gradstep.compare.study import Study

TITLES = {
    "update_ratio": "update over parameters",
    "grad_norm": "gradient norm",
    "rate": "update over gradient",
}


def health(study: Study, problem: str, quantity: str) -> Figure | None:
    """One quantity against steps, a line for each optimizer; None where no run was looked at."""
    data: list[Figure] = []
    for label, look in zip(study.optimizers, looks(study.contenders.values()), strict=True):
        run = study.health(problem, label)
        if run is None or not run.health.get(quantity):
            continue
        values = run.health[quantity]
        kept = thinned(len(values), share(POINTS, len(TITLES) * len(study.problems) * len(study.optimizers)))
        # A log axis has no place for 0.
        y = [x if x is not None and x > 0 else None for x in plots.finite([values[k] for k in kept])]
        line = plots.stroke(label, look, [run.steps[1 + k] for k in kept], y, width=2)
        data.append(line | {"hovertemplate": "%{y:.3g} in step %{x}<extra>%{fullData.name}</extra>"})
    if not any(y is not None for line in data for y in line["y"]):
        return None
    layout = plots.axes("steps", TITLES[quantity])
    layout["yaxis"] |= plots.log_axis([y for line in data for y in line["y"] if y]) | {"exponentformat": "power"}
    return {"data": data, "layout": layout}
