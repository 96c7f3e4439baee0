"""What a notebook shows of a study: the table, a profile and a run-time distribution, with their numbers."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gradstep.compare.rows import Row
from gradstep.compare.statistics import Interval, StepFunction


class Table(list[Row]):
    """The rows of a study's table, the best first.

    Attributes
    ----------
    html
        The table as a notebook shows it.
    """

    def __init__(self, rows: Iterable[Row], html: str) -> None:
        super().__init__(rows)
        self.html = html

    def _repr_html_(self) -> str:
        return self.html


@dataclass(frozen=True)
class Profile:
    """Performance profiles, of the complete problems of a study.

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
    svg
        The picture that a notebook shows.
    """

    axis: str
    optimizers: tuple[str, ...]
    curves: list[StepFunction]
    scores: Interval
    svg: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.svg


@dataclass(frozen=True)
class Ecdf:
    """Run-time distributions, of the complete problems of a study.

    Attributes
    ----------
    axis
        Of the times; with several problems they are fractions of each one's budget.
    optimizers
        Labels.
    curves
        One a label: at t, the fraction of (problem, target, seed) reached by t, of 20 targets a problem.
    svg
        The picture that a notebook shows.
    """

    axis: str
    optimizers: tuple[str, ...]
    curves: list[StepFunction]
    svg: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.svg
