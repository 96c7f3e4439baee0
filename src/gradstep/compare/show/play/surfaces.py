"""The surfaces: functions of two coordinates, with their knobs, a start and the part that is shown."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from gradstep.compare.problems import formulas
from gradstep.compare.problems.formulas import ValueAndGrad
from gradstep.compare.show.play.knobs import Knob, decades, even
from gradstep.form.hyper import Domain
from gradstep.naming import find, unknown
from gradstep.text import Named

Numbers = Mapping[str, float]
Function = Callable[[np.ndarray], ValueAndGrad]


@dataclass(frozen=True)
class Surface:
    """A function of two coordinates.

    Attributes
    ----------
    title, summary
        Its name on the page, and one sentence about it.
    make
        The function for given numbers of its knobs.
    box
        The part that is shown: least and greatest x, least and greatest y.
    start
        The start, unless another is given.
    least
        Its minimum.
    scale
        The learning rate that fits by order of magnitude, for each unit that a learning rate can have, as in
        :class:`gradstep.compare.problems.problem.Problem`.
    knobs
        Numbers that the page can change.
    curvatures
        Its largest and smallest curvature where it is a quadratic.
    """

    title: str
    summary: str
    make: Callable[[Numbers], Function]
    box: tuple[float, float, float, float]
    start: tuple[float, float]
    least: float
    scale: Mapping[str, float]
    knobs: tuple[Knob, ...] = ()
    curvatures: Callable[[Numbers], tuple[float, float]] | None = None


@dataclass(frozen=True)
class Chosen:
    """A surface with numbers for all of its knobs.

    Attributes
    ----------
    name
        Of the surface.
    numbers, given
        Of all knobs; as it was written.
    """

    name: str
    surface: Surface
    numbers: Numbers
    given: Named

    @property
    def noise(self) -> float:
        """The standard deviation of the noise in each coordinate of a gradient."""
        return self.numbers.get("noise", 0.0)

    @property
    def seed(self) -> int:
        """The seed of the noise."""
        return int(self.numbers.get("seed", 0))

    @property
    def curvatures(self) -> tuple[float, float] | None:
        """The largest and the smallest curvature of a quadratic; None for other surfaces."""
        of = self.surface.curvatures
        return None if of is None else of(self.numbers)

    def function(self) -> Function:
        """Return the function, which gives value and gradient."""
        return self.surface.make(self.numbers)

    def heights(self, points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the x and the y of a grid over the box, and the function's values on it, shape (y, x)."""
        low, high, bottom, top = self.surface.box
        x, y = np.linspace(low, high, points), np.linspace(bottom, top, points)
        return x, y, self.function()(np.array(np.meshgrid(x, y)))[0]


def choose(named: Named) -> Chosen:
    """Return the surface of that name with the numbers that are given for it.

    Raises
    ------
    GradstepValueError
        For an unknown surface or knob, and a number out of its range.
    """
    surface = find("unknown surface", named.name, SURFACES)
    known = {knob.name: knob for knob in surface.knobs}
    numbers = {knob.name: knob.default for knob in surface.knobs}
    for name, x in named.values:
        if name not in known:
            raise (
                unknown(f"{named.name} has no number", name, known)
                if known
                else unknown(f"{named.name} takes no numbers, and so no", name, ())
            )
        numbers[name] = known[name].checked(x, named.name)
    return Chosen(named.name, surface, numbers, named)


def _curvatures(numbers: Numbers) -> tuple[float, float]:
    return 1.0, 1.0 / numbers["condition"]


def _bowl(numbers: Numbers) -> Function:
    turn = math.radians(numbers.get("angle", 0.0))
    axes = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    matrix = (axes * _curvatures(numbers)) @ axes.T
    return lambda x: formulas.bowl(x, matrix)


def _only(function: Function) -> Callable[[Numbers], Function]:
    return lambda _: function


_CONDITION = Domain(1.0, 1e6)
_ANGLE = Knob("angle", 30.0, Domain(-360.0, 360.0), even(0, 180, 5))

SURFACES: Mapping[str, Surface] = {
    "quadratic": Surface(
        "Quadratic",
        "A bowl with curvatures 1 and 1/condition, along axes that are turned by angle, in degrees.",
        _bowl,
        (-2, 2, -2, 2),
        (-1.6, 1.2),
        0.0,
        {"theta/g": 0.3, "theta": 0.1},
        (Knob("condition", 20.0, _CONDITION, decades(0, 4)), _ANGLE),
        _curvatures,
    ),
    "noisy": Surface(
        "Noisy bowl",
        "The quadratic, with normal noise in each coordinate of each gradient; the same draws for every optimizer.",
        _bowl,
        (-2, 2, -2, 2),
        (-1.6, 1.2),
        0.0,
        {"theta/g": 0.1, "theta": 0.05},
        (
            Knob("condition", 5.0, _CONDITION, decades(0, 4)),
            _ANGLE,
            Knob("noise", 0.3, Domain(0.0, 100.0), (0.0, *decades(-2, 1))),
            Knob("seed", 0.0, Domain(0.0, 99.0), even(0, 99, 1), is_whole=True),
        ),
        _curvatures,
    ),
    "rosenbrock": Surface(
        "Rosenbrock",
        "A curved valley, flat along its floor and steep across it; its minimum is at (1, 1).",
        _only(formulas.rosenbrock),
        (-2, 2, -1, 3),
        (-1.2, 1.0),
        0.0,
        {"theta/g": 1e-3, "theta": 0.05},
    ),
    "beale": Surface(
        "Beale",
        "A long flat valley between steep corners; its minimum is at (3, 0.5).",
        _only(formulas.beale),
        (-4.5, 4.5, -4.5, 4.5),
        (1.0, 1.5),
        0.0,
        {"theta/g": 3e-3, "theta": 0.05},
    ),
    "rastrigin": Surface(
        "Rastrigin",
        "A bowl with a dimple around every whole number; the deepest is at the origin.",
        _only(formulas.rastrigin),
        (-4, 4, -4, 4),
        (2.7, -3.4),
        0.0,
        {"theta/g": 2e-3, "theta": 0.1},
    ),
    "himmelblau": Surface(
        "Himmelblau",
        "Four minima of equal depth: where a path ends depends on its start.",
        _only(formulas.himmelblau),
        (-6, 6, -6, 6),
        (-0.5, -1.0),
        0.0,
        {"theta/g": 5e-3, "theta": 0.1},
    ),
    "saddle": Surface(
        "Saddle",
        "A saddle at the origin between minima at (0, 1) and (0, -1): from near its axis the way out is slow.",
        _only(formulas.saddle),
        (-2, 2, -2, 2),
        (1.6, 0.001),
        -0.25,
        {"theta/g": 0.1, "theta": 0.05},
    ),
}
