"""The page's addresses, and what each of them gives."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradstep.compare.pages import plots
from gradstep.compare.pages.templates import SHARED, render
from gradstep.compare.play import figures, optimizers, paths, settings
from gradstep.compare.play.optimizers import Player
from gradstep.compare.play.paths import Path
from gradstep.compare.play.settings import Settings
from gradstep.compare.play.surfaces import SURFACES
from gradstep.compare.server import Query, Reply, Route, as_json, file, fixed, plotly

_OWN = "gradstep.compare.play"


def routes() -> Mapping[str, Route]:
    """All that the server of the page answers.

    ``/path?surface=quadratic:condition=50&optimizers=adam:lr=0.1&start=1,2&steps=100`` gives every number of the paths
    with all its digits; ``/rate?...`` the rate map; ``/picture?...`` what the page draws; ``/names`` what there is.
    """
    for group in optimizers.names().values():
        for name in group:
            optimizers.known(name)  # found once, before there are threads
    return {
        "/": fixed(render(_OWN, "play.html"), "text/html"),
        "/play.css": file(_OWN, "play.css"),
        "/play.js": file(_OWN, "play.js"),
        "/page.css": file(SHARED, "page.css"),
        "/dark.css": file(SHARED, "dark.css"),
        "/play-dark.css": file(_OWN, "play-dark.css"),
        "/charts.js": file(SHARED, "charts.js"),
        "/plotly.js": plotly(),
        "/names": names,
        "/path": path,
        "/picture": picture,
        "/rate": rate,
    }


def names(_: Query) -> Reply:
    """The surfaces and the optimizers that there are."""
    surfaces = [{"name": name, "title": x.title} for name, x in SURFACES.items()]
    most = {"steps": settings.MOST_STEPS, "optimizers": settings.MOST_OPTIMIZERS}
    return as_json({"surfaces": surfaces, "optimizers": optimizers.names(), "most": most})


def path(query: Query) -> Reply:
    """The paths in full."""
    asked = settings.read(query)
    surface = {"name": asked.surface.name, "numbers": dict(asked.surface.numbers), "least": asked.surface.surface.least}
    return as_json({"settings": asked.fields, "surface": surface, "paths": [x.as_json() for x in paths.trace(asked)]})


def rate(query: Query) -> Reply:
    """The rate map of the optimizer that is shown, with a sentence about it."""
    return as_json(figures.rate_map(settings.read(query)))


def picture(query: Query) -> Reply:
    """What the page shows: settings with their knobs, a row of the table for each path, the figures."""
    asked = settings.read(query)
    found = paths.trace(asked)
    own = found[asked.shown]
    return as_json(
        {
            "query": asked.query,
            "command": asked.command,
            "surface": _surface(asked),
            "start": asked.start,
            "steps": asked.steps,
            "shown": asked.shown,
            "optimizers": [_player(player) for player in asked.players],
            "rows": [_row(asked, x, i) for i, x in enumerate(found)],
            "figures": {
                "contour": figures.contour(asked, found),
                "loss": figures.loss(asked, found),
                "moved": figures.moved(found),
                "rate": figures.rate(own, asked.shown),
            },
            "state": figures.state(own, asked.shown),
        }
    )


def _surface(asked: Settings) -> dict[str, Any]:
    chosen = asked.surface
    return {
        "name": chosen.name,
        "given": dict(chosen.given.values),
        "summary": chosen.surface.summary,
        "knobs": [knob.shown(chosen.numbers[knob.name]) for knob in chosen.surface.knobs],
        "box": chosen.surface.box,
        "begins": chosen.surface.start,
        "seed": chosen.seed if chosen.noise else None,
    }


def _player(player: Player) -> dict[str, Any]:
    return {
        "name": player.kind.name,
        "label": player.label,
        "given": dict(player.given),
        "stage": str(player),
        "knobs": [knob.shown(player.numbers[name]) for name, knob in player.kind.knobs.items()],
    }


def _row(asked: Settings, path: Path, i: int) -> dict[str, Any]:
    """One path, rounded; the page picks the numbers of the step that it stands at."""
    return {
        "colour": plots.colour(i),
        "dash": plots.DASHES[i // 3 % len(plots.DASHES)],
        "label": path.player.label,
        "rate": path.player.numbers[path.player.kind.rate],
        "x": _short(path.x[:, 0]),
        "y": _short(path.x[:, 1]),
        "above": _short(path.loss - asked.surface.surface.least),
        "moved": _short(path.moved),
        "ended": path.ended,
    }


def _short(values: Any) -> Sequence[float]:
    return plots.rounded(values.tolist())
