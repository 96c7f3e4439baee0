"""Parts of the page that take more than a macro: figures with their still picture and their data, selects, sections."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from markupsafe import Markup

from gradstep.compare.show.pages.plots import Figure, is_single, name_of
from gradstep.compare.show.pages.stills import still
from gradstep.compare.show.pages.templates import macros

CSV_SAFE = ",.:;-[]()/ "  # a data link need not encode these


@dataclass(frozen=True)
class Section:
    """A section of the page: its ``id``, its title, and its parts as HTML, of which empty ones are left out."""

    key: str
    title: str
    parts: Sequence[Markup]


@dataclass(frozen=True)
class Select:
    """A choice of the reader's.

    Attributes
    ----------
    key
        Its ``id``.
    label
        Before it.
    kind
        Selects of one kind follow one another: the script finds them by the attribute ``data-kind``.
    options
        Values, and the texts that are shown for them.
    groups
        The same options under headings, where they have some.
    """

    key: str
    label: str
    kind: str
    options: Sequence[tuple[str, str]]
    groups: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict[str, Sequence[tuple[str, str]]])


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
        As Plotly draws it.
    kind
        Kind of figure, for readers who don't see it: ``line chart``.
    """

    key: str
    title: str
    caption: str
    figure: Figure
    kind: str = "Line chart"

    @property
    def label(self) -> str:
        """Return the figure's content in words."""
        names = list(dict.fromkeys(name_of(t) for t in self.figure["data"] if t["type"] == "scatter"))
        of = f" A line for each of {', '.join(names)}." if names else ""
        return f"{self.kind}: {self.title}.{of} The link named data has the numbers."

    def html(self, static: bool) -> Markup:
        """Return its HTML: a chart with a still picture for readers without scripts, or the picture alone."""
        return macros.figure(
            self, still(self.figure, self.label), quote(figure_csv(self.figure), safe=CSV_SAFE), static
        )


def figure_csv(figure: Figure) -> str:
    """Return a row for each point of each line, gaps and single seeds left out; a median has its interval beside it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    layout = figure["layout"]
    x, y = (layout[axis]["title"]["text"] or axis[0] for axis in ("xaxis", "yaxis"))
    writer.writerow(["line", x, y, "low", "high"])
    for trace in figure["data"]:
        if (
            trace["type"] != "scatter"
            or trace.get("fill") == "toself"
            or is_single(trace)
            or trace["mode"] == "lines+text"
        ):
            continue
        intervals = [x if isinstance(x, list) else [] for x in trace.get("customdata", [])] or [[]] * len(trace["x"])
        for a, b, interval in zip(trace["x"], trace["y"], intervals, strict=True):
            if a is not None and b is not None:
                writer.writerow([name_of(trace), a, b, *interval])
    return out.getvalue()


def choices(*selects: Select) -> Markup:
    """Return selects in a row, without those that have one option alone."""
    found = [select for select in selects if len(select.options) > 1]
    return macros.choices(found) if found else Markup("")
