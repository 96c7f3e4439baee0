"""The page's figures as plain Plotly dicts, in the colours of the reports."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradstep.compare.show.pages import plots
from gradstep.compare.show.pages.plots import Figure
from gradstep.compare.show.play import rates
from gradstep.compare.show.play.paths import Path, numbers
from gradstep.compare.show.play.settings import Settings
from gradstep.form.chain import program
from gradstep.text import short

GRID = 81  # points of the contour each way
LEVELS = 14
SPACING = 0.25  # between two lines of the rate map: a factor of 1.8 in steps
DIGITS = (1, 10, 100, 1000)
COORDINATES = ("x", "y")
LEGEND = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
STILL = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False}


def contour(settings: Settings, paths: Sequence[Path]) -> Figure:
    """Return the surface from above with the paths on it; the last traces are one point each, the ends of the paths."""
    x, y, z = settings.surface.heights(GRID)
    ground = {
        "type": "contour",
        "x": _short(x),
        "y": _short(y),
        "z": np.round(_tint(z - settings.surface.surface.least), 4).tolist(),
        "ncontours": LEVELS,
        "colorscale": [[0, "low"], [1, "high"]],
        "line": {"color": "rule", "width": 1},
        "showscale": False,
        "hoverinfo": "skip",
    }
    halos: list[Figure] = []
    lines: list[Figure] = []
    points: list[Figure] = []
    for i, path in enumerate(paths):
        own = plots.line(path.player.label, i, _short(path.x[:, 0]), path.x[:, 1].tolist(), width=2)
        texts = [f"step {t}: loss {loss:.4g}" for t, loss in enumerate(path.loss)]
        shown = "(%{x:.4g}, %{y:.4g}), %{text}<extra>%{fullData.name}</extra>"
        lines.append(own | {"text": texts, "hovertemplate": shown})
        halos.append(own | {"hoverinfo": "skip", "opacity": 0.7, "line": {"color": "paper", "width": 6}})
        end = {"x": own["x"][-1:], "y": own["y"][-1:], "mode": "markers", "hoverinfo": "skip"}
        marker = {"color": plots.colour(i), "size": 10, "line": {"color": "ink", "width": 1}}
        points.append({key: own[key] for key in ("type", "name")} | end | {"marker": marker})
    start = {
        "type": "scatter",
        "mode": "markers",
        "name": "start",
        "x": [settings.start[0]],
        "y": [settings.start[1]],
        "marker": {"color": "ink", "size": 11, "symbol": "x-thin", "line": {"color": "ink", "width": 2}},
        "hovertemplate": "start (%{x:.4g}, %{y:.4g})<extra></extra>",
    }
    low, high, bottom, top = settings.surface.surface.box
    layout = _still(plots.axes("x", "y"))
    layout["xaxis"] |= {"range": [low, high], "fixedrange": True, "constrain": "domain", "showgrid": False}
    layout["yaxis"] |= {"range": [bottom, top], "fixedrange": True, "showgrid": False}
    layout["yaxis"] |= {"scaleanchor": "x", "constrain": "domain"}
    for axis in ("xaxis", "yaxis"):
        layout[axis]["automargin"] = False  # it would not come to rest beside the anchor
    return {"data": [ground, *halos, *lines, start, *points], "layout": layout, "config": STILL}


def loss(settings: Settings, paths: Sequence[Path]) -> Figure:
    """Return the loss above the minimum of each path against steps, on a log axis."""
    above = [path.loss - settings.surface.surface.least for path in paths]
    return _over_steps(paths, above, "loss above the minimum", first=0)


def moved(paths: Sequence[Path]) -> Figure:
    """Return the length of each step."""
    return _over_steps(paths, [path.moved for path in paths], "length of the step", first=1)


def rate(path: Path, i: int) -> Figure:
    """Return the step of one optimizer over the gradient, in each coordinate: its effective learning rates."""
    return _coordinates(path.rate, i, "rate of the step", first=1, is_log=True)


def state(path: Path, i: int) -> dict[str, Figure]:
    """Return the arrays of one optimizer's state by name, in each coordinate."""
    return {name: _coordinates(values, i, "", first=0, is_log=False) for name, values in path.state.items()}


