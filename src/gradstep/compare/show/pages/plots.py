"""Lines and axes as plain Plotly dicts; colours named ``ink`` are replaced on the page by the theme's text colour."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Figure = dict[str, Any]
Look = Mapping[str, str]  # a colour and a dash

# Okabe and Ito's colours for the colour-blind, without yellow, which is too faint on white. No two of the first 35
# optimizers share both colour and dash.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "ink")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def line(label: str, i: int, x: Sequence[float], y: Sequence[float], width: float) -> Figure:
    """Return a line in the colour and dash number ``i``."""
    look = {"color": colour(i), "dash": DASHES[i // 3 % len(DASHES)]}
    hover = "%{y:.4g} after %{x} steps<extra>%{fullData.name}</extra>"
    return stroke(label, look, x, rounded(y), width) | {"hovertemplate": hover}


def stroke(label: str, look: Look, x: Sequence[float | None], y: Sequence[float | None], width: float) -> Figure:
    """Return a line with a given look; None is a gap."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": escaped(label),
        "legendgroup": label,
        "x": list(x),
        "y": list(y),
        "line": {**look, "width": width},
    }


def escaped(label: str) -> str:
    """Return a name that Plotly shows letter by letter: it would take some tags for layout."""
    return html.escape(label, quote=False)


def name_of(trace: Figure) -> str:
    """Return a trace's name as plain text."""
    return html.unescape(trace["name"])


def colour(i: int) -> str:
    """Return colour number ``i``."""
    return COLOURS[i % len(COLOURS)]


def rounded(values: Sequence[float]) -> list[float]:
    """Return five digits of each value: more than a line shows, and half the bytes."""
    return [float(f"{x:.5g}") for x in values]


def finite(values: Iterable[float]) -> list[float | None]:
    """Return five digits of each value, and None, a gap, for one that isn't finite."""
    return [float(f"{x:.5g}") if math.isfinite(x) else None for x in values]


def log_axis(values: Sequence[float]) -> Figure:
    """Return a log axis. Its ticks are powers of ten, within three decades 2 and 5 too, within a half every digit.

    Over five decades and more they are written as powers.
    """
    positive = [x for x in values if x > 0] or [1.0]
    decades = math.log10(max(positive)) - math.log10(min(positive))  # of numbers whose ratio may overflow
    if decades >= 5:
        return {"type": "log", "dtick": round(decades / 6), "exponentformat": "power"}
    between = {"dtick": "D1"} if decades < 0.5 else {"dtick": "D2"} if decades < 3 else {}
    return {"type": "log", "tickformat": "~g"} | between


def axes(x: str, y: str) -> Figure:
    """Return a layout with these titles."""
    title = {"font": {"size": 14}}
    return {
        "xaxis": {"title": {"text": x, **title}},
        "yaxis": {"title": {"text": y, "standoff": 12, **title}},
        "hovermode": "closest",
    }


def level(y: float, width: float = 1) -> Figure:
    """Return a dotted line across at height ``y``, for a target or an initial loss."""
    line = {"color": "ink", "width": width, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line}


def is_single(trace: Figure) -> bool:
    """Tell the line of all single seeds, which neither a still picture nor a table has: it is too many points."""
    return trace.get("meta", {}).get("part") == "seeds"
