"""``gradstep play``: a page on this machine on which optimizers move over surfaces."""

from typing import Annotated

import typer

from gradstep.cli.common import require


def play(
    surface: Annotated[
        str | None, typer.Argument(help="quadratic, rosenbrock, ...; with numbers: quadratic:condition=50,angle=30.")
    ] = None,
    optimizers: Annotated[
        list[str] | None,
        typer.Argument(metavar="OPTIMIZER", help="Rules, your own FILE.py:NAME, constructors: adam:lr=0.1 keras.SGD."),
    ] = None,
    start: Annotated[str | None, typer.Option(help="Where they start: 1.5,-2. Default: the surface's own.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of each optimizer.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1. Default: any that is free.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
) -> None:
    """Open a page to play with optimizers on surfaces of two coordinates. For intuition, not evidence."""
    require("plotly", "jinja2")
    from gradstep.cli.common import serve
    from gradstep.compare.show.play.optimizers import allow
    from gradstep.compare.show.play.pages import routes
    from gradstep.compare.show.play.settings import read
    from gradstep.text import read_names

    for one in read_names(",".join(optimizers)) if optimizers else ():
        if ".py" in one.name:
            allow(one.name)
    given = {
        "surface": surface,
        "optimizers": ",".join(optimizers or ()) or None,
        "start": start,
        "steps": None if steps is None else str(steps),
    }
    query = read({key: text for key, text in given.items() if text is not None}).query
    serve(routes(), port, query, no_browser)
