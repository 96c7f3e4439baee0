"""The page: twelve sections, each a function of the study's evidence that says so where it has no data."""

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gradstep.compare.evidence import Evidence
from gradstep.compare.report.frame import filled, framed
from gradstep.compare.report.parts import Plot
from gradstep.compare.report.plots import Figure
from gradstep.compare.report.sections import SECTIONS
from gradstep.compare.study import Study
from gradstep.compare.wording import summary

PACKAGE = "gradstep.compare.report"


@dataclass(frozen=True)
class Page:
    """What a page is made of.

    Attributes
    ----------
    heading
        Of the window.
    texts
        What stands in ``page.html``, as HTML.
    drawn
        Figures by identifier.
    """

    heading: str
    texts: Mapping[str, str]
    drawn: Mapping[str, Figure]

    @property
    def main(self) -> str:
        """The page without its frame."""
        return filled(PACKAGE, self.texts)


def make_page(study: Study, static: bool = False) -> str:
    """The whole report as HTML, with Plotly's code, style and script inside; ``static`` has pictures alone."""
    page = content(study, static)
    return framed(page.heading, PACKAGE, page.drawn, static, **page.texts)


def content(study: Study, static: bool = False) -> Page:
    """What a page says of a study, finished or not."""
    evidence = Evidence(study)
    drawn: dict[str, Figure] = {}

    def show(plot: Plot) -> str:
        drawn[plot.key] = plot.figure
        return plot.html(static)

    made = [make(number, evidence, show) for number, make in enumerate(SECTIONS, 1)]
    name = ", ".join(study.problems) if len(study.problems) < 4 else f"{len(study.problems)} problems"
    text = summary(study)
    return Page(
        f"{name}: which optimizer? Gradstep",
        {
            "name": html.escape(name),
            "setting": html.escape(f"{text[0].upper()}{text[1:]}."),
            "unfinished": _unfinished(study, evidence),
            "sections": "\n\n".join(made),
        },
        drawn,
    )


Show = Callable[[Plot], str]


def _unfinished(study: Study, evidence: Evidence) -> str:
    """What a reader must know first of a study that is not finished."""
    if study.finished:
        return ""
    total = sum(study.total.values())
    runs = f"{len(study.runs)} of {total} runs are there"
    if len(study.runs) == total:
        runs = f"all {total} runs are there, but not yet what each step costs"
    counted = f"{len(evidence.problems)} of {len(study.problems)} problems"
    text = (
        f"This study is not finished: {runs}. Only what is complete is counted below: {counted}. No verdict is final."
    )
    return f'<p class="banner" role="status">{html.escape(text)}</p>'
