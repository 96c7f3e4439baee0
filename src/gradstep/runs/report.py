"""The report of a run, one HTML file that opens with the network off: facts, warnings, charts, settings."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from gradstep.compare.show.pages.plots import Figure, axes, line, log_axis
from gradstep.environment import environment
from gradstep.files import write_text
from gradstep.runs.folder import Folder
from gradstep.runs.summary import Curve, Summary, ended, facts
from gradstep.text import is_wide

# Heading, axis' title and columns of the history that are drawn together; metrics have a chart of their own.
_CHARTS = {
    "value": ("Value of the objective", "value", ("value",)),
    "norms": ("Gradient and update", "norm, ratio", ("grad_norm", "update_ratio")),
    "lr": ("Learning rate", "lr", ("lr",)),
}


def write_report(folder: Folder, title: str, summary: Summary, warnings: Sequence[str], path: Path) -> None:
    """Write the report to ``path``, whole or not at all (about 5 MB, most of it Plotly's own code)."""
    from gradstep.compare.show.pages.templates import render, standalone  # Jinja2, for those who write a report alone

    charts = _charts(summary)
    why = ended(summary)
    main = render(
        "gradstep.runs",
        "report.html",
        title=title,
        lead=why[0].upper() + why[1:],
        facts=facts(summary),
        warnings=warnings,
        charts={key: heading for key, (heading, _) in charts.items()},
        command=folder.resume,
        settings=_settings(folder),
        environment=environment(),
    )
    figures = {key: figure for key, (_, figure) in charts.items()}
    write_text(path, standalone(f"{title}: a run. Gradstep", main, figures))


def _charts(summary: Summary) -> dict[str, tuple[str, Figure]]:
    """Identifier -> heading and figure; columns without a number are left out, and a learning rate that stays."""
    metrics = tuple(sorted(key for key in summary.curves if "/" in key))
    wanted = {**_CHARTS, **({"metrics": ("Metrics", "value", metrics)} if metrics else {})}
    out: dict[str, tuple[str, Figure]] = {}
    for key, (heading, axis, columns) in wanted.items():
        curves = {column: summary.curves[column].thinned() for column in columns if column in summary.curves}
        is_still = key == "lr" and len(set(curves["lr"].values if curves else ())) == 1  # "In numbers" has it
        if curves and not is_still:
            out[key] = heading, _chart(axis, curves if key != "norms" else _positive(curves))
    return out


def _positive(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Curves without zeros, where there is anything else: a log axis shows them all, and has no place for a zero."""
    out: dict[str, Curve] = {}
    for name, curve in curves.items():
        kept = [(t, x) for t, x in zip(curve.steps, curve.values, strict=True) if x > 0]
        out[name] = Curve(*map(list, zip(*kept, strict=True))) if kept else curve
    return out


def _chart(axis: str, curves: Mapping[str, Curve]) -> Figure:
    layout = axes("steps", axis)
    values = [x for curve in curves.values() for x in curve.values]
    if is_wide(values):
        layout["yaxis"] |= log_axis(values)
    traces = [line(name, i, curve.steps, curve.values, width=2) for i, (name, curve) in enumerate(curves.items())]
    single = {"mode": "markers"} if all(len(curve.steps) == 1 for curve in curves.values()) else {}
    return {"data": [trace | single for trace in traces], "layout": layout | {"showlegend": len(curves) > 1}}


def _settings(folder: Folder) -> dict[str, str]:
    """Return the settings of the run by name, limits among them."""
    spec = folder.spec()
    given = {**spec.__dict__, **spec.limits.__dict__}
    del given["limits"], given["beside"]
    return {key.replace("_", " "): _short(x) for key, x in given.items() if x is not None}


def _short(x: object) -> str:
    return f"{x:g}" if isinstance(x, float) and math.isfinite(x) else str(x)
