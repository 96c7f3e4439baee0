"""A figure as a static picture: the same Plotly dict, drawn as SVG for readers without scripts and for papers.

Text, axes and what is named ``ink`` have the colour of the text around the picture, so it fits a light page and a dark
one. It knows what the reports use: lines, steps, markers, error bars, filled bands, contour maps, levels, log axes.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from gradstep.compare.pages.plots import Figure, is_single

WIDTH, HEIGHT = 600, 360  # whole units are fine enough for a line
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 12, 46
LEGEND_ROW, LEGEND_LETTER = 18, 7.6  # pixels: a row's height, and about the width of a letter
DASHES = {"dash": "8 4", "dot": "2 3", "dashdot": "8 3 2 3", "longdash": "13 4", "longdashdot": "13 3 2 3"}
SHADES = 6  # of a map


@dataclass(frozen=True)
class Scale:
    """From an axis' values to pixels."""

    low: float
    high: float
    begin: float
    end: float
    is_log: bool

    def __call__(self, x: float) -> float:
        """The pixel of a value."""
        x = math.log10(max(x, 1e-300)) if self.is_log else x
        return self.begin + (x - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Round numbers: some five of them, or powers of ten (and 2 and 5 times these where there are few)."""
        if self.is_log:
            powers = range(math.floor(self.low), math.ceil(self.high) + 1)
            every = max(1, len(powers) // 6)
            steps = (1, 2, 5) if self.high - self.low < 2.5 else (1,)
            found = [k * 10.0**p for p in powers if p % every == 0 for k in steps]
            return [x for x in found if self.low - 1e-9 <= math.log10(x) <= self.high + 1e-9]
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(k * unit for k in (1, 2, 5, 10) if k * unit >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def svg(figure: Figure, label: str = "") -> Markup:
    """The picture as an ``<svg>`` element, without single seeds.

    Parameters
    ----------
    figure
        As the page draws it.
    label
        What it shows, for those who do not see it.
    """
    data, layout = [trace for trace in figure["data"] if not is_single(trace)], figure["layout"]
    rows = _legend_rows([trace for trace in data if _is_named(trace, layout)])
    height = HEIGHT + LEGEND_ROW * len(rows) + 6
    x = _scale(data, layout, "x", LEFT, WIDTH - RIGHT)
    y = _scale(data, layout, "y", HEIGHT - BOTTOM, TOP)
    inner = [_shape(shape, x, y) for shape in layout.get("shapes", ())]
    inner += [_trace(trace, x, y) for trace in data]
    body = [_grid(x, y, layout), *_clipped([part for part in inner if part])]
    body += [_legend_row(row, HEIGHT + LEGEND_ROW * k + 6) for k, row in enumerate(rows)]
    return Markup(  # noqa: S704 - every text in it is escaped
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{html.escape(label)}" font-family="sans-serif" font-size="12" fill="currentColor">\n'
        + "\n".join(part for part in body if part)
        + "\n</svg>"
    )


def _clipped(inner: Sequence[str]) -> list[str]:
    """What lies on the axes, and nothing of it outside of them but half a marker: a picture within the picture."""
    left, top, width, height = LEFT - 6, TOP - 6, WIDTH - LEFT - RIGHT + 12, HEIGHT - TOP - BOTTOM + 12
    box = f'x="{left}" y="{top}" width="{width}" height="{height}" viewBox="{left} {top} {width} {height}"'
    return [f"<svg {box}>", *inner, "</svg>"]


def _scale(data: Sequence[Figure], layout: Figure, axis: str, begin: float, end: float) -> Scale:
    own: Figure = layout[f"{axis}axis"]
    is_log = own.get("type") == "log"
    if own.get("type") == "category":
        names = list(dict.fromkeys(v for trace in data for v in trace[axis]))
        return _Named(-0.5, len(names) - 0.5, begin, end, False, tuple(names))
    if "range" in own:
        low, high = own["range"]
        low, high = min(low, high), max(low, high)
        if own["range"][0] > own["range"][1]:
            begin, end = end, begin
        return Scale(low, high, begin, end, is_log)
    values = [v for trace in data for v in _reach(trace, axis)]
    values += [s[f"{axis}0"] for s in layout.get("shapes", ()) if s.get(f"{axis}ref") != "paper"]
    seen = [math.log10(v) if is_log else float(v) for v in values if v is not None and (v > 0 or not is_log)]
    low, high = min(seen, default=0.0), max(seen, default=1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    room = 0.04 * (high - low)
    return Scale(low - room, high + room, begin, end, is_log)


@dataclass(frozen=True)
class _Named(Scale):
    """An axis of names."""

    names: tuple[str, ...] = ()

    def __call__(self, x: Any) -> float:
        return super().__call__(float(self.names.index(x)) if x in self.names else float(x))

    def ticks(self) -> list[Any]:
        return list(self.names)


def _reach(trace: Figure, axis: str) -> list[float | None]:
    values: list[float | None] = list(trace[axis])
    bars = trace.get("error_y")
    if axis == "y" and bars:
        for key, sign in (("array", 1), ("arrayminus", -1)):
            values += [None if v is None else v + sign * e for v, e in zip(trace["y"], bars[key], strict=True)]
    return values


def _grid(x: Scale, y: Scale, layout: Figure) -> str:
    left, right, top, bottom = min(x.begin, x.end), max(x.begin, x.end), min(y.begin, y.end), max(y.begin, y.end)
    lines = [f"M{x(v):.1f} {top}V{bottom}" for v in x.ticks()] + [f"M{left} {y(v):.1f}H{right}" for v in y.ticks()]
    out = [f'<path d="{"".join(lines)}" stroke="currentColor" stroke-opacity=".15" fill="none"/>']
    out += [
        f'<text x="{x(v):.1f}" y="{bottom + 16}" text-anchor="middle">{_number(v, layout["xaxis"])}</text>'
        for v in x.ticks()
    ]
    shown = layout["yaxis"].get("showticklabels", True)
    out += [
        f'<text x="{left - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{_number(v, layout["yaxis"])}</text>'
        for v in (y.ticks() if shown else ())
    ]
    titles = [_title(layout[f"{axis}axis"]) for axis in "xy"]
    middle = (top + bottom) / 2
    out.append(f'<text x="{(left + right) / 2}" y="{bottom + 36}" text-anchor="middle">{titles[0]}</text>')
    out.append(f'<text transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">{titles[1]}</text>')
    return "\n".join(out)


def _number(v: Any, axis: Figure) -> str:
    if isinstance(v, str):
        return html.escape(v)
    return f"{100 * v:g}%" if axis.get("tickformat", "").endswith("%") else f"{float(f'{v:.6g}'):g}"


def _title(axis: Figure) -> str:
    return html.escape(axis.get("title", {}).get("text", ""))


def _shape(shape: Figure, x: Scale, y: Scale) -> str:
    x0, x1 = (x.begin, x.end) if shape.get("xref") == "paper" else (x(shape["x0"]), x(shape["x1"]))
    y0, y1 = y(shape["y0"]), y(shape["y1"])
    return f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" {_pen(shape["line"])}/>'


def _pen(line: Figure) -> str:
    dash = DASHES.get(line.get("dash", "solid"))
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'fill="none" stroke="{_colour(line.get("color"))}" stroke-width="{line.get("width", 1)}"{dashes}'


def _colour(name: str | None) -> str:
    return name if name is not None and name.startswith("#") else "currentColor"


def _trace(trace: Figure, x: Scale, y: Scale) -> str:
    if trace["type"] == "contour":
        return _map(trace, x, y)
    points = [
        None if u is None or v is None or (x.is_log and u <= 0) or (y.is_log and v <= 0) else (x(u), y(v))
        for u, v in zip(trace["x"], trace["y"], strict=True)
    ]
    if trace.get("fill") == "toself":
        path = "L".join(f"{u:.0f} {v:.0f}" for u, v in filter(None, points))
        return f'<path d="M{path}Z" fill="{_colour(trace["fillcolor"])}" opacity="{trace["opacity"]}"/>' if path else ""
    out: list[str] = []
    mode = trace["mode"]
    if "lines" in mode:
        path = _path(points, is_step=trace["line"].get("shape") == "hv")
        out.append(f'<path d="{path}" {_pen(trace["line"])} opacity="{trace.get("opacity", 1)}"/>' if path else "")
    if bars := trace.get("error_y"):
        ends = zip(trace["x"], trace["y"], bars["array"], bars["arrayminus"], strict=True)
        path = "".join(f"M{x(u):.1f} {y(v + up):.1f}V{y(v - down):.1f}" for u, v, up, down in ends if v is not None)
        out.append(f'<path d="{path}" {_pen(bars)}/>' if path else "")
    if "markers" in mode:
        marker = trace["marker"]
        symbols = marker.get("symbol", "circle")
        every = symbols if isinstance(symbols, list) else [symbols] * len(points)
        out += [_mark(point, symbol, marker) for point, symbol in zip(points, every, strict=True) if point]
    if "text" in mode:
        out += [
            f'<text x="{point[0] + 8:.1f}" y="{point[1] + 4:.1f}">{html.escape(text)}</text>'
            for point, text in zip(points, trace["text"], strict=True)
            if point
        ]
    return "\n".join(part for part in out if part)


def _path(points: Sequence[tuple[float, float] | None], is_step: bool) -> str:
    out: list[str] = []
    before = None
    for point in points:
        if point is not None:
            u, v = point
            out.append(
                f"M{u:.0f} {v:.0f}" if before is None else f"H{u:.0f}V{v:.0f}" if is_step else f"L{u:.0f} {v:.0f}"
            )
        before = point
    return "".join(out)


def _mark(point: tuple[float, float], symbol: str, marker: Figure) -> str:
    (u, v), r, colour = point, marker.get("size", 8) / 2, _colour(marker.get("color"))
    if symbol.startswith("x"):
        path = f"M{u - r:.1f} {v - r:.1f}l{2 * r:g} {2 * r:g}m0 {-2 * r:g}l{-2 * r:g} {2 * r:g}"
        return f'<path d="{path}" stroke="{colour}" stroke-width="2"/>'
    form, _, is_open = symbol.partition("-")
    paint = f'fill="none" stroke="{colour}" stroke-width="2"' if is_open else f'fill="{colour}"'
    if form == "circle":
        return f'<circle cx="{u:.1f}" cy="{v:.1f}" r="{r:g}" {paint}/>'
    if form == "square":
        return f'<path d="M{u - r:.1f} {v - r:.1f}h{2 * r:g}v{2 * r:g}h{-2 * r:g}Z" {paint}/>'
    return f'<path d="M{u:.1f} {v - r:.1f}l{r:g} {r:g}l{-r:g} {r:g}l{-r:g} {-r:g}Z" {paint}/>'


def _map(trace: Figure, x: Scale, y: Scale) -> str:
    """A contour map as shades: darker is lower."""
    rows = [[math.inf if v is None else v for v in row] for row in trace["z"]]
    seen = [v for row in rows for v in row if math.isfinite(v)]
    low, high = min(seen, default=0.0), max(seen, default=1.0)
    shades: dict[int, list[str]] = {}
    edges_x, edges_y = _edges([x(v) for v in trace["x"]]), _edges([y(v) for v in trace["y"]])
    for j, row in enumerate(rows):
        levels = [int(SHADES * min(1.0, (v - low) / (high - low or 1))) for v in row]
        i = 0
        while i < len(levels):
            end = i + 1
            while end < len(levels) and levels[end] == levels[i]:
                end += 1
            if levels[i] < SHADES:
                box = f"M{edges_x[i]:.1f} {edges_y[j]:.1f}H{edges_x[end]:.1f}V{edges_y[j + 1]:.1f}H{edges_x[i]:.1f}Z"
                shades.setdefault(levels[i], []).append(box)
            i = end
    return "\n".join(
        f'<path d="{"".join(boxes)}" fill="#0072B2" fill-opacity="{0.5 * (1 - level / SHADES):.2f}"/>'
        for level, boxes in sorted(shades.items())
    )


def _edges(centres: Sequence[float]) -> list[float]:
    between = [(a + b) / 2 for a, b in pairwise(centres)]
    return [centres[0], *between, centres[-1]]


def _is_named(trace: Figure, layout: Figure) -> bool:
    return bool(layout.get("showlegend", True) and trace.get("showlegend", True) and trace["type"] == "scatter")


def _legend_rows(traces: Sequence[Figure]) -> list[list[tuple[float, Figure]]]:
    """Rows of (x, trace)."""
    rows: list[list[tuple[float, Figure]]] = []
    place = float(WIDTH)
    for trace in traces:
        width = 48 + LEGEND_LETTER * len(html.unescape(trace["name"]))
        if place + width > WIDTH - RIGHT:
            rows.append([])
            place = float(LEFT)
        rows[-1].append((place, trace))
        place += width
    return rows


def _legend_row(row: Sequence[tuple[float, Figure]], y: float) -> str:
    out: list[str] = []
    for x, trace in row:
        if "lines" in trace["mode"]:
            out.append(f'<path d="M{x:.1f} {y}h24" {_pen(trace["line"])}/>')
        else:
            out.append(_mark((x + 12, y), trace["marker"]["symbol"], trace["marker"]))
        out.append(f'<text x="{x + 30:.1f}" y="{y + 4}">{trace["name"]}</text>')
    return "\n".join(out)
