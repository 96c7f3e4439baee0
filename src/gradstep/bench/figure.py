"""Figures as SVG, on a white ground so that they read on a dark page too.

A colour is a library, a dash one of its ways: Okabe and Ito's colours for the colour-blind.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradstep.bench.contenders import KINDS, ON_DEVICE, OURS
from gradstep.bench.results import Result
from gradstep.bench.scaling import Speedup

COLOURS = {
    "gradstep": "#0072B2",
    "torch": "#D55E00",
    "optax": "#009E73",
    "keras": "#CC79A7",
    "deepspeed": "#E69F00",
    "bitsandbytes": "#56B4E9",
    "pytorch_optimizer": "#999999",
    "numpy": "#000000",
}
DASHES = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = "oDsv^x"
LEGEND = 2.1  # inches at the right
STYLE: Any = {
    "svg.hashsalt": "gradstep",  # the same figure is the same file
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "axes.axisbelow": True,
}


@dataclass(frozen=True)
class Line:
    """A contender's line: a height, and a range about it, at each place."""

    x: list[float]
    y: list[float]
    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes
    ----------
    title, across, up
        The words above, below and at the left.
    lines
        By contender.
    ticks
        Where each place has a name of its own instead of a number on a log axis.
    ideal
        Whether to draw y = x, a speed-up without loss.
    """

    title: str
    across: str
    up: str
    lines: Mapping[str, Line]
    ticks: Sequence[str] | None = None
    ideal: bool = False


def against_size(results: Sequence[Result]) -> str:
    """Time against size: a panel for one tensor and one for several, for each work."""
    panels: list[Panel] = []
    for work in dict.fromkeys(r.work for r in results):
        mine = [r for r in results if r.work == work and r.rows]
        one = sorted((r for r in mine if r.tensors == 1), key=lambda r: r.elements)
        many = sorted((r for r in mine if r.tensors > 1), key=lambda r: r.elements)
        if one:
            lines = lines_of(one, [r.elements for r in one])
            panels.append(Panel(f"{work}, one tensor", "elements", "µs a step", lines))
        if many:
            names = [r.size for r in many]
            panels.append(
                Panel(
                    f"{work}, several tensors",
                    "tensors x elements",
                    "µs a step",
                    lines_of(many, range(len(many))),
                    names,
                )
            )
    return draw(panels, columns=2)


def scaling(elements: Sequence[Result], tensors: Sequence[Result], gains: Sequence[Speedup]) -> str:
    """Time against elements and against tensors, and a panel of speed-ups for each size that threads were tried on."""
    panels = [
        Panel("one tensor", "elements", "µs a step", lines_of(elements, [r.elements for r in elements])),
        Panel("tensors of 100 elements", "tensors", "µs a step", lines_of(tensors, [r.tensors for r in tensors])),
    ]
    for size in dict.fromkeys(gain.size for gain in gains):
        lines = {
            gain.contender: Line([float(n) for n in gain.threads], gain.speedup, gain.speedup, gain.speedup)
            for gain in gains
            if gain.size == size
        }
        panels.append(Panel(f"{size} on several threads", "threads", "speed-up", lines, ideal=True))
    return draw(panels, columns=2)


def lines_of(results: Sequence[Result], places: Sequence[float]) -> dict[str, Line]:
    """Contender -> its times at ``places``, one for each result; who misses one has a shorter line."""
    lines: dict[str, Line] = {}
    for x, result in zip(places, results, strict=True):
        for row in result.rows:
            line = lines.setdefault(row.contender, Line([], [], [], []))
            for values, value in zip(vars(line).values(), (x, row.us, row.low_us, row.high_us), strict=True):
                values.append(value)
    return lines


def draw(panels: Sequence[Panel], columns: int) -> str:
    """The panels, ``columns`` of them beside one another, and one legend."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = -(-len(panels) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.4 * min(columns, len(panels)) + LEGEND, 3.6 * rows), facecolor="#ffffff")
        handles: dict[str, Any] = {}
        for k, panel in enumerate(panels):
            handles |= _draw(figure.add_subplot(rows, columns, k + 1, facecolor="#ffffff"), panel, f"panel{k}")
        order = [name for name in KINDS | ON_DEVICE if name in handles]
        figure.tight_layout(rect=(0, 0, 1 - LEGEND / figure.get_figwidth(), 1))
        figure.legend([handles[n] for n in order], order, loc="center right", frameon=False)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _draw(axes: Any, panel: Panel, label: str) -> dict[str, Any]:
    axes.set(title=panel.title, xlabel=panel.across, ylabel=panel.up)
    axes.set_yscale("log", base=2 if panel.ideal else 10)
    if panel.ticks is None:
        axes.set_xscale("log", base=2 if panel.ideal else 10)
    else:
        axes.set_xticks(range(len(panel.ticks)), panel.ticks, rotation=20, ha="right")
    if panel.ideal:
        _ideal(axes, panel)
    handles: dict[str, Any] = {}
    for name, line in panel.lines.items():
        handles[name] = axes.plot(line.x, line.y, gid=f"{label}-{name}", **look(name))[0]
        axes.fill_between(line.x, line.low, line.high, color=look(name)["color"], alpha=0.12, linewidth=0)
    return handles


def _ideal(axes: Any, panel: Panel) -> None:
    places = sorted({x for line in panel.lines.values() for x in line.x})
    axes.plot(places, places, color="#888888", linewidth=1, linestyle=":")
    axes.set_xticks(places, [f"{x:g}" for x in places])
    axes.set_yticks(places, [f"{x:g}" for x in places])


def look(name: str) -> dict[str, Any]:
    """Colour, dash and marker of a contender."""
    kinds = KINDS if name in KINDS else ON_DEVICE
    family = [kind.name for kind in kinds.values() if kind.library == kinds[name].library]
    k = family.index(name)
    return {
        "color": COLOURS[kinds[name].library],
        "linestyle": DASHES[k],
        "marker": MARKERS[k],
        "markersize": 4,
        "linewidth": 2.5 if name == OURS else 1.5,
        "zorder": 3 if name == OURS else 2,
    }
