"""Colours and dashes of optimizers, the same in all figures: colours for the colour-blind, a dash by family."""

from collections.abc import Iterable, Sequence

from gradstep.compare.contender import Contender
from gradstep.compare.show.pages.plots import COLOURS, Figure, Look

# A family's dash, and what its members have once all colours are used up.
_DASHES = {
    "proportional": ("solid", "longdash"),
    "normalised": ("dot", "longdashdot"),
    "averaged": ("dash", "dashdot"),
}
_SYMBOLS = {
    "solid": "circle",
    "dot": "square",
    "dash": "diamond",
    "longdash": "circle-open",
    "longdashdot": "square-open",
    "dashdot": "diamond-open",
}
FAMILIES = (
    "Solid lines, round marks: steps proportional to the gradient. Dotted, square: the gradient divided by its own "
    "size. Dashed, diamonds: that, of an average of the gradients."
)


def family(one: Contender) -> str:
    """Return ``"proportional"`` (sgd, momentum), ``"normalised"`` (adagrad, rmsprop) or ``"averaged"`` (adam, nadam).

    It follows from the rule's declaration: the units of its hyperparameters (a rule that divides by the gradient's size
    has g in the unit of another one, or a rate that is a distance), and a factor that averages gradients.
    """
    others = [unit for name, unit in one.mover.units.items() if name != "lr"]
    if one.unit == "theta/g" and not any("g" in unit for unit in others):
        return "proportional"
    return "averaged" if one.mover.defaults.keys() & {"beta1", "momentum"} else "normalised"


def looks(contenders: Iterable[Contender]) -> list[Look]:
    """Return a look for each contender; no two of 14 in a family are the same."""
    taken: set[tuple[str, str]] = set()
    out: list[Look] = []
    for i, one in enumerate(contenders):
        dashes = _DASHES[family(one)]
        colours = [COLOURS[(i + k) % len(COLOURS)] for k in range(len(COLOURS))]
        free = [(colour, dash) for dash in dashes for colour in colours if (colour, dash) not in taken]
        colour, dash = (free or [(colours[0], dashes[0])])[0]
        taken.add((colour, dash))
        out.append({"color": colour, "dash": dash})
    return out


def marker(look: Look, size: int, lost: Sequence[int] = ()) -> Figure:
    """Return the marks of a line: crosses at points with ``lost`` runs, given as a number for each point."""
    own = _SYMBOLS[look["dash"]]
    symbol = ["x" if n else own for n in lost] if lost else own
    return {"color": look["color"], "size": size, "symbol": symbol, "line": {"width": 2, "color": look["color"]}}
