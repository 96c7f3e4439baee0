"""The folder of a run: ``run.json``, ``history.jsonl``, ``checkpoint.safetensors`` and those before it, the reports."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from gradstep.errors import GradstepValueError
from gradstep.files import writable_folder, write_text
from gradstep.loop import Step
from gradstep.runs.spec import Spec

Row = dict[str, Any]


class Folder:
    """Where everything of a run stands."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec_file = path / "run.json"
        self.history_file = path / "history.jsonl"
        self.checkpoint = path / "checkpoint.safetensors"
        self.result_file = path / "result.json"
        self.report_file = path / "report.html"

    @classmethod
    def new(cls, path: Path | None, name: str) -> "Folder":
        """A folder that has no run yet; without a path, ``runs/NAME`` or, where there is one, ``runs/NAME-2`` ...

        Raises
        ------
        GradstepValueError
            When there is a run already, or the folder cannot be written.
        """
        if path is None:
            k, path = 1, Path("runs") / name
            while path.exists():
                k, path = k + 1, Path("runs") / f"{name}-{k + 1}"
        folder = cls(path)
        if folder.spec_file.exists():
            raise GradstepValueError(
                f"{path} has a run already; go on with it by --resume {path}, or give another folder to --out."
            )
        writable_folder(path)
        return folder

    @classmethod
    def existing(cls, path: Path) -> "Folder":
        """The folder of a run.

        Raises
        ------
        GradstepValueError
            When there is none.
        """
        folder = cls(path)
        if not folder.spec_file.is_file():
            raise GradstepValueError(f"there is no run in {path}: {folder.spec_file} is missing.")
        writable_folder(path)
        return folder

    def begin(self, spec: Spec) -> None:
        """Write down what the run is to be."""
        write_text(self.spec_file, spec.to_json())

    def spec(self) -> Spec:
        """What the run was to be."""
        return Spec.from_json(self.spec_file.read_text("utf-8"), self.spec_file)

    def rows(self) -> Iterator[Row]:
        """The rows of the history, up to one that a crash has cut short."""
        if not self.history_file.exists():
            return
        with self.history_file.open("rb") as file:
            for line in file:
                row = _row(line)
                if row is None:
                    return
                yield row

    def history(self, evaluations: int) -> "History":
        """The history, to go on with where so many evaluations have been made; what came after them is cut off."""
        end = 0
        if self.history_file.exists():
            with self.history_file.open("rb") as file:
                for line in file:
                    row = _row(line)
                    if row is None or row["evaluations"] > evaluations:
                        break
                    end += len(line)
        return History(self.history_file, end)


class History:
    """Rows that are appended, one a step."""

    def __init__(self, path: Path, end: int) -> None:
        self.path, self.end = path, end
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._file = self.path.open("r+b" if self.path.exists() else "x+b")
        self._file.truncate(self.end)
        self._file.seek(self.end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None  # noqa: S101 - entered
        self._file.close()

    def add(self, step: Step) -> None:
        """Append a step; it reaches the disk by :meth:`flush`, or when there are many."""
        assert self._file is not None  # noqa: S101 - entered
        self._file.write(json.dumps(step.as_json(), allow_nan=False).encode() + b"\n")

    def flush(self) -> None:
        """Force all rows to the disk: a checkpoint must not know of steps that the history lacks."""
        assert self._file is not None  # noqa: S101 - entered
        self._file.flush()
        os.fsync(self._file.fileno())


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(row, dict) and line.endswith(b"\n") and type(row.get("evaluations")) is int
    return row if whole else None
