"""Files that are written whole or not at all: through a crash, a power loss, a full disk, a signal.

The new content goes to a temporary file in the same folder, is forced to the disk, and takes the old one's name in one
step; then the folder is forced to the disk too. Believed are POSIX's rename and fsync: not network file systems, and
not disks that say they have written what they have not.
"""

import contextlib
import errno
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, BinaryIO

from gradstep.errors import GradstepValueError
from gradstep.naming import whole

try:
    import fcntl
except ImportError:  # Windows: temporary files of killed writers stay
    fcntl = None

Descriptor = int
AnyPath = str | os.PathLike[str]

MOST_KEPT = 1000  # each save looks at all of them
PATIENCE = 10.0  # seconds for which a writer waits for another one of the same file; then it goes on beside it
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}
_replacing: set[tuple[int, Path]] = set()  # threads and their files: a signal handler may save within a save


def write_whole(path: AnyPath, write: Callable[[Descriptor], None], keep: int = 1, lasting: bool = True) -> None:
    """Put a new file at ``path``, or leave everything as it was.

    The new file has the mode of the one that it replaces and, where the system allows that, its owner and group.
    Several that write one file at a time take turns, and the last one's stays.

    Parameters
    ----------
    path
        Where it will stand. A symbolic link is followed. The folder must be there.
    write
        Writes the content to a file descriptor, which may be moved about with :func:`os.lseek`.
    keep
        How many files are kept: ``run.x``, and ``run.1.x``, ``run.2.x`` ... that were there before, 1 the newest.
        Just the new one where the file system has no second names (hard links).
    lasting
        Whether file and name are forced to the disk; without that a power loss may leave an empty file.

    Raises
    ------
    OSError
        When ``path``, or a name of one before it, is no ordinary file but a folder, FIFO, socket or device; and when
        the system refuses something. The old file is as it was, and no temporary file stays; of those before it the
        oldest may be gone.
    GradstepTypeError, GradstepValueError
        When ``keep`` is not a whole number from 1 to 1000.
    """
    target = _target(path, keep)
    _sweep(target)
    spare = _beside(target)
    made = [spare]
    with contextlib.ExitStack() as is_open:
        try:
            temporary, handle = _open_temporary(target, made)
            is_open.callback(_close, handle)
            write(handle)
            if lasting:
                os.fsync(handle)
            if fcntl is None:
                is_open.close()  # Windows renames no open file
            with _turn(target):
                undo = _set_aside(target, spare, keep)
                os.replace(temporary, target)
                if lasting:
                    _sync_or_undo(target.parent, undo)
        finally:
            _remove(*made)


def destination(path: AnyPath, refusal: str, keep: int = 1) -> Path:
    """Return the path at which :func:`write_whole` would put a file, links followed; to be asked before long work.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        Where :func:`write_whole` would raise an error before it writes; ``refusal`` stands before the reason.
    """
    try:
        return _target(path, keep)
    except OSError as error:
        raise GradstepValueError(f"{refusal} ({error.filename}: {error.strerror}).") from None


def _target(path: AnyPath, keep: int) -> Path:
    checked_keep(keep)
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no folder to write to", str(target.parent))
    for k in range(keep):
        refuse_extraordinary(earlier(target, k))
    return target


def checked_keep(keep: Any) -> int:
    """Return a number of files to keep, 1 to 1000; errors as :func:`write_whole`."""
    if whole("keep", keep, least=1) > MOST_KEPT:
        raise GradstepValueError(f"keep must be at most {MOST_KEPT}, and is {keep}.")
    return int(keep)


def refuse_extraordinary(path: AnyPath, file: Descriptor | None = None) -> None:
    """Raise where something stands at ``path`` that is no ordinary file; ``file`` is it, where it is open.

    Raises
    ------
    IsADirectoryError
        For a folder.
    FileExistsError
        For a FIFO, a socket, a device or a symbolic link.
    """
    try:
        kind = stat.S_IFMT((os.lstat(path) if file is None else os.fstat(file)).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, "this is a folder, not a file", os.fspath(path))
    if kind != stat.S_IFREG:
        what = _KINDS.get(kind, "something else")
        raise FileExistsError(errno.EEXIST, f"this is {what}, not an ordinary file; give another path", os.fspath(path))


