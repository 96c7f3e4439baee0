"""How each optimizer looks, in all figures alike: colours that the colour-blind tell apart, dashes by family."""

from collections.abc import Sequence

from gradstep.compare.contender import contender
from gradstep.compare.naming import read_names
from gradstep.compare.report.plots import COLOURS, Look

# A family's dash, and what its members have once all colours are used up.
_DASHES = {
    "proportional": ("solid", "longdash"),
    "normalised": ("dot", "longdashdot"),
    "averaged": ("dash", "dashdot"),
}
FAMILIES = (
    "Solid: steps proportional to the gradient. Dotted: the gradient divided by its own size. Dashed: that, with an "
    "average of the gradients."
)


def family(label: str) -> str:
    """``"proportional"`` (sgd, momentum), ``"normalised"`` (adagrad, rmsprop) or ``"averaged"`` (adam and its kin).

    By what the rule declares: the unit of its learning rate, and how many arrays it keeps.
    """
    one = contender(read_names(label)[0])
    if one.unit == "theta/g":
        return "proportional"
    return "averaged" if len(one.mover.state) > 1 else "normalised"


def looks(labels: Sequence[str]) -> list[Look]:
    """A look for each label; no two of 14 in a family are the same."""
    taken: set[tuple[str, str]] = set()
    out: list[Look] = []
    for i, label in enumerate(labels):
        dashes = _DASHES[family(label)]
        colours = [COLOURS[(i + k) % len(COLOURS)] for k in range(len(COLOURS))]
        free = [(colour, dash) for dash in dashes for colour in colours if (colour, dash) not in taken]
        colour, dash = (free or [(colours[0], dashes[0])])[0]
        taken.add((colour, dash))
        out.append({"color": colour, "dash": dash})
    return out
