"""Views of a study, made: the functions behind its methods."""

from pathlib import Path

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.study import Axis, Study
from gradstep.compare.evidence.table import make_table
from gradstep.compare.show.pages.stills import still
from gradstep.compare.show.pages.templates import macros
from gradstep.compare.show.report import ranking, write_report
from gradstep.compare.show.views import Ecdf, Profile, Table
from gradstep.compare.show.wording import board_cells, board_headings, entry_cells, headings
from gradstep.errors import GradstepValueError


def table(study: Study) -> Table:
    """The table of a study."""
    rows = make_table(study)
    if len(study.problems) == 1:
        [problem] = study.problems
        cells = [[text for text, _ in entry_cells(study, entry)] for row in rows for entry in row.entries]
        return Table(rows, macros.plain(headings(study, problem), cells))
    cells = [[text for text, _ in board_cells(study, row)] for row in rows]
    return Table(rows, macros.plain(board_headings(study), cells))


def profile(study: Study, axis: Axis) -> Profile:
    """The profiles of a study.

    Raises
    ------
    GradstepValueError
        When no problem is complete, or no step has been timed and the axis is ``"seconds"``.
    """
    evidence = _complete(study)
    curves, scores = evidence.profiles(axis), evidence.scores(axis)
    picture = still(ranking.profile(evidence, axis), f"Performance profiles by {axis}")
    return Profile(axis, study.optimizers, curves, scores, picture)


def ecdf(study: Study, axis: Axis) -> Ecdf:
    """The run-time distributions of a study; errors as :func:`profile`."""
    evidence = _complete(study)
    curves = evidence.ecdfs(axis)
    return Ecdf(
        axis, study.optimizers, curves, still(ranking.ecdf(evidence, axis), f"Run-time distributions by {axis}")
    )


def report(study: Study, path: Path, static: bool) -> None:
    """Write the report of a study: see :func:`gradstep.compare.show.report.write_report`."""
    write_report(study, path, static)


def _complete(study: Study) -> Evidence:
    evidence = Evidence(study)
    if not evidence.problems:
        raise GradstepValueError("no problem of this study is complete yet; the same command goes on with it.")
    return evidence