def rate_map(settings: Settings) -> dict[str, Any]:
    """Return the rate map of the optimizer that is shown: a figure and a sentence, or a sentence that says why not."""
    player, curvatures = settings.players[settings.shown], settings.surface.curvatures
    name = player.kind.name
    if curvatures is None:
        return _no_map("Only a quadratic has one rate everywhere: choose the quadratic or the noisy bowl.")
    if not rates.is_linear(player.stage):
        return _no_map(f"{name} is not linear in the gradient, so it has no rate; sgd, momentum and nesterov have one.")
    found = rates.rate_map(player.stage, curvatures)
    made = program(player.stage)
    values = made.values(made.hyper, 0)
    here = {key: values[key] for key in ("lr", "momentum") if key in values}
    now = float(rates.rates(player.stage, curvatures, **here))
    best = found.best
    at_best = {"lr": best.lr} | ({} if best.momentum is None else {"momentum": best.momentum})
    text = (
        f"{name} at {_named(here)}: {_speed(now)}. "
        f"Best for curvatures {short(curvatures[0])} and {curvatures[1]:.4g}: {_named(at_best)}, {_speed(best.rate)}."
    )
    figure = _line_of_rates(found, here["lr"], now) if found.momentum is None else _map_of_rates(found, here)
    return {
        "text": text,
        "figure": figure,
        "rate": now if np.isfinite(now) else None,
        "best": {**at_best, "rate": best.rate},
    }


def _tint(above: np.ndarray) -> np.ndarray:
    """Return shades from 0 to 1: half by a height's logarithm, which shows valleys, half by rank, which shows hills."""
    logs = np.log10(np.maximum(above, 1e-4))
    ranks = np.searchsorted(np.sort(above, axis=None), above) / above.size
    return (logs - logs.min()) / (2 * np.ptp(logs)) + ranks / 2


def _no_map(why: str) -> dict[str, Any]:
    return {"text": why, "figure": None}


def steps_a_digit(rate: float) -> float:
    """Return the steps until the error is a tenth; infinity if it does not shrink."""
    return 0.0 if rate == 0 else -1 / np.log10(rate) if rate < 1 else np.inf


def _speed(rate: float) -> str:
    if not rate < 1:
        return f"each step leaves {rate:.4g} of the error, so it does not converge"
    return f"each step leaves {rate:.4g} of the error in the long run, a digit in {steps_a_digit(rate):.3g} steps"


def _named(values: dict[str, float]) -> str:
    return ", ".join(f"{key} {x:.4g}" for key, x in values.items())


def _map_of_rates(found: rates.RateMap, here: dict[str, float]) -> Figure:
    assert found.momentum is not None  # noqa: S101 - the caller looked
    depth = _depth(found.rate)
    deepest = max(float(depth.max()), SPACING)
    edge = SPACING / (SPACING + deepest)
    ground = {
        "type": "contour",
        "x": _short(found.lr),
        "y": _short(found.momentum),
        "z": np.round(depth, 4).tolist(),
        "customdata": numbers(np.round(found.rate, 5)),
        # The first level is that of rate 1; what lies below it diverges and is left as blank as the page.
        "zmin": -SPACING,
        "zmax": deepest,
        "contours": {"start": 0.0, "end": deepest, "size": SPACING, "showlines": False},
        "colorscale": [[0, "paper"], [edge, "paper"], [edge, "high"], [1, "deep"]],
        "colorbar": {
            "title": {"text": "steps a digit", "side": "right"},
            "tickvals": [float(_depth(np.array(10 ** (-1 / n)))) for n in DIGITS],
            "ticktext": [f"{n}" for n in DIGITS],
            "thickness": 12,
            "outlinewidth": 0,
            "tickcolor": "ink",
        },
        "hovertemplate": "lr %{x:.3g}, momentum %{y:.3g}: rate %{customdata:.4g}<extra></extra>",
    }
    best = found.best
    here_mark = _mark("here", here["lr"], here["momentum"], "circle")
    marks = [here_mark, _mark("best", best.lr, best.momentum or 0.0, "star")]
    layout = _still(plots.axes("learning rate", "momentum"))
    layout["xaxis"] |= {"type": "log", "tickformat": "~g", "dtick": 1, "showgrid": False}
    layout["yaxis"] |= {"showgrid": False}
    return {"data": [ground, *marks], "layout": layout, "config": STILL}


