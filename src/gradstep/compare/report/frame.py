"""The frame of every report: one HTML file that opens with the network off, with style, Plotly and script inside."""

import html
import json
from collections.abc import Mapping
from importlib import resources
from string import Template

from gradstep.compare.report.plots import Figure


def framed(heading: str, package: str, drawn: Mapping[str, Figure], **texts: str) -> str:
    """A whole page.

    Parameters
    ----------
    heading
        Of the window.
    package
        Whose ``page.html`` is what the page says.
    drawn
        Figures by identifier: each is drawn in the element of that ``id``.
    **texts
        What stands in ``page.html`` in place of each ``$name``, as HTML.
    """
    from plotly.offline import get_plotlyjs  # 5 MB of text, so only here

    return _template(__package__ or "", "frame.html").substitute(
        title=html.escape(heading),
        main=_template(package, "page.html").substitute(texts),
        data=json.dumps(drawn, allow_nan=False).replace("<", r"\u003c"),  # nothing in it begins a tag or a comment
        style=_template(__package__ or "", "page.css").template,
        dark=_template(__package__ or "", "dark.css").template,
        plotly=get_plotlyjs(),
        script="".join(_template(__package__ or "", name).template for name in ("charts.js", "page.js")),
    )


def _template(package: str, name: str) -> Template:
    return Template(resources.files(package).joinpath(name).read_text(encoding="utf-8"))
