"""Paths of the study's optimizers on two surfaces, and a map of rates, by the functions of ``gradstep play``."""

from typing import Any

from gradstep.compare.evidence.study import Study
from gradstep.compare.show.pages import plots
from gradstep.compare.show.pages.plots import Figure
from gradstep.compare.show.play import figures
from gradstep.compare.show.play.paths import trace
from gradstep.compare.show.play.settings import MOST_OPTIMIZERS, Settings, read
from gradstep.compare.show.report.looks import looks
from gradstep.errors import GradstepError

STEPS = 60
SURFACES = ("quadratic:angle=30,condition=20", "rosenbrock")
BANNER = "Tuned by hand, not evidence: learning rates fit each surface by order of magnitude."


def pictures(study: Study) -> list[tuple[str, Figure]]:
    """Return a caption and a figure of each: paths on the surfaces, the map of the first optimizer that has one."""
    labels = [label for label in study.optimizers if _playable(label)][:MOST_OPTIMIZERS]
    if not labels:
        return []
    out: list[tuple[str, Figure]] = []
    for surface in SURFACES:
        settings = _settings(surface, labels)
        rates = ", ".join(f"{x.kind.name} {x.numbers[x.kind.rate]:.3g}" for x in settings.players)
        figure = _restyled(study, labels, figures.contour(settings, trace(settings)))
        text = f"{STEPS} steps on {surface.partition(':')[0]}; learning rates: {rates}. No clipping, no noise."
        out.append((f"{text}{_absent(study, labels)}", figure))
    for k in sorted(range(len(labels)), key=lambda k: "momentum" not in study.contenders[labels[k]].defaults):
        found: dict[str, Any] = figures.rate_map(_settings(SURFACES[0], labels, k))
        if found["figure"] is not None:
            return [*out, (f"The rate on the quadratic: {found['text']}", found["figure"])]
    return out


def _absent(study: Study, labels: list[str]) -> str:
    absent = [label for label in study.optimizers if label not in labels]
    return f" Not drawn: {', '.join(absent)}." if absent else ""


def _settings(surface: str, labels: list[str], shown: int = 0) -> Settings:
    fields = {"surface": surface, "optimizers": ",".join(labels), "steps": str(STEPS), "shown": str(shown)}
    return read(fields)


def _playable(label: str) -> bool:
    try:
        _settings(SURFACES[0], [label])
    except GradstepError:
        return False
    return True


def _restyled(study: Study, labels: list[str], figure: Figure) -> Figure:
    """Return the figure with the looks and names that the optimizers have in the study, and a legend."""
    own = dict(zip(study.optimizers, looks(study.contenders.values()), strict=True))
    paths = [part for part in figure["data"] if part["type"] == "scatter" and part["name"] != "start"]
    for k, part in enumerate(paths):  # of each path in turn: halos, lines, ends
        label = labels[k % len(labels)]
        part["name"] = part["legendgroup"] = plots.escaped(label)
        part["showlegend"] = k // len(labels) == 1
        if "lines" not in part["mode"]:
            part["marker"] |= {"color": own[label]["color"]}
        elif part["showlegend"]:
            part["line"] |= own[label]
    ground = figure["data"][0]
    ground["z"] = [[round(height, 2) for height in row] for row in ground["z"]]  # of a shade, more is not seen
    figure["layout"] |= {"showlegend": True}
    return figure