def _depth(rate: np.ndarray) -> np.ndarray:
    """Return digits a step on a scale that is logarithmic either way from rate 1, where it is 0; below it diverges."""
    digits = -np.log10(np.clip(rate, 1e-6, 10.0))
    return np.sign(digits) * np.log10(1 + np.abs(digits) / 1e-4)


def _line_of_rates(found: rates.RateMap, lr: float, now: float) -> Figure:
    inside = found.rate[0] < 2  # beyond, only how fast it diverges
    line = plots.line("rate", 6, _short(found.lr[inside]), found.rate[0][inside].tolist(), width=2)
    line["hovertemplate"] = "lr %{x:.3g}: rate %{y:.4g}<extra></extra>"
    marks = [_mark("here", lr, min(now, 2.0), "circle"), _mark("best", found.best.lr, found.best.rate, "star")]
    layout = _still(plots.axes("learning rate", "rate: what a step leaves of the error"))
    layout["xaxis"] |= {"type": "log", "tickformat": "~g", "dtick": 1}
    layout["yaxis"] |= {"range": [0, 2]}
    layout["shapes"] = [plots.level(1.0)]
    return {"data": [line, *marks], "layout": layout, "config": STILL}


def _mark(text: str, x: float, y: float, symbol: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": text,
        "x": [x],
        "y": [y],
        "text": [text],
        "textposition": "top center",
        "textfont": {"color": "ink"},
        "marker": {"color": "ink", "size": 11, "symbol": symbol},
        "hovertemplate": f"{text}: %{{x:.4g}}, %{{y:.4g}}<extra></extra>",
    }


def _over_steps(paths: Sequence[Path], values: Sequence[np.ndarray], title: str, first: int) -> Figure:
    lines = [
        plots.line(path.player.label, i, range(first, first + len(y)), y.tolist(), width=2)
        for i, (path, y) in enumerate(zip(paths, values, strict=True))
    ]
    layout = _still(plots.axes("step", title))
    layout["yaxis"] |= plots.log_axis([y for line in lines for y in line["y"]])
    return {"data": lines, "layout": layout, "config": STILL}


def _coordinates(values: np.ndarray, i: int, title: str, first: int, is_log: bool) -> Figure:
    """Return a line for each of the coordinates, solid and dotted, in the optimizer's colour."""
    layout = _still(plots.axes("step", title))
    layout |= {"showlegend": True, "legend": LEGEND}
    lines: list[Figure] = []
    for column, name in zip(values.T, COORDINATES, strict=True):
        own = plots.line(name, i, range(first, first + len(column)), np.nan_to_num(column).tolist(), width=2)
        own["y"] = [None if x is None else y for x, y in zip(numbers(column), own["y"], strict=True)]
        own["line"] |= {"dash": "solid" if name == "x" else "dot"}
        own["hovertemplate"] = f"{name}: %{{y:.4g}} at step %{{x}}<extra></extra>"
        lines.append(own)
    if is_log:
        layout["yaxis"] |= plots.log_axis([y for line in lines for y in line["y"] if y])
    return {"data": lines, "layout": layout, "config": STILL}


def _still(layout: Figure) -> Figure:
    """Return a layout without a legend, since the page has a table, and without zooming by a drag."""
    for axis in ("xaxis", "yaxis"):
        layout[axis]["fixedrange"] = True
    return layout | {"showlegend": False, "dragmode": False, "margin": {"l": 56, "r": 12, "t": 12, "b": 44}}


def _short(values: Any) -> list[float]:
    return plots.rounded(np.asarray(values, float).tolist())
