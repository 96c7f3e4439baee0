"""A study's runs as one flat table, for other programs: CSV, and Parquet where pyarrow is."""

import csv
import importlib
import importlib.util
import io
import math
from pathlib import Path
from typing import Any

from gradstep.compare.evidence.study import Study, to_target
from gradstep.compare.record import RunRecord
from gradstep.errors import GradstepError
from gradstep.files import write_all, write_text, write_whole
from gradstep.text import short

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a formula may begin
POINT_OF = ("problem", "optimizer", "phase", "trial", "seed")  # of which run a point is
FlatRow = dict[str, str | int | float | None]
COLUMNS: dict[str, type] = {
    "problem": str,
    "optimizer": str,
    "phase": str,
    "trial": int,
    "seed": int,
    "hyper": str,
    "steps_to_target": float,
    "seconds_to_target": float,
    "steps_to_easy": float,
    "steps_to_hard": float,
    "target_loss": float,
    "final_loss": float,
    "final_accuracy": float,
    "diverged": int,
    "stopped": int,
    "error": str,
    "seconds": float,
}


def rows(study: Study) -> list[FlatRow]:
    """A row of COLUMNS for each run, in the order of the study; None where there is nothing, infinity for a miss.

    A run that a search stopped has no steps to the target: it was not made to the end.
    """
    return [dict(zip(COLUMNS, _values(study, run), strict=True)) for run in study.runs]


def _values(study: Study, run: RunRecord) -> tuple[str | int | float | None, ...]:
    seconds = study.unit("seconds", run.problem, run.optimizer)
    target = study.target(run.problem)
    steps, easy, hard = (
        None if run.stopped is not None or level is None else to_target(run, level)
        for level in (target, target.at("easy"), target.at("hard"))
    )
    return (
        run.problem,
        run.optimizer,
        run.phase,
        run.trial,
        run.seed,
        " ".join(f"{key}={short(x)}" for key, x in run.hyper.items()),
        steps,
        None if steps is None or math.isnan(seconds) else steps * seconds,
        easy,
        hard,
        run.loss[-1] if run.finished else None,
        run.final.get("loss"),
        run.final.get("accuracy"),
        run.diverged,
        run.stopped,
        run.error,
        run.seconds,
    )


def write_csv(study: Study, path: Path) -> None:
    """Write the table as CSV, whole or not at all: every digit, ``inf`` for a miss, nothing where nothing is.

    An apostrophe stands before text that a spreadsheet would take for a formula.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(x) for key, x in row.items()} for row in rows(study))
    write_text(path, out.getvalue())


def write_points(study: Study, path: Path) -> None:
    """Write a row for each evaluation of each run as CSV, whole or not at all: its step, losses and accuracy."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*POINT_OF, "step", "batch_loss", "loss", "accuracy"])
    for run in study.runs:
        own = [_cell(getattr(run, name)) for name in POINT_OF]
        accuracy = run.accuracy or [None] * len(run.steps)
        for values in zip(run.steps, run.batch_loss, run.loss, accuracy, strict=False):
            writer.writerow([*own, *values])
    write_text(path, out.getvalue())


def points_of(path: Path) -> Path:
    """Return where the points of a table go: ``runs.csv`` has them in ``runs-points.csv``."""
    return path.with_name(f"{path.stem}-points{path.suffix}")


def _cell(x: str | float | None) -> str | float | None:
    return f"'{x}" if isinstance(x, str) and x.startswith(FORMULA) else x


def check_parquet() -> None:
    """Refuse to begin without what :func:`write_parquet` takes.

    Raises
    ------
    GradstepError
        Without pyarrow.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise GradstepError("Parquet files take pyarrow, which is missing; pip install pyarrow, or write --csv.")


def write_parquet(study: Study, path: Path) -> None:
    """Write the table as Parquet, whole or not at all; without pyarrow the error of :func:`check_parquet`."""
    check_parquet()
    pyarrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    out = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist(rows(study), schema), out)
    write_whole(path, lambda handle: write_all(handle, out.getvalue()))


def write_tables(study: Study, as_csv: Path | None, as_parquet: Path | None) -> list[Path]:
    """Write those that have a path, CSV with all points beside it; the paths written."""
    if as_csv is not None:
        write_csv(study, as_csv)
        write_points(study, points_of(as_csv))
    if as_parquet is not None:
        write_parquet(study, as_parquet)
    points = None if as_csv is None else points_of(as_csv)
    return [path for path in (as_csv, points, as_parquet) if path is not None]
