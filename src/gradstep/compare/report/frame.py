"""The frame of every report: one HTML file that opens with the network off, with style, Plotly and script inside."""

import html
import json
from collections.abc import Mapping
from importlib import resources
from string import Template

from gradstep.compare.report.plots import Figure

HERE = "gradstep.compare.report"
STYLES = ("page.css", "dark.css")
SCRIPTS = ("charts.js", "page.js")


def framed(heading: str, package: str, drawn: Mapping[str, Figure], static: bool = False, **texts: str) -> str:
    """A whole page.

    Parameters
    ----------
    heading
        Of the window.
    package
        Whose ``page.html`` is what the page says.
    drawn
        Figures by identifier: each is drawn in the element of that ``id``.
    static
        Whether there is nothing to be drawn, and so no need of Plotly.
    **texts
        What stands in ``page.html`` in place of each ``$name``, as HTML.
    """
    from plotly.offline import get_plotlyjs  # 5 MB of text, so only here

    style, dark = (read(HERE, name) for name in STYLES)
    return Template(read(HERE, "frame.html")).substitute(
        title=html.escape(heading),
        main=filled(package, texts),
        data=packed({} if static else drawn).replace("<", r"\u003c"),  # nothing in it begins a tag or a comment
        style=style,
        dark=dark,
        plotly="" if static else get_plotlyjs(),
        script="".join(read(HERE, name) for name in SCRIPTS),
    )


def filled(package: str, texts: Mapping[str, str]) -> str:
    """A package's ``page.html`` with its texts."""
    return Template(read(package, "page.html")).substitute(texts)


def packed(drawn: Mapping[str, Figure]) -> str:
    """Figures as JSON; a number that is not finite is an error."""
    return json.dumps(drawn, allow_nan=False, separators=(",", ":"))


def read(package: str, name: str) -> str:
    """A file of a package."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
