"""What a notebook shows of a study: the table, a profile and a run-time distribution, with their numbers."""

import html
from collections.abc import Iterable
from dataclasses import dataclass

from gradstep.compare.evidence import Evidence
from gradstep.compare.statistics import Interval, StepFunction
from gradstep.compare.study import Axis, Study
from gradstep.compare.table import Row, make_table


class Table(list[Row]):
    """The rows of a study's table, the best first; in a notebook a table."""

    def __init__(self, study: Study, rows: Iterable[Row]) -> None:
        super().__init__(rows)
        self._study = study

    def _repr_html_(self) -> str:
        return self.html

    @property
    def html(self) -> str:
        """What a notebook shows."""
        from gradstep.compare.wording import board_cells, board_headings, entry_cells, headings

        study = self._study
        if len(study.problems) == 1:
            [problem] = study.problems
            rows = [[text for text, _ in entry_cells(study, entry)] for row in self for entry in row.entries]
            return _table(headings(study, problem), rows)
        return _table(board_headings(study), [[text for text, _ in board_cells(study, row)] for row in self])


@dataclass(frozen=True)
class Profile:
    """A performance profile; in a notebook a picture.

    Attributes
    ----------
    axis
        Of the times.
    optimizers
        Labels.
    curves
        One a label: at r, the fraction of problems that its median seed solves within r times the best time.
    scores
        The areas under them from 1 to 4, over 3, with 95 % intervals over paired seeds; bounds are NaN with one seed.
    picture
        As SVG.
    """

    axis: Axis
    optimizers: tuple[str, ...]
    curves: list[StepFunction]
    scores: Interval
    picture: str

    def _repr_html_(self) -> str:
        return self.picture


@dataclass(frozen=True)
class Ecdf:
    """A run-time distribution; in a notebook a picture.

    Attributes
    ----------
    axis
        Of the times; with several problems they are fractions of each one's budget.
    optimizers
        Labels.
    curves
        One a label: at t, the fraction of (problem, target, seed) reached by t, of 20 targets a problem.
    picture
        As SVG.
    """

    axis: Axis
    optimizers: tuple[str, ...]
    curves: list[StepFunction]
    picture: str

    def _repr_html_(self) -> str:
        return self.picture


def table(study: Study) -> Table:
    """The table of a study."""
    return Table(study, make_table(study))


def profile(study: Study, axis: Axis) -> Profile:
    """The profile of a study's complete problems.

    Raises
    ------
    GradstepValueError
        When there are none, or no step has been timed and the axis is ``"seconds"``.
    """
    from gradstep.compare.report import ranking
    from gradstep.compare.report.svg import svg

    evidence = Evidence(study)
    curves, scores = evidence.profiles(axis), evidence.scores(axis)
    picture = svg(ranking.profile(evidence, axis), f"Performance profiles by {axis}")
    return Profile(axis, study.optimizers, curves, scores, picture)


def ecdf(study: Study, axis: Axis) -> Ecdf:
    """The run-time distribution of a study's complete problems; errors as :func:`profile`."""
    from gradstep.compare.report import ranking
    from gradstep.compare.report.svg import svg

    evidence = Evidence(study)
    curves = evidence.ecdfs(axis)
    return Ecdf(axis, study.optimizers, curves, svg(ranking.ecdf(evidence, axis), f"Run-time distributions by {axis}"))


def _table(heads: list[str], rows: list[list[str]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in heads)
    body = "".join(
        f'<tr><th scope="row">{html.escape(first)}</th>{"".join(f"<td>{html.escape(text)}</td>" for text in rest)}</tr>'
        for first, *rest in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
