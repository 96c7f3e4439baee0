"""Pictures that the library draws: paths over a surface, and schedules, as SVG in the page's own colours."""

import numpy as np

from gradstep.compare.show.pages import plots
from gradstep.compare.show.pages.stills import still
from gradstep.compare.show.play import figures, paths
from gradstep.compare.show.play.settings import Settings, read
from gradstep.schedules import Schedule

STEPS = 120


def path_of(names: str, surface: str = "quadratic", steps: int = STEPS) -> str:
    """Return the paths of optimizers over a surface, as ``gradstep play`` draws them."""
    chosen: Settings = read({"surface": surface, "optimizers": names, "steps": str(steps)})
    found = paths.trace(chosen)
    figure = figures.contour(chosen, found)
    ends = ", ".join(f"{x.player.label} at {x.x[-1][0]:.3g}, {x.x[-1][1]:.3g}" for x in found)
    label = f"{chosen.surface.surface.title} from above, with the path after {steps} steps: {ends}."
    return str(still(figure, label))


def schedule(made: Schedule, steps: int) -> str:
    """Return a schedule's value at each update."""
    values = [made(t) for t in range(steps + 1)]
    line = plots.line("value", 0, list(range(steps + 1)), values, width=2.5)
    line["line"] |= {"dash": "solid"}
    layout = plots.axes("updates made, t", "value") | {"showlegend": False}
    if min(values) >= 0:
        layout["yaxis"]["range"] = [0, float(np.max(values)) * 1.05 or 1.0]
    return str(still({"data": [line], "layout": layout}, f"{made!r}: from {values[0]:g} to {values[-1]:g}."))
