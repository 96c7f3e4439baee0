"""``gradstep report``: what a folder holds, a study or a run, as a page or a table."""

from pathlib import Path
from typing import Annotated

import typer

from gradstep.cli.common import echo, require, writable_file
from gradstep.errors import GradstepValueError


def report(
    folder: Annotated[Path, typer.Argument(help="A folder of `gradstep compare`, or of `gradstep run`.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The page. Default: report.html in the folder.")
    ] = None,
    static: Annotated[bool, typer.Option("--static", help="Pictures instead of charts: a small page.")] = False,
    csv: Annotated[
        Path | None,
        typer.Option(help="A row for each run of a study, as CSV; and for each evaluation, in NAME-points.csv."),
    ] = None,
    parquet: Annotated[Path | None, typer.Option(help="The same as Parquet, by pyarrow.")] = None,
) -> None:
    """Write the report of a study or a run, finished or not: one HTML file that opens with the network off.

    With --csv or --parquet and without --out there is no page.
    """
    from gradstep.compare.store import NAME
    from gradstep.runs import Folder

    for path in filter(None, (out, csv, parquet)):
        writable_file(path)
    given = {"--static": static, "--csv": csv is not None, "--parquet": parquet is not None}
    if (folder / NAME).is_file():
        written = _study(folder, out, static, csv, parquet)
    elif not Folder(folder).spec_file.is_file():
        raise GradstepValueError(f"there is neither a study ({NAME}) nor a run (run.json) in {folder}.")
    elif wrong := [name for name, is_given in given.items() if is_given]:
        raise GradstepValueError(f"{folder} holds a run, and {' and '.join(wrong)} is for studies; leave it out.")
    else:
        written = [_run(folder, out)]
    for path in written:
        echo(f"wrote {path}")


def _study(folder: Path, out: Path | None, static: bool, csv: Path | None, parquet: Path | None) -> list[Path]:
    from gradstep.compare.evidence.study import Study
    from gradstep.compare.show.export import check_parquet, write_tables

    if parquet is not None:
        check_parquet()
    study = Study.load(folder)
    written = write_tables(study, csv, parquet)
    if out is not None or not written:
        require("plotly", "jinja2")
        page = out or folder / "report.html"
        study.report(page, static)
        written.append(page)
    return written


def _run(folder: Path, out: Path | None) -> Path:
    require("plotly", "jinja2")
    from gradstep.runs import Folder, recalled, write_report

    kept = Folder(folder)
    summary, warnings = recalled(kept)
    path = out or kept.shown_report
    write_report(kept, Path(kept.spec().problem).name, summary, warnings, path)
    return path
