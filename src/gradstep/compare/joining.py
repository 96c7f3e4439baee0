"""Studies of several machines, or of several days, made one."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from gradstep.compare.content import Content
from gradstep.compare.evidence.study import Study
from gradstep.compare.record import FORMAT
from gradstep.compare.store import NAME, Reader, Store
from gradstep.errors import GradstepValueError
from gradstep.files import destination, lock_folder, writable_folder, write_all, write_whole


def merge(folders: Sequence[str | Path], out: str | Path) -> Study:
    """Join studies into one, which asks for the runs of all of them.

    Parameters
    ----------
    folders
        Of the studies, finished or not; nothing in them is changed.
    out
        Where the one is put, whole or not at all: a folder without a study, or one of ``folders``.

    Raises
    ------
    GradstepValueError
        When there is nothing to join; when runs of two of the studies cannot be compared (what differs is told), or are
        the same and have other numbers; and when ``out`` holds a study that is none of them.
    CheckpointError
        When one is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from gradstep.compare import compare, merge
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("sgd", "adam"):
    ...         _ = compare(name, "quadratic", seeds=2, trials=2, steps=20, jobs=1, out=f"{folder}/{name}")
    ...     merge([f"{folder}/sgd", f"{folder}/adam"], f"{folder}/both").optimizers
    ('sgd', 'adam')
    """
    out = Path(out)
    found = {folder: Reader(folder).read() for folder in map(Path, folders)}
    if not found:
        raise GradstepValueError("give the folders of the studies that are to be joined.")
    joined = _joined(found)
    is_part = any(os.path.realpath(folder) == os.path.realpath(out) for folder in found)
    if is_part:  # in one transaction, and with what has come meanwhile
        with Store(out, joined) as store:
            return Study.of(store.content, out)
    _put(joined, out)
    return Study.load(out)


def _joined(found: dict[Path, Content]) -> Content:
    (first, whole), *others = found.items()
    _refuse_earlier(first, whole)
    spec, notes = whole.spec.joined(whole.spec), dict.fromkeys(whole.notes)
    for k, (folder, content) in enumerate(others, 1):
        _refuse_earlier(folder, content)
        if differences := whole.differences(content):
            before = next(other for other in [*found][:k] if found[other].differences(content))
            raise GradstepValueError(f"{before} and {folder} cannot be joined: {'; '.join(differences)}.")
        spec, notes, whole = spec.joined(content.spec), notes | dict.fromkeys(content.notes), whole.joined(content)
    whole.spec, whole.notes = spec, list(notes)
    return whole


def _refuse_earlier(folder: Path, content: Content) -> None:
    if content.format != FORMAT:
        raise GradstepValueError(
            f"{folder} holds a study of an earlier version, whose trials lie elsewhere: it can be read, but not joined."
        )


def _put(content: Content, folder: Path) -> None:
    """Put a study in a folder that has none."""
    writable_folder(folder)
    path = folder / NAME
    destination(path, f"no study can be kept in {folder}")
    with contextlib.ExitStack() as held:
        if (lock := lock_folder(folder)) is not None:
            held.callback(os.close, lock)
        left = [name for name in (NAME, f"{NAME}-wal", f"{NAME}-journal") if _holds(folder / name)]
        if left:
            raise GradstepValueError(
                f"{folder} holds a study that is not one of those to be joined ({left[0]}); name it among them, or "
                f"take another folder (--out)."
            )
        with Store(None, content) as store:
            data = store.as_bytes()
        write_whole(path, lambda handle: write_all(handle, data))


def _holds(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
