"""Pieces of the page: sections, and figures with their caption, their still picture and their links."""

import csv
import html
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from gradstep.compare.report.plots import Figure
from gradstep.compare.report.svg import is_single, svg

CSV_SAFE = ",.:;-[]()/ "  # what a data link need not spell out


@dataclass(frozen=True)
class Plot:
    """A figure on the page.

    Attributes
    ----------
    key
        Its ``id``, and the name of the files that its links give.
    title, caption
        Above and below it.
    figure
        Or None, where there is nothing to draw.
    kind
        What it is, to those who do not see it: ``line chart``.
    problem
        Where it is one of several among which the reader chooses by problem.
    """

    key: str
    title: str
    caption: str
    figure: Figure
    kind: str = "Line chart"
    problem: str | None = None

    @property
    def label(self) -> str:
        """What it shows, in words."""
        names = list(dict.fromkeys(t["name"] for t in self.figure["data"] if t["type"] == "scatter"))
        of = f" A line for each of {', '.join(map(html.unescape, names))}." if names else ""
        return f"{self.kind}: {self.title}.{of} The link named data has the numbers."

    def html(self, static: bool) -> str:
        """As it stands on the page: drawn by script or, for want of one, still."""
        still = svg(self.figure, self.label)
        own = "" if self.problem is None else f' data-problem="{html.escape(self.problem)}"'
        drawn = f'<div class="chart" id="{self.key}" role="img" aria-label="{html.escape(self.label)}"></div>'
        shown = still if static else f"{drawn}\n<noscript>{still}</noscript>"
        table = f"data:text/csv;charset=utf-8,{quote(figure_csv(self.figure), safe=CSV_SAFE)}"
        picture = f' href="data:image/svg+xml;charset=utf-8,{quote(still)}"' if static else " data-still"
        name = html.escape(self.title)
        links = (
            f'<a href="{table}" download="{self.key}.csv" aria-label="data of {name}">data</a>'
            f"<span{'' if static else ' class=scripted'}> · "
            f'<a{picture} download="{self.key}.svg" aria-label="SVG of {name}">SVG</a></span>'
        )
        return (
            f'<figure{own}>\n<h3 id="{self.key}-title">{name}</h3>\n{shown}\n'
            f'<figcaption>{html.escape(self.caption)} <span class="links">{links}</span></figcaption>\n</figure>'
        )


def figure_csv(figure: Figure) -> str:
    """A row for each point of each line but single seeds; gaps are left out. A median has its interval beside it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    layout = figure["layout"]
    x, y = (layout[axis]["title"]["text"] or axis[0] for axis in ("xaxis", "yaxis"))
    writer.writerow(["line", x, y, "low", "high"])
    for trace in figure["data"]:
        if trace["type"] != "scatter" or trace.get("fill") == "toself" or is_single(trace):
            continue
        besides = [x if isinstance(x, list) else [] for x in trace.get("customdata", [])] or [[]] * len(trace["x"])
        for a, b, more in zip(trace["x"], trace["y"], besides, strict=True):
            if a is not None and b is not None:
                writer.writerow([html.unescape(trace["name"]), a, b, *more])
    return out.getvalue()


def section(number: int, key: str, title: str, parts: Iterable[str]) -> str:
    """A section with its heading; a part that is a sentence is HTML already."""
    body = "\n".join(part for part in parts if part)
    return f'<section aria-labelledby="{key}">\n<h2 id="{key}">{number}. {html.escape(title)}</h2>\n{body}\n</section>'


def paragraph(text: str, kind: str = "") -> str:
    """A sentence or a few."""
    return f"<p{f' class={kind}' if kind else ''}>{html.escape(text)}</p>"


def choice(key: str, label: str, kind: str, options: Sequence[tuple[str, str]]) -> str:
    """A select: its values and what they are called; nothing to choose among one."""
    if len(options) < 2:
        return ""
    items = "".join(f'<option value="{html.escape(a)}">{html.escape(b)}</option>' for a, b in options)
    return f'<label>{html.escape(label)} <select id="{key}" data-{kind}>{items}</select></label>'


def choices(*made: str) -> str:
    """Selects in a row."""
    there = [x for x in made if x]
    return f'<div class="choose scripted">{"".join(there)}</div>' if there else ""


def beside(parts: Iterable[str], kind: str = "") -> str:
    """Parts beside one another, where there is room; a ``trio`` needs less of it."""
    return f'<div class="beside{" " * bool(kind)}{kind}">\n{"".join(parts)}\n</div>'