def open_ordinary(path: AnyPath, change: bool = False) -> BinaryIO:
    """Open a file to read it, or to read and change it (made where it is missing), without a buffer of its own then.

    Anything but an ordinary file is refused, as :func:`refuse_extraordinary` does: opening a FIFO would wait for ever.
    """
    flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    refuse_extraordinary(os.path.realpath(path))  # first: to open a device may do something
    handle = os.open(path, flags | (os.O_RDWR | os.O_CREAT if change else os.O_RDONLY), 0o666)
    try:
        refuse_extraordinary(path, handle)
        return os.fdopen(handle, "r+b" if change else "rb", buffering=0 if change else -1)
    except BaseException:
        os.close(handle)
        raise


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


def writable_folder(path: Path, shown: AnyPath | None = None) -> Path:
    """Make a folder if need be, with those above it, and return it once a file could be written there.

    ``shown`` is what an error calls it; left out, its path.

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
        raise GradstepValueError(f"cannot write to the folder {shown or path}: {error.strerror or error}.") from None


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


def move_over(source: Path, path: Path) -> None:
    """Give the ordinary file at ``source`` the name ``path``, by the rules of :func:`write_whole`.

    Raises
    ------
    OSError
        When either is no ordinary file, and when the system refuses it.
    """
    target = _target(path, 1)
    refuse_extraordinary(source)
    if source == target:
        return
    with _turn(target):
        os.replace(source, target)
        sync_folder(target.parent)


def _set_aside(target: Path, spare: Path, keep: int) -> Callable[[], None]:
    """Give the file at ``target`` a second name; return a function that puts it back over its successor.

    With ``keep`` > 1 that is the name of the file before, and those before it move on by one.
    """
    if not target.exists():
        return target.unlink
    try:
        os.link(target, spare)
    except FileNotFoundError:  # just now
        return target.unlink
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            return lambda: None  # this file system has no hard links
        raise
    if keep < 2:
        return lambda: os.replace(spare, target)
    for k in range(keep - 1, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            os.replace(spare if k == 1 else earlier(target, k - 1), earlier(target, k))
    return lambda: os.replace(earlier(target, 1), target)


@contextlib.contextmanager
def _turn(target: Path) -> Generator[None]:
    """Hold the lock of the file at ``target`` within the block, so that those who replace it do so one after the other.

    Its second name is locked by that too: it is one file. One who waits sees the new file when its turn comes, and
    waits for that one's writer. Nobody waits for itself, nor for ever: a process may be stopped.
    """
    mine = threading.get_ident(), target
    if fcntl is None or mine in _replacing:
        yield
        return
    _replacing.add(mine)
    handle = None
    try:
        end = time.monotonic() + PATIENCE
        while True:
            handle = _open_old(target)
            if handle is None or (_lock(handle) and _is_at(handle, target)) or time.monotonic() > end:
                break
            os.close(handle)
            handle = None
            time.sleep(0.001)
        yield
    finally:
        _replacing.discard(mine)
        if handle is not None:
            _close(handle)


def _open_old(target: Path) -> Descriptor | None:
    """Open the file at ``target`` for its lock; None where it is not there, or not to be read by this user."""
    refuse_extraordinary(target)
    if not target.exists():
        return None
    try:
        return os.open(target, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (FileNotFoundError, PermissionError):
        return None


def _is_at(handle: Descriptor, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False


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
    try:
        old = os.lstat(target)
    except FileNotFoundError:
        old = None
    mode = 0o666 if old is None else stat.S_IMODE(old.st_mode)
    while True:
        path = _beside(target)
        made.append(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        handle = os.open(path, flags, mode)
        if fcntl is None or (_lock(handle) and os.fstat(handle).st_nlink):
            break
        _close(handle)  # another process removed it between the two lines
    if old is not None and hasattr(os, "fchmod"):
        with contextlib.suppress(OSError):  # another user's, or a file system without owners or modes
            os.fchown(handle, old.st_uid, old.st_gid)
        with contextlib.suppress(OSError):
            os.fchmod(handle, mode)
    return path, handle


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
                    refuse_extraordinary(target.with_name(name))  # a FIFO of that name is nobody's temporary file
                    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW  # to read: it may be read-only
                    handle = os.open(target.with_name(name), flags)
                    try:
                        if _lock(handle):
                            _remove(target.with_name(name))
                    finally:
                        _close(handle)


def _remove(*paths: Path) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
