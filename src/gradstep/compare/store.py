"""A study on disk: ``study.db`` in its folder, SQLite, which one process writes and any number read meanwhile.

Every run is committed when it is finished, so a study that is killed loses only those that were running. Each row has
a checksum. Not for network file systems, as SQLite's write-ahead log is not.
"""

import contextlib
import json
import math
import os
import sqlite3
import zlib
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec

from gradstep.compare.protocol import MOST_SEARCHES, judging_seeds, tuning_seeds
from gradstep.compare.record import FORMAT, ProblemInfo, RunRecord, Spec, Timing
from gradstep.errors import CheckpointError, GradstepValueError
from gradstep.files import destination, lock_folder, writable_folder

NAME = "study.db"
READABLE = (1, FORMAT)  # of 1 is what has no searches
MOST = 10**6  # seeds, trials or tuning seeds of any study
APPLICATION = 0x67726164  # "grad": whose database it is
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, content TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    problem TEXT, optimizer TEXT, phase TEXT, trial INTEGER, seed INTEGER,
    content TEXT NOT NULL, crc INTEGER NOT NULL, UNIQUE (problem, optimizer, phase, trial, seed)
);
CREATE TABLE IF NOT EXISTS timings (
    problem TEXT, optimizer TEXT, content TEXT NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (problem, optimizer)
);
"""


@dataclass
class Content:
    """The content of a study so far; ``format`` is that of the file it is from."""

    spec: Spec
    problem_info: dict[str, ProblemInfo]
    environment: dict[str, str]
    notes: list[str]
    runs: list[RunRecord] = field(default_factory=list[RunRecord])
    timings: list[Timing] = field(default_factory=list[Timing])
    format: int = FORMAT

    def is_of(self, spec: Spec) -> bool:
        """Return True if this is a study of that spec, which can go on."""
        return self.format == FORMAT and self.spec.sha256 == spec.sha256


class Store:
    """The writer of a study.

    Parameters
    ----------
    folder
        Where the study is, or is to be; None keeps it in memory.
    content
        Of the study as it is asked for. Where the folder has that study already, it goes on; ``content`` of this object
        is then what was found.

    Raises
    ------
    GradstepValueError
        When the folder holds another study (what differs is told), or another process is at work in it.
    CheckpointError
        When what it holds is damaged.
    """

    def __init__(self, folder: Path | None, content: Content) -> None:
        self.folder, self._lock = folder, None
        if folder is not None:
            writable_folder(folder)
            for name in (NAME, *(f"{NAME}-{log}" for log in ("wal", "shm", "journal"))):  # SQLite opens what is there
                destination(folder / name, f"no study can be kept in {folder}")
            self._lock = lock_folder(folder)
        try:
            with _as_checkpoint_error(self.path):
                self._db = sqlite3.connect(":memory:" if folder is None else self.path, isolation_level=None)
                self.content = self._begin(content)
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> Path:
        """The database."""
        return (self.folder or Path()) / NAME

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database, and release the lock on the folder."""
        db, self._db = getattr(self, "_db", None), None
        if db is not None:
            db.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def add(self, made: RunRecord | Timing) -> None:
        """Store a run or a timing; it is on the disk when this returns."""
        text = json.dumps(made.as_json())
        keys: tuple[Any, ...] = made.problem, made.optimizer
        table = "timings"
        if isinstance(made, RunRecord):
            table, keys = "runs", (*keys, made.phase, made.trial, made.seed)
        names = "problem, optimizer, phase, trial, seed, " if table == "runs" else "problem, optimizer, "
        marks = ", ".join("?" * (len(keys) + 2))
        with _as_checkpoint_error(self.path):
            self._connection.execute(
                f"INSERT OR REPLACE INTO {table} ({names}content, crc) VALUES ({marks})",  # noqa: S608 - ours
                (*keys, text, _crc(text)),
            )
        (self.content.runs if isinstance(made, RunRecord) else self.content.timings).append(made)  # type: ignore[arg-type]

    @property
    def _connection(self) -> sqlite3.Connection:
        assert self._db is not None  # noqa: S101 - it is open
        return self._db

    def _begin(self, content: Content) -> Content:
        db = self._connection
        [(application,)] = db.execute("PRAGMA application_id")
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and application != APPLICATION:
            raise sqlite3.DatabaseError("it is another program's")
        if self.folder is not None:
            db.execute("PRAGMA journal_mode = WAL")
        if not tables:
            facts = {
                "spec": content.spec.as_json(),
                "cards": [card.as_json() for card in content.problem_info.values()],
                "environment": content.environment,
                "notes": content.notes,
            }
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.executescript(f"BEGIN; {_TABLES}")
            for name, fact in facts.items():
                text = json.dumps(fact)
                db.execute("INSERT INTO facts VALUES (?, ?, ?)", (name, text, _crc(text)))
            db.execute("COMMIT")
            return content
        found = _content(db)
        if found.format != FORMAT:
            raise GradstepValueError(
                f"{self.folder} holds a study of an earlier version, whose trials lie elsewhere: it can be read, "
                f"but not go on; take another folder (--out)."
            )
        if differences := found.spec.differences(content.spec):
            raise GradstepValueError(
                f"{self.folder} holds another study: {'; '.join(differences)}; take another folder (--out)."
            )
        return found


