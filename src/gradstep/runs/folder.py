"""The folder of a run: ``run.json``, ``history.jsonl``, ``checkpoint.safetensors`` and those before it, the reports."""

import contextlib
import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

from gradstep.errors import GradstepValueError
from gradstep.files import Descriptor, lock_folder, open_ordinary, writable_folder, write_all, write_text
from gradstep.loop import Step
from gradstep.runs.spec import RunSpec

HistoryRow = dict[str, Any]
BUFFER = 1 << 13  # bytes of rows from one write to the next


class Folder:
    """The folder of a run; one process at a time holds it, until it leaves the ``with`` block.

    Attributes
    ----------
    path
        Where it is, absolute: code of the user's may change the current folder.
    shown
        The same as it was given, for people at the shell.
    """

    def __init__(self, path: Path, start: Path | None = None) -> None:
        self.shown, path = path, (Path.cwd() if start is None else start) / path
        self.path = path
        self.lock: Descriptor | None = None
        self.made = [x for x in (path, *path.parents) if not x.exists()]
        self.spec_file = path / "run.json"
        self.history_file = path / "history.jsonl"
        self.checkpoint = path / "checkpoint.safetensors"
        self.result_file = path / "result.json"
        self.report_file, self.shown_report = path / "report.html", self.shown / "report.html"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    @property
    def resume(self) -> str:
        """The command that goes on with the run, for a shell."""
        return f"gradstep run --resume {shlex.quote(str(self.shown))}"

    @classmethod
    def new(cls, path: Path | None, name: str, start: Path | None = None) -> "Folder":
        """A folder that has no run yet; without a path, ``runs/NAME`` or, where there is one, ``runs/NAME-2`` ...

        A relative path begins at ``start``, left out at the current folder.

        Raises
        ------
        GradstepValueError
            When there is a run already, or the folder cannot be written.
        """
        if path is None:
            k, path, start = 1, Path("runs") / name, start or Path.cwd()
            while (start / path).exists():
                k, path = k + 1, Path("runs") / f"{name}-{k + 1}"
        folder = cls(path, start)._taken()
        if folder._there():
            folder.__exit__()
            raise GradstepValueError(
                f"{path} has a run already; go on with it by {folder.resume}, or give another folder to --out."
            )
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
            raise GradstepValueError(f"there is no run in {path}: {path / folder.spec_file.name} is missing.")
        return folder._taken()

    def _taken(self) -> Self:
        writable_folder(self.path, self.shown)
        self.lock = lock_folder(self.path)
        return self

    def _there(self) -> list[Path]:
        files = (self.spec_file, self.history_file, self.checkpoint, self.result_file, self.report_file)
        return [file for file in files if file.exists()]

    def discard(self) -> None:
        """Remove what has been written, and the folders that were made for it: the run never began."""
        with contextlib.suppress(OSError):
            for file in self._there():
                file.unlink()
            for folder in self.made:
                folder.rmdir()

    def begin(self, spec: RunSpec) -> None:
        """Write the specification of the run."""
        write_text(self.spec_file, spec.to_json())

    def spec(self) -> RunSpec:
        """The specification of the run."""
        with open_ordinary(self.spec_file) as file:
            return RunSpec.from_json(file.read(), self.spec_file)

    def rows(self) -> Iterator[HistoryRow]:
        """The rows of the history that can be read: a damaged one is left out, and those after it are there."""
        return (row for _, row in self._lines() if row is not None)

    def _lines(self) -> Iterator[tuple[int, HistoryRow | None]]:
        """Generate where each line of the history ends, in bytes, and its row; None for one that cannot be read."""
        if not self.history_file.exists():
            return
        end = 0
        with open_ordinary(self.history_file) as file:
            for line in file:
                end += len(line)
                yield end, _row(line)

    def history(self, evaluations: int) -> "HistoryFile":
        """Open the history at so many evaluations, to go on there; rows after the last of them are cut off.

        What cannot be read before it stays as it is; ``damaged`` of the result counts such lines, ``lines`` all
        that stay, and ``torn`` those that cannot be read and are cut off, in lines and bytes. Counts rise from row to
        row; one that falls, or is beyond the last, is damaged too.
        """
        end = before = lines = damaged = bad = start = 0
        torn = NOTHING
        for line, (stop, row) in enumerate(self._lines(), 1):
            count = None if row is None else row["evaluations"]
            if count is None or not before <= count <= evaluations:
                bad += 1
                if count is None or count < before:
                    torn = Torn(torn.lines + 1, torn.bytes + stop - start)
            else:
                end, lines, damaged, torn = stop, line, bad, NOTHING
            if count is not None and count <= evaluations:
                before = count
            start = stop
        return HistoryFile(self.history_file, end, lines, damaged, torn)


class Torn(NamedTuple):
    """Lines and bytes at the end of a history that cannot be read."""

    lines: int
    bytes: int


NOTHING = Torn(0, 0)


class HistoryFile:
    """The file of a run's history, to which each step appends a row."""

    def __init__(self, path: Path, end: int, lines: int = 0, damaged: int = 0, torn: Torn = NOTHING) -> None:
        self.path, self.end, self.lines, self.damaged, self.torn = path, end, lines, damaged, torn
        self._rows = bytearray()  # that are not in the file yet
        self._enough = BUFFER
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._file = open_ordinary(self.path, change=True)
        self._file.truncate(self.end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None  # noqa: S101 - entered
        self._file.close()

    def add(self, step: Step) -> None:
        """Append a step; it reaches the file when there are many, or by :meth:`flush`."""
        self._rows += json.dumps(step.as_json(), allow_nan=False).encode() + b"\n"
        if len(self._rows) >= self._enough:
            with contextlib.suppress(OSError):  # flush meets it again, and raises it
                self._write()
            self._enough = len(self._rows) + BUFFER

    def flush(self) -> None:
        """Force all rows to the disk: a checkpoint must not know of steps that the history lacks.

        Raises
        ------
        OSError
            When the system refuses that. The rows are kept, and the next time all are tried again.
        """
        assert self._file is not None  # noqa: S101 - entered
        self._write()
        os.fsync(self._file.fileno())

    def _write(self) -> None:
        """Write the waiting rows behind those that are whole in the file, over any that were written in part."""
        assert self._file is not None  # noqa: S101 - entered
        self._file.seek(self.end)
        write_all(self._file.fileno(), bytes(self._rows))  # an error would keep a view of them
        self.end += len(self._rows)
        self._rows = bytearray()


def _row(line: bytes) -> HistoryRow | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(row, dict) and line.endswith(b"\n") and type(row.get("evaluations")) is int
    return row if whole else None
