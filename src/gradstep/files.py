"""Files that are written whole or not at all: through a crash, a power loss, a full disk, a signal.

The new content goes to a temporary file in the same folder, is forced to the disk, and takes the old one's name in one
step; then the folder is forced to the disk too. Believed are POSIX's rename and fsync: not network file systems, and
not disks that say they have written what they have not.
"""

import contextlib
import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradstep.errors import GradstepValueError

try:
    import fcntl
except ImportError:  # Windows: temporary files of killed writers stay
    fcntl = None

Descriptor = int
AnyPath = str | os.PathLike[str]


def write_whole(path: AnyPath, write: Callable[[Descriptor], None], keep: int = 1) -> None:
    """Put a new file at ``path``, or leave everything as it was.

    Parameters
    ----------
    path
        Where it will stand. A symbolic link is followed. The folder must be there.
    write
        Writes the content to a file descriptor, which may be moved about with :func:`os.lseek`.
    keep
        How many files are kept: ``run.x``, and ``run.1.x``, ``run.2.x`` ... that were there before, 1 the newest.
        Just the new one where the file system has no second names (hard links).

    Raises
    ------
    OSError
        When the system refuses something. The old file is as it was, and no temporary file stays; of those before it
        the oldest may be gone.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no folder to write to", str(target.parent))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder, not a file", str(target))
    _sweep(target)
    spare = _beside(target)
    made = [spare]
    with contextlib.ExitStack() as is_open:
        try:
            temporary, handle = _open_temporary(target, made)
            is_open.callback(_close, handle)
            write(handle)
            os.fsync(handle)
            if fcntl is None:
                is_open.close()  # Windows renames no open file
            undo = _set_aside(target, spare, keep)
            os.replace(temporary, target)
            _sync_or_undo(target.parent, undo)
        finally:
            _remove(*made)


def write_text(path: AnyPath, text: str) -> None:
    """Put a new text file (UTF-8) at ``path``, or leave everything as it was."""
    write_whole(path, lambda handle: write_all(handle, text.encode()))


def write_all(handle: Descriptor, data: Any) -> None:
    """Write all of some bytes, however few the system takes at a time."""
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[os.write(handle, rest) :]


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can do that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        _close(handle)


def writable_folder(path: Path) -> Path:
    """Make a folder if need be, with those above it, and return it once a file could be written there.

    Raises
    ------
    GradstepValueError
        When it cannot be made or written; the reason of the system is in the message.
    """
    import tempfile  # imported here, for it is slow

    try:
        for folder in reversed([x for x in (path, *path.parents) if not x.exists()]):
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise GradstepValueError(f"cannot write to the folder {path}: {error.strerror or error}.") from None


def lock_folder(folder: Path) -> Descriptor | None:
    """Lock a folder against other processes that call this, until the file returned is closed or this process ends.

    Raises
    ------
    GradstepValueError
        When another process has it.
    """
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    if _lock(handle):
        return handle
    os.close(handle)
    raise GradstepValueError(f"another process is at work in {folder}; wait for its end, or take another folder.")


def earlier(path: Path, k: int) -> Path:
    """The name of the ``k``-th file before the one at ``path``; that one itself for 0."""
    return path.with_name(f"{path.stem}.{k}{path.suffix}") if k else path


def _set_aside(target: Path, spare: Path, keep: int) -> Callable[[], None]:
    """Give the file at ``target`` a second name; return a function that puts it back over its successor.

    With ``keep`` > 1 that is the name of the file before, and those before it move on by one.
    """
    if not target.exists():
        return target.unlink
    try:
        os.link(target, spare)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            return lambda: None  # this file system has no hard links
        raise
    if keep < 2:
        return lambda: os.replace(spare, target)
    for k in range(keep - 1, 0, -1):
        source = spare if k == 1 else earlier(target, k - 1)
        if source.exists():
            os.replace(source, earlier(target, k))
    return lambda: os.replace(earlier(target, 1), target)


def _sync_or_undo(folder: Path, undo: Callable[[], None]) -> None:
    """Force the new name to the disk; what may not last is taken back."""
    try:
        sync_folder(folder)
    except OSError:
        with contextlib.suppress(OSError):
            undo()
        raise


def _beside(target: Path) -> Path:
    """A new name in the same folder."""
    return target.with_name(f".{target.name}.{os.urandom(6).hex()}.part")


def _open_temporary(target: Path, made: list[Path]) -> tuple[Path, Descriptor]:
    """A new file beside ``target``, locked for as long as it is open: a sign that its writer lives.

    Its name is in ``made`` before it is there: an interrupt may come in between.
    """
    while True:
        path = _beside(target)
        made.append(path)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
        if fcntl is None or (_lock(handle) and os.fstat(handle).st_nlink):
            return path, handle
        _close(handle)  # another process removed it between the two lines


def _close(handle: Descriptor) -> None:
    """Close a file and ignore errors: its content is on the disk already, or given up."""
    with contextlib.suppress(OSError):
        os.close(handle)


def _lock(handle: Descriptor) -> bool:
    """Take the lock of an open file; False where somebody holds it. Without locks in the file system it is True."""
    assert fcntl is not None  # noqa: S101 - the callers asked
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _sweep(target: Path) -> None:
    """Remove what killed writers of ``target`` have left: temporary files that nobody holds the lock of."""
    if fcntl is None:
        return
    form = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{12}}\.part")
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            if form.fullmatch(name):
                with contextlib.suppress(OSError):
                    handle = os.open(target.with_name(name), os.O_RDONLY)  # it may be read-only
                    try:
                        if _lock(handle):
                            _remove(target.with_name(name))
                    finally:
                        _close(handle)


def _remove(*paths: Path) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
