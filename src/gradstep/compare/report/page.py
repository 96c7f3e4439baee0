"""The page: a template, filled in with the study's words, table and figures."""

import html
from typing import Any

from gradstep.compare.report import figures
from gradstep.compare.report.frame import framed
from gradstep.compare.report.verdict import verdict
from gradstep.compare.study import Study
from gradstep.compare.table import CRITERION
from gradstep.compare.wording import EDGE_NOTE, counted, headings, row_cells

_SENSITIVITY = (
    "Final loss at every learning rate that was tried: median, and bars to the least and the greatest of the seeds. "
    "A cross: a seed diverged. Dotted: the loss before the first step, beyond which nothing is drawn."
)


def make_page(study: Study) -> str:
    """The whole report as HTML, with Plotly's code, style and script inside."""
    charts = _charts(study)
    return framed(
        f"{study.spec.problem}: which optimizer? Gradstep",
        "gradstep.compare.report",
        {key: figure for key, (_, _, figure) in charts.items()},
        problem=html.escape(study.spec.problem),
        setting=html.escape(_setting(study)),
        verdict=html.escape(verdict(study)),
        table=_table(study),
        note=html.escape(_note(study)),
        figures="\n".join(_figure_html(study, key, title, caption) for key, (title, caption, _) in charts.items()),
        protocol=html.escape(_protocol(study)),
        command=html.escape(study.spec.command),
        details=_details(study),
    )


def _charts(study: Study) -> dict[str, tuple[str, str, figures.Figure]]:
    """Identifier -> title, caption and figure."""
    seeds = (
        "Thick: the median over seeds, at each optimizer's best learning rate. Thin: single seeds. "
        "A click on a name hides it."
    )
    dotted = " Dotted: the target."
    metric = study.problem.target.metric
    charts: dict[str, tuple[str, str, figures.Figure]] = {}
    if any(r.accuracy for r in study.runs):
        title = "Learning curves: accuracy"
        charts["accuracy"] = (title, seeds + dotted * (metric == "accuracy"), figures.accuracy_curves(study))
    charts["loss"] = ("Learning curves: loss", seeds + dotted * (metric == "loss"), figures.loss_curves(study))
    charts["sensitivity"] = (
        "Sensitivity to the learning rate",
        _SENSITIVITY,
        figures.sensitivity(study),
    )
    return charts


def _figure_html(study: Study, key: str, title: str, caption: str) -> str:
    label = html.escape(figures.describe(study, title.lower()))
    return (
        f'<section aria-labelledby="{key}-title">\n<h2 id="{key}-title">{html.escape(title)}</h2>\n<figure>\n'
        f'<div class="chart" id="{key}" role="img" aria-label="{label}"></div>\n'
        f"<figcaption>{html.escape(caption)}</figcaption>\n</figure>\n</section>"
    )


def _table(study: Study) -> str:
    first, *others = headings(study)
    head = [f'<th scope="col" data-text><button type="button">{html.escape(first)}</button></th>']
    head += [f'<th scope="col"><button type="button">{html.escape(text)}</button></th>' for text in others]
    body: list[str] = []
    for row in study.table():
        (name, key), *cells = row_cells(row)
        tds = "".join(f'<td data-value="{_sortable(key)}">{html.escape(text)}</td>' for text, key in cells)
        body.append(f'<tr><th scope="row" data-value="{html.escape(str(key))}">{html.escape(name)}</th>{tds}</tr>')
    rows = "\n".join(body)
    return f'<table class="results">\n<thead><tr>{"".join(head)}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>'


def _sortable(x: Any) -> str:
    """A number as JavaScript reads it."""
    return str(x).replace("inf", "Infinity")


def _details(study: Study) -> str:
    rows = "\n".join(
        f'<tr><th scope="row">{html.escape(key)}</th><td>{html.escape(value)}</td></tr>'
        for key, value in study.environment.items()
    )
    return f'<table class="details"><tbody>\n{rows}\n</tbody></table>'


def _setting(study: Study) -> str:
    spec, problem = study.spec, study.problem
    return (
        f"{problem.summary[0].upper()}{problem.summary[1:]} ({problem.source}; {problem.size}). "
        f"{counted(len(spec.contenders), 'optimizer')}, {counted(len(spec.seeds), 'paired seed')}, "
        f"{counted(spec.steps, 'step')} a run, {counted(len(study.runs), 'run')} in all."
    )


def _note(study: Study) -> str:
    edge = f" {EDGE_NOTE}" if any(row.at_edge for row in study.table()) else ""
    return (
        f"Target: {study.problem.goal}; ∞: not reached by the median seed. In brackets: the least and the greatest of "
        f"the seeds. Diverged counts runs at all learning rates.{edge}"
    )


def _protocol(study: Study) -> str:
    counts = sorted({len(c.lrs) for c in study.spec.contenders})
    each = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
    final = "" if study.problem.exact else " Final figures are from test data, which nothing was chosen by."
    return (
        f"Each optimizer is run at {each} learning rate{'s' * (counts[-1] != 1)}, two a decade, around one that fits "
        "by order of magnitude, with every seed; all other hyperparameters keep their defaults unless the name says "
        "otherwise. A seed settles the initial parameters and the batches, so runs of one seed start and go on alike "
        f"for every optimizer. The learning rate shown is the one with {CRITERION}. A run that diverges counts as a "
        f"miss, even if it touched the target before.{final} The time of a step is the optimizer's alone, measured "
        "after all runs, with nothing beside it."
    )