class Reader:
    """A reader of a study that another process may write: it changes nothing, and takes no lock.

    Parameters
    ----------
    folder
        Of the study.

    Raises
    ------
    GradstepValueError
        When there is none.
    CheckpointError
        When it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        if not self.path.is_file():
            raise GradstepValueError(f"there is no study in {folder}: it has no {NAME}.")
        self._seen: list[tuple[int, int]] = []

    def has_changed(self) -> bool:
        """Return True if there may be more than at the last reading."""
        return self._seen != self._now()

    def _now(self) -> list[tuple[int, int]]:
        files = [path for path in (self.path, self._log) if path.exists()]
        return [(status.st_size, status.st_mtime_ns) for status in (path.stat() for path in files)]

    @property
    def _log(self) -> Path:
        """The log of SQLite; it exists while the study is written, or when its writer was killed."""
        return self.path.with_name(f"{NAME}-wal")

    def read(self) -> Content:
        """Return the content by now."""
        self._seen = self._now()  # first: what comes meanwhile is seen the next time
        with _as_checkpoint_error(self.path):
            if not self._log.exists():
                with contextlib.suppress(sqlite3.DatabaseError):  # a writer may have come: then with its log
                    return self._read("immutable=1")  # leaves no file behind, and needs no right to write
            try:
                return self._read("mode=ro")
            except sqlite3.OperationalError:  # no right to read the log as others do
                return self._read("immutable=1")

    def _read(self, way: str) -> Content:
        with contextlib.closing(sqlite3.connect(f"{self.path.resolve().as_uri()}?{way}", uri=True)) as db:
            return _content(db)


def _content(db: sqlite3.Connection) -> Content:
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise sqlite3.DatabaseError("it is another program's")
    db.execute("BEGIN")  # all of one moment
    facts: Mapping[str, Any] = {name: _checked(*row) for name, *row in db.execute("SELECT * FROM facts")}
    if (form := facts["spec"]["format"]) not in READABLE:
        raise sqlite3.DatabaseError(f"its format is {form}, and this version reads up to {READABLE[-1]}")
    content = Content(
        Spec.from_json(facts["spec"]),
        {x["label"]: ProblemInfo.from_json(x) for x in facts["cards"]},
        msgspec.convert(facts["environment"], dict[str, str]),
        msgspec.convert(facts["notes"], list[str]),
        [RunRecord.from_json(_checked(*row)) for row in db.execute("SELECT content, crc FROM runs ORDER BY id")],
        [Timing.from_json(_checked(*row)) for row in db.execute("SELECT content, crc FROM timings ORDER BY rowid")],
        form,
    )
    db.execute("COMMIT")
    if (problem := _misfit(content)) is not None:
        raise sqlite3.DatabaseError(problem)
    return content


def _misfit(content: Content) -> str | None:
    """Return what in a study does not belong together, None where all does: rows are found by the spec's names."""
    spec = content.spec
    possible = (
        spec.problems and spec.optimizers and 0 <= spec.tuning_seeds <= MOST and (spec.steps is None or spec.steps > 0)
    )
    counts = (spec.seeds, MOST), (spec.trials, MOST), (spec.searches, MOST_SEARCHES)
    if not possible or not all(1 <= n <= most for n, most in counts):
        return "its spec is of no study: nothing to compare, or seeds, trials or steps that cannot be"
    if set(content.problem_info) != set(spec.problems):
        return f"it describes {_listed(content.problem_info)}, and its spec names {_listed(spec.problems)}"
    for row in (*content.runs, *content.timings):
        if row.problem not in spec.problems or row.optimizer not in spec.optimizers:
            what = "run" if isinstance(row, RunRecord) else "timing"
            return f"it has a {what} of {row.optimizer!r} on {row.problem!r}, which its spec does not name"
    for run in content.runs:
        seeds = (tuning_seeds if run.phase == "tune" else judging_seeds)(spec, run.search)
        if not 0 <= run.search < spec.searches or run.seed not in seeds or not 0 <= run.trial < spec.trials:
            return f"it has a run of seed {run.seed} and trial {run.trial}, which its spec does not ask for"
        n = len(run.steps)
        looks = [len(x) for x in run.health.values()]
        if {len(run.batch_loss), len(run.loss)} != {n} or len(run.accuracy) not in (0, n) or max(looks, default=0) > n:
            return f"a run of {run.optimizer!r} on {run.problem!r} has other counts of steps than of values"
    if not all(math.isfinite(x) for t in content.timings for x in (t.step_us, t.optimizer_us, t.state_bytes)):
        return "it has a timing that is no number"
    return None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"


def _checked(text: str, crc: int) -> Any:
    if _crc(text) != crc:
        raise sqlite3.DatabaseError("a checksum does not fit")
    return json.loads(text)


def _crc(text: str) -> int:
    return zlib.crc32(text.encode())


@contextlib.contextmanager
def _as_checkpoint_error(path: Path) -> Generator[None]:
    """Raise errors of SQLite, and of its content, as one sentence."""
    try:
        yield
    except sqlite3.OperationalError as error:  # the system's: a full disk, no permission
        raise CheckpointError(f"{path}: {error}.") from error
    except (sqlite3.DatabaseError, msgspec.ValidationError, KeyError, TypeError, AttributeError, UnicodeError) as error:
        raise _damaged(path, error) from error
    except ValueError as error:
        if isinstance(error, GradstepValueError):
            raise
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} cannot be read ({error}); move it away, and the same command begins anew.")
