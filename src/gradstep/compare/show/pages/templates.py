"""Pages from Jinja2 templates, which escape every text that isn't :class:`~markupsafe.Markup` already."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gradstep.compare.show.pages.plots import Figure

SHARED = "gradstep.compare.show.pages"
STYLES = ("page.css", "dark.css")


@cache
def templates(package: str = SHARED) -> Environment:
    """Return the templates of a package, and those that all pages share."""
    loader = ChoiceLoader([PackageLoader(name, "") for name in dict.fromkeys((package, SHARED))])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    # Figures: drawn in their order, and a number that isn't finite is an error.
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return made


macros: Any = templates().get_template("macros.html").module


def render(package: str, template: str, **values: Any) -> Markup:
    """Return a template of ``package``, filled in."""
    return Markup(templates(package).get_template(template).render(values))  # noqa: S704 - escaped by the template


def text_of(name: str) -> Markup:
    """Return a shared style or script as it is."""
    text = resources.files(SHARED).joinpath(name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - a file of this package


def standalone(title: str, main: Markup, figures: Mapping[str, Figure], static: bool = False) -> str:
    """Return a page that opens with the network off: style, Plotly and scripts are inside.

    Parameters
    ----------
    title
        Of the window.
    main
        The page's own HTML.
    figures
        By identifier: each is drawn in the element of that ``id``.
    static
        Leave out Plotly and the figures: ``main`` has pictures.
    """
    from plotly.offline import get_plotlyjs  # 5 MB of text

    plotly = "" if static else Markup(get_plotlyjs())  # noqa: S704 - Plotly's own code
    return render(
        SHARED,
        "standalone.html",
        title=title,
        main=main,
        figures={} if static else figures,
        plotly=plotly,
        text_of=text_of,
    )
