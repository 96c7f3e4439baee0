"""Addresses of the page, and the reply of each."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradstep.compare.show.pages import plots
from gradstep.compare.show.pages.templates import SHARED, render
from gradstep.compare.show.play import figures, optimizers, paths, settings
from gradstep.compare.show.play.optimizers import Player
from gradstep.compare.show.play.paths import Path
from gradstep.compare.show.play.settings import Settings
from gradstep.compare.show.play.surfaces import SURFACES
from gradstep.compare.show.server import Query, Reply, Route, as_json, file, fixed, plotly

_PACKAGE = "gradstep.compare.show.play"


def routes() -> Mapping[str, Route]:
    """Return the addresses of the page.

    ``/path?surface=quadratic:condition=50&optimizers=adam:lr=0.1&start=1,2&steps=100`` gives every number of the paths
    with all its digits; ``/rate?...`` the rate map; ``/picture?...`` what the page draws; ``/names`` the names of
    surfaces and optimizers.
    """
    for group in optimizers.names().values():
        for name in group:
            optimizers.known(name)  # looked up once, before there are threads
    return {
        "/": fixed(render(_PACKAGE, "play.html"), "text/html"),
        "/play.css": file(_PACKAGE, "play.css"),
        "/play.js": file(_PACKAGE, "play.js"),
        "/page.css": file(SHARED, "page.css"),
        "/dark.css": file(SHARED, "dark.css"),
        "/play-dark.css": file(_PACKAGE, "play-dark.css"),
        "/charts.js": file(SHARED, "charts.js"),
        "/plotly.js": plotly(),
        "/names": names,
        "/path": path,
        "/picture": picture,
        "/rate": rate,
    }


def names(_: Query) -> Reply:
    """Return the surfaces and the optimizers."""
    surfaces = [{"name": name, "title": x.title} for name, x in SURFACES.items()]
    most = {"steps": settings.MOST_STEPS, "optimizers": settings.MOST_OPTIMIZERS}
    return as_json({"surfaces": surfaces, "optimizers": optimizers.names(), "most": most})


def path(query: Query) -> Reply:
    """Return the paths in full."""
    chosen = settings.read(query)
    surface = {
        "name": chosen.surface.name,
        "numbers": dict(chosen.surface.numbers),
        "least": chosen.surface.surface.least,
    }
    return as_json({"settings": chosen.fields, "surface": surface, "paths": [x.as_json() for x in paths.trace(chosen)]})


def rate(query: Query) -> Reply:
    """Return the rate map of the optimizer that is shown, with a sentence about it."""
    return as_json(figures.rate_map(settings.read(query)))


def picture(query: Query) -> Reply:
    """Return the page's content: settings with their knobs, a row of the table for each path, the figures."""
    chosen = settings.read(query)
    found = paths.trace(chosen)
    own = found[chosen.shown]
    return as_json(
        {
            "query": chosen.query,
            "command": chosen.command,
            "surface": _surface(chosen),
            "start": chosen.start,
            "steps": chosen.steps,
            "shown": chosen.shown,
            "optimizers": [_player(player) for player in chosen.players],
            "rows": [_row(chosen, x, i) for i, x in enumerate(found)],
            "figures": {
                "contour": figures.contour(chosen, found),
                "loss": figures.loss(chosen, found),
                "moved": figures.moved(found),
                "rate": figures.rate(own, chosen.shown),
            },
            "state": figures.state(own, chosen.shown),
        }
    )


def _surface(chosen: Settings) -> dict[str, Any]:
    surface = chosen.surface
    return {
        "name": surface.name,
        "given": dict(surface.given.values),
        "summary": surface.surface.summary,
        "knobs": [knob.shown(surface.numbers[knob.name]) for knob in surface.surface.knobs],
        "box": surface.surface.box,
        "begins": surface.surface.start,
        "seed": surface.seed if surface.noise else None,
    }


def _player(player: Player) -> dict[str, Any]:
    return {
        "name": player.kind.name,
        "label": player.label,
        "given": dict(player.given),
        "stage": str(player),
        "knobs": [knob.shown(player.numbers[name]) for name, knob in player.kind.knobs.items()],
    }


def _row(chosen: Settings, path: Path, i: int) -> dict[str, Any]:
    """Return one path, rounded; the page picks the numbers of the step that it shows."""
    return {
        "colour": plots.colour(i),
        "dash": plots.DASHES[i // 3 % len(plots.DASHES)],
        "label": path.player.label,
        "rate": path.player.numbers[path.player.kind.rate],
        "x": _short(path.x[:, 0]),
        "y": _short(path.x[:, 1]),
        "above": _short(path.loss - chosen.surface.surface.least),
        "moved": _short(path.moved),
        "ended": path.ended,
    }


def _short(values: Any) -> Sequence[float]:
    return plots.rounded(values.tolist())
