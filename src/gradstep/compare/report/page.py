"""The page: a template, filled in with the study's words, tables and figures."""

import html
from collections.abc import Iterable, Sequence
from typing import Any

from gradstep.compare.report import figures
from gradstep.compare.report.frame import framed
from gradstep.compare.report.verdict import verdict
from gradstep.compare.study import CRITERION, Study
from gradstep.compare.table import entries, make_table
from gradstep.compare.wording import (
    Cell,
    board_cells,
    board_headings,
    entry_cells,
    goal,
    headings,
    remarks,
    summary,
)

_SENSITIVITY = (
    "Final loss at every learning rate that was tried: median, and bars to the least and the greatest of the seeds. "
    "A cross: a seed diverged. Dotted: the loss before the first step, beyond which nothing is drawn."
)
_SEEDS = "Thick: the median over seeds, at each optimizer's best trial. Thin: single seeds. A click on a name hides it."


def make_page(study: Study) -> str:
    """The whole report as HTML, with Plotly's code, style and script inside."""
    charts = [chart for problem in study.problems for chart in _charts(study, problem)]
    name = " · ".join(study.problems)
    return framed(
        f"{name}: which optimizer? Gradstep",
        "gradstep.compare.report",
        {key: figure for key, _, _, _, figure in charts},
        problem=html.escape(name),
        setting=html.escape(_setting(study)),
        verdict=html.escape(" ".join(_verdicts(study))),
        table=_table(study),
        note=html.escape(_note(study)),
        figures="\n".join(_figure_html(key, *rest) for key, *rest, _ in charts),
        protocol=html.escape(_protocol(study)),
        command=html.escape(study.command),
        details=_details(study),
    )


def _verdicts(study: Study) -> Iterable[str]:
    alone = len(study.problems) == 1
    return (f"{'' if alone else f'{problem}: '}{verdict(study, problem)}" for problem in study.problems)


def _charts(study: Study, problem: str) -> list[tuple[str, str, str, str, figures.Figure]]:
    """Identifier, title, caption, label and figure of each chart."""
    alone = len(study.problems) == 1
    before = "" if alone else f"p{study.problems.index(problem)}-"
    dotted, metric = " Dotted: the target.", study.target(problem).metric
    found = [
        (
            "loss",
            "Learning curves: loss",
            _SEEDS + dotted * (metric == "loss"),
            figures.loss_curves(study, problem),
        ),
        ("sensitivity", "Sensitivity to the learning rate", _SENSITIVITY, figures.sensitivity(study, problem)),
    ]
    if any(run.accuracy for label in study.optimizers for run in study.evaluated(problem, label)):
        title, caption = "Learning curves: accuracy", _SEEDS + dotted * (metric == "accuracy")
        found.insert(0, ("accuracy", title, caption, figures.accuracy_curves(study, problem)))
    return [
        (
            f"{before}{key}",
            f"{'' if alone else f'{problem}. '}{title}",
            caption,
            figures.describe(study, problem, title.lower()),
            figure,
        )
        for key, title, caption, figure in found
    ]


def _figure_html(key: str, title: str, caption: str, label: str) -> str:
    return (
        f'<section aria-labelledby="{key}-title">\n<h2 id="{key}-title">{html.escape(title)}</h2>\n<figure>\n'
        f'<div class="chart" id="{key}" role="img" aria-label="{html.escape(label)}"></div>\n'
        f"<figcaption>{html.escape(caption)}</figcaption>\n</figure>\n</section>"
    )


def _table(study: Study) -> str:
    if len(study.problems) == 1:
        [problem] = study.problems
        rows = [entry_cells(study, entry) for entry in entries(study, problem)]
        return _sortable_table(headings(study, problem), rows)
    return _sortable_table(board_headings(study), [board_cells(study, row) for row in make_table(study)])


def _sortable_table(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    first, *others = heads
    head = [f'<th scope="col" data-text><button type="button">{html.escape(first)}</button></th>']
    head += [f'<th scope="col"><button type="button">{html.escape(text)}</button></th>' for text in others]
    body: list[str] = []
    for (name, key), *cells in rows:
        tds = "".join(f'<td data-value="{_sortable(key)}">{html.escape(text)}</td>' for text, key in cells)
        body.append(f'<tr><th scope="row" data-value="{html.escape(str(key))}">{html.escape(name)}</th>{tds}</tr>')
    lines = "\n".join(body)
    return f'<table class="results">\n<thead><tr>{"".join(head)}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table>'


def _sortable(x: Any) -> str:
    """A number as JavaScript reads it."""
    return str(x).replace("inf", "Infinity").replace("nan", "NaN")


def _details(study: Study) -> str:
    rows = "\n".join(
        f'<tr><th scope="row">{html.escape(key)}</th><td>{html.escape(value)}</td></tr>'
        for key, value in study.environment.items()
    )
    return f'<table class="details"><tbody>\n{rows}\n</tbody></table>'


def _setting(study: Study) -> str:
    texts = [
        f"{card.summary[0].upper()}{card.summary[1:]} ({card.source}; {card.size})." for card in study.cards.values()
    ]
    text = summary(study)
    return " ".join([*texts, f"{text[0].upper()}{text[1:]}."])


def _note(study: Study) -> str:
    targets = "; ".join(
        f"{'' if len(study.problems) == 1 else f'{problem}: '}{goal(study, problem)}" for problem in study.problems
    )
    text = (
        f"Target: {targets}; ∞: not reached by the median seed. In brackets: the least and the greatest of the seeds. "
        "Diverged counts runs of all trials."
    )
    return " ".join([text, *remarks(study, make_table(study))])


def _protocol(study: Study) -> str:
    spec = study.spec
    exact = all(card.exact for card in study.cards.values())
    final = "" if exact else " Final figures are from test data, which nothing was chosen by."
    drawn = "points of one quasi-random table mapped onto" if spec.search == "quasi" else "chosen by Optuna's TPE from"
    trials = (
        "Each optimizer is run as it comes, with its own default hyperparameters. "
        if spec.ruleset == "defaults"
        else f"Each optimizer has {spec.trials} trials, {drawn} its own log-space of "
        f"{'learning rates' if spec.tune == 'lr' else 'hyperparameters'}, with seeds that judge nothing. The best is "
        f"that with {CRITERION}; it is run again with fresh seeds. "
    )
    return (
        f"{trials}A seed settles the initial parameters and the batches, so runs of one seed start and go on alike for "
        f"every optimizer. A run that diverges counts as a miss, even if it touched the target before.{final} The time "
        "of a step is measured after all runs, with nothing beside it."
    )
