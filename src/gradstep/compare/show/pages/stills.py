"""Charts as still pictures: the Plotly dicts of the pages as SVG, for readers without scripts, notebooks and papers.

Text, axes and what is named ``ink`` have the colour of the text around the picture, so it fits a light page and a dark
one. Drawn is what the pages use: lines, steps, markers, error bars, filled bands, contour maps, levels, log axes.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from markupsafe import Markup

from gradstep.compare.show.pages.plots import Figure, is_single, name_of
from gradstep.compare.show.pages.templates import SHARED, render
from gradstep.text import raised

WIDTH, HEIGHT = 600, 360
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 12, 46
LEGEND_ROW, LEGEND_LETTER = 18, 7.6  # pixels: a row's height, and about the width of a letter
DASHES = {"dash": "8 4", "dot": "2 3", "dashdot": "8 3 2 3", "longdash": "13 4", "longdashdot": "13 3 2 3"}
BLUE = "#0072B2"
DEPTHS, SHADES = {"deep": 0.75, "low": 0.4, "high": 0.06, "paper": 0.0}, 12  # of a map: opacities, and how many

Attributes = dict[str, Any]  # of an SVG element; None is left out
Text = tuple[str, Attributes]
Point = tuple[float, float]


DIGITS = {"D1": range(1, 10), "D2": (1, 2, 5)}  # of ticks within a decade, by Plotly's name for them


@dataclass(frozen=True)
class Scale:
    """From an axis' values to pixels: ``low`` lies at ``begin`` and ``high`` at ``end``, both as logarithms if ``log``.

    An axis of ``names`` has them at 0, 1, 2 ... ``own`` is the axis in the figure's layout, which may give its ticks.
    """

    low: float
    high: float
    begin: float
    end: float
    own: Figure
    log: bool = False
    names: tuple[str, ...] = ()

    def __call__(self, value: Any) -> float:
        """Return the pixel of a value."""
        x = float(self.names.index(value)) if value in self.names else float(value)
        x = math.log10(max(x, 1e-300)) if self.log else x
        return self.begin + (x - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self) -> Sequence[Any]:
        """Return the figure's own ticks, or some six round numbers, of which a log axis has powers of ten at least."""
        if self.names or "tickvals" in self.own:
            return self.names or self.own["tickvals"]
        step = self.own.get("dtick")
        if self.log:
            powers = range(math.floor(self.low), math.ceil(self.high) + 1)
            every = step if isinstance(step, int) else max(1, len(powers) // 6)
            found = [k * 10.0**p for p in powers if p % every == 0 for k in DIGITS.get(str(step), (1,))]
            return [x for x in found if self.low - 1e-9 <= math.log10(x) <= self.high + 1e-9]
        rough = (self.high - self.low) / 6
        unit = 10.0 ** math.floor(math.log10(rough))
        step = step or next(k * unit for k in (1, 2, 5, 10) if k * unit >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def still(figure: Figure, label: str = "") -> Markup:
    """Return the picture as an ``<svg>`` element, without single seeds.

    Parameters
    ----------
    figure
        As the page draws it.
    label
        Its content in words, for readers who don't see it.
    """
    layout = figure["layout"]
    data = [x for x in figure["data"] if not is_single(x) and x.get("line", {}).get("color") != "paper"]
    right = max(RIGHT, layout.get("margin", {}).get("r", 0))  # names at the ends of lines stand there
    x = _scale(data, layout, "x", LEFT, WIDTH - right)
    y = _scale(data, layout, "y", HEIGHT - BOTTOM, TOP)
    marks, legend, rows = _legend([trace for trace in data if _is_named(trace, layout)])
    paths = [_level(shape, x, y) for shape in layout.get("shapes", ())]
    paths += [path for trace in data for path in _trace(trace, x, y)]
    # What lies on the axes is a picture within the picture: nothing of it is outside of them but half a marker.
    left, top, width, height = LEFT - 6, TOP - 6, WIDTH - LEFT - RIGHT + 12, HEIGHT - TOP - BOTTOM + 12
    window = {"x": left, "y": top, "width": width, "height": height, "viewBox": f"{left} {top} {width} {height}"}
    return render(
        SHARED,
        "still.svg",
        width=WIDTH,
        height=HEIGHT + LEGEND_ROW * rows + 6,
        label=label,
        frame=[_grid(x, y), *marks],
        window=window,
        paths=paths,
        names=[text for trace in data for text in _names(trace, x, y)],
        texts=[*_ticks(x, y), *legend],
    ).strip()


def _scale(data: Sequence[Figure], layout: Figure, axis: str, begin: float, end: float) -> Scale:
    own: Figure = layout[f"{axis}axis"]
    if own.get("type") == "category":
        names = tuple(dict.fromkeys(v for trace in data for v in trace[axis]))
        return Scale(-0.5, len(names) - 0.5, begin, end, own, names=names)
    log = own.get("type") == "log"
    if "range" in own:
        low, high = own["range"]
        return Scale(*((low, high, begin, end) if low < high else (high, low, end, begin)), own, log)
    values = [v for trace in data for v in _reach(trace, axis)]
    values += [s[f"{axis}0"] for s in layout.get("shapes", ()) if s.get(f"{axis}ref") != "paper"]
    seen = [math.log10(v) if log else float(v) for v in values if v is not None and (v > 0 or not log)]
    low, high = min(seen, default=0.0), max(seen, default=1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    room = 0.04 * (high - low)
    return Scale(low - room, high + room, begin, end, own, log)


def _reach(trace: Figure, axis: str) -> list[float | None]:
    """Return the values that a trace has on an axis, ends of error bars among them."""
    values: list[float | None] = list(trace[axis])
    bars = trace.get("error_y")
    if axis == "y" and bars:
        for key, sign in (("array", 1), ("arrayminus", -1)):
            values += [None if v is None else v + sign * e for v, e in zip(trace["y"], bars[key], strict=True)]
    return values


def _grid(x: Scale, y: Scale) -> Attributes:
    lines = [f"M{x(v):.1f} {TOP}V{HEIGHT - BOTTOM}" for v in x.ticks() if x.own.get("showgrid", True)]
    lines += [f"M{LEFT} {y(v):.1f}H{x.end:g}" for v in y.ticks() if y.own.get("showgrid", True)]
    return {"d": "".join(lines), "stroke": "currentColor", "stroke-opacity": 0.15, "fill": "none"}


def _ticks(x: Scale, y: Scale) -> Iterator[Text]:
    """Yield ticks and titles of both axes."""
    bottom, across, up = HEIGHT - BOTTOM, (LEFT + x.end) / 2, (TOP + HEIGHT - BOTTOM) / 2
    for v in x.ticks():
        yield _number(v, x.own), {"x": f"{x(v):.1f}", "y": bottom + 16, "text-anchor": "middle"}
    for v in y.ticks() if y.own.get("showticklabels", True) else ():
        yield _number(v, y.own), {"x": LEFT - 6, "y": f"{y(v) + 4:.1f}", "text-anchor": "end"}
    below, beside = (axis.own.get("title", {}).get("text", "") for axis in (x, y))
    yield below, {"x": across, "y": bottom + 36, "text-anchor": "middle"}
    yield beside, {"transform": f"translate(13 {up}) rotate(-90)", "text-anchor": "middle"}


def _number(v: Any, axis: Figure) -> str:
    if isinstance(v, str):
        return v
    if axis.get("exponentformat") == "power":
        return raised("10", round(math.log10(v)))
    return f"{100 * v:g}%" if axis.get("tickformat", "").endswith("%") else f"{float(f'{v:.6g}'):g}"


def _level(shape: Figure, x: Scale, y: Scale) -> Attributes:
    x0, x1 = (x.begin, x.end) if shape.get("xref") == "paper" else (x(shape["x0"]), x(shape["x1"]))
    return {"d": f"M{x0:.1f} {y(shape['y0']):.1f}L{x1:.1f} {y(shape['y1']):.1f}", **_pen(shape["line"])}


def _pen(line: Figure) -> Attributes:
    pen = {"fill": "none", "stroke": _colour(line.get("color")), "stroke-width": line.get("width", 1)}
    return pen | {"stroke-dasharray": DASHES.get(line.get("dash", "solid"))}


def _colour(name: str | None) -> str:
    return name if name is not None and name.startswith("#") else "currentColor"


def _trace(trace: Figure, x: Scale, y: Scale) -> Iterator[Attributes]:
    """Yield the paths of a trace."""
    if trace["type"] == "contour":
        yield from _map(trace, x, y)
        return
    points = _points(trace, x, y)
    there = [point for point in points if point is not None]
    if not there:
        return
    if trace.get("fill") == "toself":
        outline = "L".join(f"{u:.0f} {v:.0f}" for u, v in there)
        yield {"d": f"M{outline}Z", "fill": _colour(trace["fillcolor"]), "opacity": trace["opacity"]}
        return
    if "lines" in trace["mode"]:
        path = _path(points, is_step=trace["line"].get("shape") == "hv")
        yield {"d": path, **_pen(trace["line"]), "opacity": trace.get("opacity")}
    if bars := trace.get("error_y"):
        ends = zip(trace["x"], trace["y"], bars["array"], bars["arrayminus"], strict=True)
        path = "".join(f"M{x(u):.1f} {y(v + up):.1f}V{y(v - down):.1f}" for u, v, up, down in ends if v is not None)
        yield {"d": path, **_pen(bars)}
    if "markers" in trace["mode"]:
        marker = trace["marker"]
        symbols = marker.get("symbol", "circle")
        every = symbols if isinstance(symbols, list) else [symbols] * len(points)
        yield from (_mark(point, symbol, marker) for point, symbol in zip(points, every, strict=True) if point)


def _points(trace: Figure, x: Scale, y: Scale) -> list[Point | None]:
    """Return pixels, with None for gaps and for what a log axis has no place for."""
    return [
        None if u is None or v is None or (x.log and u <= 0) or (y.log and v <= 0) else (x(u), y(v))
        for u, v in zip(trace["x"], trace["y"], strict=True)
    ]


def _path(points: Iterable[Point | None], is_step: bool) -> str:
    """Return a line through points, in whole pixels, which are fine enough for a line."""
    out: list[str] = []
    before = None
    for point in points:
        if point is not None:
            u, v = point
            on = f"H{u:.0f}V{v:.0f}" if is_step else f"L{u:.0f} {v:.0f}"
            out.append(f"M{u:.0f} {v:.0f}" if before is None else on)
        before = point
    return "".join(out)


def _mark(point: Point, symbol: str, marker: Figure) -> Attributes:
    (u, v), r, colour = point, marker.get("size", 8) / 2, _colour(marker.get("color"))
    form, _, kind = symbol.partition("-")
    paths = {
        "circle": f"M{u - r:.1f} {v:.1f}a{r:g} {r:g} 0 1 0 {2 * r:g} 0a{r:g} {r:g} 0 1 0 {-2 * r:g} 0Z",
        "square": f"M{u - r:.1f} {v - r:.1f}h{2 * r:g}v{2 * r:g}h{-2 * r:g}Z",
        "x": f"M{u - r:.1f} {v - r:.1f}l{2 * r:g} {2 * r:g}m0 {-2 * r:g}l{-2 * r:g} {2 * r:g}",
    }
    path = paths.get(form, f"M{u:.1f} {v - r:.1f}l{r:g} {r:g}l{-r:g} {r:g}l{-r:g} {-r:g}Z")  # a diamond
    if form == "x" or kind == "open":
        return {"d": path, "fill": "none", "stroke": colour, "stroke-width": 2}
    return {"d": path, "fill": colour}


def _names(trace: Figure, x: Scale, y: Scale) -> Iterator[Text]:
    """Yield the texts beside the points of a trace."""
    if trace["type"] == "scatter" and "text" in trace["mode"]:
        for point, text in zip(_points(trace, x, y), trace["text"], strict=True):
            if point and text:
                gap = 8 if "markers" in trace["mode"] else 3
                yield text, {"x": f"{point[0] + gap:.1f}", "y": f"{point[1] + 4:.1f}"}


def _map(trace: Figure, x: Scale, y: Scale) -> Iterator[Attributes]:
    """Yield a contour map's shades, each as rows of boxes of one opacity."""
    seen = [v for row in trace["z"] for v in row if v is not None]
    low, high = trace.get("zmin", min(seen, default=0.0)), trace.get("zmax", max(seen, default=1.0))
    shades: dict[int, list[str]] = {}
    across, up = _edges([x(v) for v in trace["x"]]), _edges([y(v) for v in trace["y"]])
    for row, bottom, top in zip(trace["z"], up, up[1:], strict=False):
        shown = [0 if v is None else _shade((v - low) / (high - low or 1), trace["colorscale"]) for v in row]
        for shade, cells in groupby(range(len(shown)), shown.__getitem__):
            first, *rest = cells
            left, right = across[first], across[[first, *rest][-1] + 1]
            shades.setdefault(shade, []).append(f"M{left:.1f} {bottom:.1f}H{right:.1f}V{top:.1f}H{left:.1f}Z")
    for shade, boxes in sorted(shades.items()):
        if shade:
            opacity = f"{max(DEPTHS.values()) * shade / SHADES:.2f}"
            yield {"d": "".join(boxes), "fill": BLUE, "fill-opacity": opacity}


def _shade(position: float, colours: Sequence[tuple[float, str]]) -> int:
    """Return the shade at a position from 0 to 1 of a colour scale: 0 is as blank as the page."""
    position = min(max(position, 0.0), 1.0)
    for (a, first), (b, second) in pairwise(colours):
        if a <= position <= b and a < b:
            part = (position - a) / (b - a)
            depth = DEPTHS[first] + part * (DEPTHS[second] - DEPTHS[first])
            return round(SHADES * depth / max(DEPTHS.values()))
    return 0


def _edges(centres: Sequence[float]) -> list[float]:
    return [centres[0], *((a + b) / 2 for a, b in pairwise(centres)), centres[-1]]


def _is_named(trace: Figure, layout: Figure) -> bool:
    return bool(layout.get("showlegend", True) and trace.get("showlegend", True) and trace["type"] == "scatter")


def _legend(traces: Sequence[Figure]) -> tuple[list[Attributes], list[Text], int]:
    """Return the legend's marks, its texts, and the number of its rows."""
    marks: list[Attributes] = []
    texts: list[Text] = []
    rows, place = 0, float(WIDTH)
    for trace in traces:
        name = name_of(trace)
        width = 48 + LEGEND_LETTER * len(name)
        if place + width > WIDTH - RIGHT:
            rows, place = rows + 1, float(LEFT)
        y = HEIGHT + LEGEND_ROW * (rows - 1) + 6
        if "lines" in trace["mode"]:
            marks.append({"d": f"M{place:.1f} {y}h24", **_pen(trace["line"])})
        else:
            marks.append(_mark((place + 12, y), trace["marker"].get("symbol", "circle"), trace["marker"]))
        texts.append((name, {"x": f"{place + 30:.1f}", "y": y + 4}))
        place += width
    return marks, texts, rows
