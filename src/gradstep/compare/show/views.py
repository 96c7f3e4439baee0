"""Views of a study as data: entries and rows of its table, and what a notebook shows of it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from gradstep.compare.evidence.statistics import Estimate, Spread, StepFunction


@dataclass(frozen=True)
class Entry:
    """One optimizer on one problem.

    Attributes
    ----------
    trial, hyper
        The trial that was judged, and its hyperparameters beside those that the label holds; of several searches, the
        first one's.
    searched
        Those hyperparameters of each search.
    at_edge
        Whether its learning rate is the lowest or highest that one of the searches tried: the best may lie outside.
    steps
        To the target, over seeds; a miss is infinity.
    hits, seeds
        Seeds that reached the target, of how many.
    target_loss
        Median over seeds of the loss after the last step on the target's data, by which ties are broken.
    loss, accuracy
        On test data (or where nothing is held back, on all) after the last step. A run that did not get there has loss
        infinity and accuracy 0. ``accuracy`` is None where there are no classes.
    diverged, failed, runs
        Runs that diverged and that ended with an error, in any phase, of how many.
    step_us, optimizer_us, state_bytes
        As in :class:`~gradstep.compare.record.Timing`; NaN where that is missing.
    """

    problem: str
    optimizer: str
    trial: int
    hyper: dict[str, float]
    searched: tuple[dict[str, float], ...]
    at_edge: bool
    steps: Spread
    hits: int
    seeds: int
    target_loss: float
    loss: Spread
    accuracy: Spread | None
    diverged: int
    failed: int
    runs: int
    step_us: float
    optimizer_us: float
    state_bytes: float


@dataclass(frozen=True)
class TableRow:
    """One optimizer on all problems.

    Attributes
    ----------
    hits, seeds
        Over all problems.
    solved
        Problems that its median seed solved.
    entries
        One for each problem that has runs of it to judge by.
    score
        By which the rows are sorted; NaN where the study has one problem, or is not complete.
    """

    optimizer: str
    hits: int
    seeds: int
    solved: int
    entries: tuple[Entry, ...]
    score: float = math.nan


class Table(list[TableRow]):
    """The rows of a study's table, the best first.

    Attributes
    ----------
    html
        The table as a notebook shows it.
    """

    def __init__(self, rows: Iterable[TableRow], html: str) -> None:
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
        The areas under them from 1 to 4, over 3. ``over`` says what their 95 % intervals resample; with None the bounds
        are the least and the greatest that single runs give, NaN with one run.
    svg
        The picture that a notebook shows.
    """

    axis: str
    optimizers: tuple[str, ...]
    curves: list[StepFunction]
    scores: Estimate
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
