"""The page: its sections, each a function of the study's evidence; those that have no data yet are left out."""

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.study import Study
from gradstep.compare.show.pages.plots import Figure
from gradstep.compare.show.pages.templates import render, standalone
from gradstep.compare.show.report.parts import Plot
from gradstep.compare.show.report.sections import sections
from gradstep.compare.show.wording import summary


@dataclass(frozen=True)
class Page:
    """A report: the window's heading, the page's HTML without its frame, and figures by identifier."""

    heading: str
    main: Markup
    figures: Mapping[str, Figure]


def make_page(study: Study, static: bool = False) -> str:
    """Return the whole report as HTML, with Plotly's code, style and script inside; ``static`` has pictures alone."""
    page = content(study, static)
    return standalone(page.heading, page.main, page.figures, static)


def content(study: Study, static: bool = False) -> Page:
    """Return the report of a study, finished or not."""
    evidence = Evidence(study)
    figures: dict[str, Figure] = {}

    def show(plot: Plot) -> Markup:
        figures[plot.key] = plot.figure
        return plot.html(static)

    name = ", ".join(study.problems) if len(study.problems) < 4 else f"{len(study.problems)} problems"
    text = summary(study)
    main = render(
        "gradstep.compare.show.report",
        "page.html",
        problems=name,
        setting=f"{text[0].upper()}{text[1:]}.",
        unfinished=_unfinished(study, evidence),
        sections=sections(evidence, show),
    )
    return Page(f"{name}: which optimizer? Gradstep", main, figures)


def _unfinished(study: Study, evidence: Evidence) -> str:
    """Return what a reader must know first of a study that isn't finished."""
    if study.finished and study.spec.shard is None:
        return ""
    total = sum(study.total.values())
    which = "This study is not finished"
    if study.spec.shard is not None:
        which = f"This is shard {study.spec.shard} of a study, and gradstep merge joins them"
    runs = f"{len(study.runs)} of {total} runs are there"
    if len(study.runs) == total and not study.finished:
        runs = f"all {total} runs are there, but not yet what each step costs"
    counted = f"{len(evidence.problems)} of {len(study.problems)} problems"
    return f"{which}: {runs}. Only what is complete is counted below: {counted}. No verdict is final."
