"""The report: one HTML file that opens with the network off."""

from pathlib import Path

from gradstep.compare.evidence.study import Study
from gradstep.compare.show.report.page import make_page
from gradstep.files import write_text

__all__ = ["write_report"]


def write_report(study: Study, path: Path, static: bool = False) -> None:
    """Write the report of ``study`` to ``path``, whole or not at all (about 5 MB, most of it Plotly's own code).

    Parameters
    ----------
    study
        Finished or not.
    path
        Of the file.
    static
        Pictures instead of charts, without Plotly: a small file.
    """
    write_text(path, make_page(study, static))
