"""Settings of the page: a surface, a start, optimizers, a number of steps. An address's query has all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from gradstep.compare.show.play import optimizers, surfaces
from gradstep.compare.show.play.knobs import read_pair
from gradstep.compare.show.play.optimizers import Player
from gradstep.compare.show.play.surfaces import Chosen
from gradstep.errors import GradstepValueError
from gradstep.naming import unknown
from gradstep.text import read_names, short

MOST_STEPS = 1000
MOST_OPTIMIZERS = 6
FARTHEST = 1e3
FIELDS = ("surface", "optimizers", "start", "steps", "shown")
DEFAULT_SURFACE = "quadratic"
DEFAULT_OPTIMIZERS = "momentum,adam,sgd"
DEFAULT_STEPS = "150"


@dataclass(frozen=True)
class Settings:
    """Settings, which fix all that the page shows.

    Attributes
    ----------
    surface, start, steps
        The function, the first point, and the number of steps.
    players
        The optimizers.
    shown
        The place among them of the one whose state and rate map are shown.
    """

    surface: Chosen
    start: tuple[float, float]
    steps: int
    players: tuple[Player, ...]
    shown: int

    @property
    def fields(self) -> dict[str, str]:
        """The fields of the query that reads back as these settings."""
        return {
            "surface": str(self.surface.given),
            "optimizers": ",".join(player.label for player in self.players),
            "start": ",".join(map(short, self.start)),
            "steps": str(self.steps),
            "shown": str(self.shown),
        }

    @property
    def query(self) -> str:
        """The fields as an address has them."""
        return "&".join(f"{key}={quote(text, safe=':,=')}" for key, text in self.fields.items())

    @property
    def command(self) -> str:
        """The command line that opens the page with these settings."""
        own = self.fields
        start = "" if self.start == self.surface.surface.start else f" --start={own['start']}"
        return f"gradstep play {own['surface']} {' '.join(x.label for x in self.players)}{start} --steps={self.steps}"


def read(fields: Mapping[str, str]) -> Settings:
    """Return the settings of a query's fields; a field that is left out has its default.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For an unknown field or name, a number out of range, and more than a request may ask for.
    """
    for name in fields:
        if name not in FIELDS:
            raise unknown("unknown field of the query", name, FIELDS)
    named = read_names(fields.get("surface", DEFAULT_SURFACE))
    if len(named) != 1:
        raise GradstepValueError(f"there must be one surface, not {len(named)}.")
    surface = surfaces.choose(named[0])
    entries = read_names(fields.get("optimizers", DEFAULT_OPTIMIZERS))
    if len(entries) > MOST_OPTIMIZERS:
        raise GradstepValueError(f"{len(entries)} optimizers are too many for one page; it shows {MOST_OPTIMIZERS}.")
    players = tuple(optimizers.choose(entry, surface.surface.scale) for entry in entries)
    start = surface.surface.start
    if "start" in fields:
        start = read_pair(fields["start"], "start", FARTHEST)
    steps = _whole(fields.get("steps", DEFAULT_STEPS), "steps", 1, MOST_STEPS)
    return Settings(surface, start, steps, players, _whole(fields.get("shown", "0"), "shown", 0, len(players) - 1))


def _whole(text: str, what: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and low <= int(text) <= high):
        raise GradstepValueError(f"{what} must be a whole number from {low} to {high}, not {text[:40]!r}.")
    return int(text)
