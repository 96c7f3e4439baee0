"""The table's words: the same headings and cells in the terminal and in the report."""

import math

from gradstep.compare.naming import short
from gradstep.compare.statistics import Spread
from gradstep.compare.study import Study
from gradstep.compare.table import Row

Cell = tuple[str, str | float]  # what is shown, and what it is sorted by

EDGE_NOTE = "* at the edge of its grid: a rate further out may do better."


def counted(n: int, noun: str) -> str:
    """``1 seed``, ``2 seeds``."""
    return f"{n} {noun}{'s' * (n != 1)}"


def headings(study: Study) -> list[str]:
    """The columns of :func:`row_cells`."""
    where = study.problem.where("test")
    accuracy = [f"{where}accuracy %"] if any(r.accuracy for r in study.runs) else []
    return ["optimizer", "best lr", "steps to target", "hit", f"{where}loss", *accuracy, "µs/step", "diverged"]


def row_cells(row: Row, ranges: bool = True) -> list[Cell]:
    """The cells of one optimizer, in the order of :func:`headings`; ``ranges`` adds least and greatest to medians."""
    steps, accuracy = row.steps_to_target, row.accuracy
    cells: list[Cell] = [
        (row.optimizer, row.optimizer),
        (f"{short(row.lr)}{'*' * row.at_edge}", row.lr),
        (_steps(steps.median), steps.median),
        (f"{row.hits}/{row.seeds}", row.hits),
        (_spread(row.loss, "{:.3g}", ranges), row.loss.median),
        (f"{row.step_us:.1f}", row.step_us),
        (f"{row.diverged}/{row.runs}" if row.diverged else "0", row.diverged),
    ]
    if accuracy is not None:
        percent = Spread(100 * accuracy.median, 100 * accuracy.low, 100 * accuracy.high)
        cells.insert(5, (_spread(percent, "{:.1f}", ranges), accuracy.median))
    return cells


def _steps(x: float) -> str:
    return f"{x:g}" if math.isfinite(x) else "∞"


def _spread(s: Spread, form: str, ranges: bool) -> str:
    low, middle, high = (form.format(x).replace("inf", "∞") for x in (s.low, s.median, s.high))
    return f"{middle} [{low}, {high}]" if ranges and low != high else middle
