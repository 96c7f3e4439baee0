"""A study on disk: ``study.db`` in its folder, SQLite, which one process writes and any number read meanwhile.

Every run is committed when it is finished, so a study that is killed loses only those that were running. Each row has
a checksum. Not for network file systems, as SQLite's write-ahead log is not.
"""

import contextlib
import json
import os
import sqlite3
import zlib
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from gradstep.compare.content import Content, Key, misfit, name_of
from gradstep.compare.record import FORMAT, ProblemInfo, RunRecord, Spec, Timing
from gradstep.errors import CheckpointError, GradstepValueError
from gradstep.files import destination, lock_folder, writable_folder

NAME = "study.db"
READABLE = (1, FORMAT)  # of 1 is what has no searches
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


class Store:
    """The writer of a study, which may go on with more, or fewer, runs than it was begun for.

    Parameters
    ----------
    folder
        Where the study is, or is to be; None keeps it in memory.
    content
        Of the study as it is asked for, with the runs that it has, if any. Where the folder has a study with which that
        can be one, it goes on; ``content`` of this object is then both.

    Raises
    ------
    GradstepValueError
        When the folder holds a study whose runs cannot be compared with these (what differs is told), or another
        process is at work in it.
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

    def add(self, made: RunRecord | Timing, environment: Mapping[str, str] | None = None) -> None:
        """Store a run or a timing; it is on the disk when this returns.

        Parameters
        ----------
        made
            The run or the timing.
        environment
            Versions and machine that made it; None: those here.
        """
        environment = environment or self.content.environment
        name = name_of(environment)
        with _as_checkpoint_error(self.path):
            if name not in self.content.environments:
                self.content.environments[name] = dict(environment)
                self._put_fact("environments", self.content.environments)
            self._insert(made, {made.key: name} if isinstance(made, RunRecord) else {})
        self.content.add(made, name)

    def as_bytes(self) -> bytes:
        """Return the database as the bytes of its file."""
        return self._connection.serialize()

    def _insert(self, made: RunRecord | Timing, made_with: Mapping[Key, str]) -> None:
        keys: tuple[Any, ...] = made.problem, made.optimizer
        table, names, content = "timings", "problem, optimizer", made.as_json()
        if isinstance(made, RunRecord):
            table, names, keys = "runs", "problem, optimizer, phase, trial, seed", made.key
            content["made_with"] = made_with[made.key]
        text = json.dumps(content)
        marks = ", ".join("?" * (len(keys) + 2))
        self._connection.execute(
            f"INSERT OR REPLACE INTO {table} ({names}, content, crc) VALUES ({marks})",  # noqa: S608 - ours
            (*keys, text, _crc(text)),
        )

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
        found = _content(db) if tables else None
        joined = content if found is None else self._going_on(found, content)
        db.execute("BEGIN IMMEDIATE")  # all of what follows, or nothing
        if found is None:
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            for statement in _TABLES.split(";"):
                db.execute(statement)
        self._describe(joined, found)
        there = set[int]() if found is None else {id(made) for made in (*found.runs, *found.timings)}
        for made in (*joined.runs, *joined.timings):
            if id(made) not in there:
                self._insert(made, joined.made_with)
        db.execute("COMMIT")
        return joined

    def _going_on(self, found: Content, content: Content) -> Content:
        if found.format != FORMAT:
            raise GradstepValueError(
                f"{self.folder} holds a study of an earlier version, whose trials lie elsewhere: it can be read, "
                f"but not go on; take another folder (--out)."
            )
        begun = content.begun_as(found.whole)
        if differences := found.differences(begun):
            raise GradstepValueError(
                f"{self.folder} holds another study: {'; '.join(differences)}; take another folder (--out)."
            )
        return found.joined(begun)

    def _describe(self, content: Content, found: Content | None) -> None:
        """Write the facts of a study that are not those that were found."""
        new, old = _facts(content), {} if found is None else _facts(found)
        for name, fact in new.items():
            if name not in old or json.dumps(fact) != json.dumps(old[name]):
                self._put_fact(name, fact)

    def _put_fact(self, name: str, fact: Any) -> None:
        text = json.dumps(fact)
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", (name, text, _crc(text)))


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
    spec, environment = Spec.from_json(facts["spec"]), msgspec.convert(facts["environment"], dict[str, str])
    environments = facts.get("environments", {name_of(environment): environment})  # a study has one, where none is told
    runs = [_checked(*row) for row in db.execute("SELECT content, crc FROM runs ORDER BY id")]
    records = [RunRecord.from_json(run) for run in runs]
    content = Content(
        spec,
        {x["label"]: ProblemInfo.from_json(x) for x in facts["cards"]},
        environment,
        msgspec.convert(facts["notes"], list[str]),
        records,
        [Timing.from_json(_checked(*row)) for row in db.execute("SELECT content, crc FROM timings ORDER BY rowid")],
        form,
        Spec.from_json(facts["whole"]) if "whole" in facts else spec.joined(spec),
        msgspec.convert(environments, dict[str, dict[str, str]]),
        {record.key: _maker(run, environments) for run, record in zip(runs, records, strict=True)},
    )
    db.execute("COMMIT")
    if (problem := misfit(content)) is not None:
        raise sqlite3.DatabaseError(problem)
    return content


def _facts(content: Content) -> dict[str, Any]:
    """Return what a database says of its study, beside runs and timings."""
    return {
        "spec": content.spec.as_json(),
        "cards": [card.as_json() for card in content.problem_info.values()],
        "environment": content.environment,
        "notes": content.notes,
        "whole": content.whole.as_json(),
        "environments": content.environments,
    }


def _maker(run: Mapping[str, Any], environments: Mapping[str, Any]) -> str:
    """Return the name of a run's environment: the first, where the run is older than that they are told apart."""
    return msgspec.convert(run.get("made_with", next(iter(environments), "")), str)


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
