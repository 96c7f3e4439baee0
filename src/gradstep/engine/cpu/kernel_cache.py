"""Compiled code on disk, under its content: a key, a checksum in front, one atomic rename.

Nothing here may fail a step.
A stale, truncated, flipped or foreign file is compiled again; an unwritable folder is no error.
"""

import contextlib
import hashlib
import os
import sys
from pathlib import Path

from gradstep.files import open_ordinary, write_all, write_whole

_DIGEST = hashlib.sha256().digest_size


def folder() -> Path | None:
    """Return the folder of kernels: ``GRADSTEP_CACHE_DIR`` (empty: nowhere), else the user's cache folder."""
    own = os.environ.get("GRADSTEP_CACHE_DIR")
    if own is not None:
        return Path(own) if own else None
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if xdg.is_absolute():  # what is relative counts as unset, as its specification says
        return xdg / "gradstep"
    try:
        home = Path.home()
    except RuntimeError:  # no home, no cache
        return None
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "gradstep"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "gradstep" / "Cache"
    return home / ".cache" / "gradstep"


def key_of(*parts: str) -> str:
    """The name of what is compiled from ``parts``: whatever changes the code changes one of them."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def load(key: str, ending: str = "o") -> bytes | None:
    """The compiled code of that key, or ``None`` where it is not there or not as it was written."""
    where = folder()
    if where is None:
        return None
    try:
        with open_ordinary(where / f"{key}.{ending}") as file:
            data = file.read()
    except OSError:
        return None
    digest, code = data[:_DIGEST], data[_DIGEST:]
    return code if _checksum(key, code) == digest else None


def save(key: str, code: bytes, ending: str = "o") -> None:
    """Keep compiled code for other processes; where that does not work, they compile."""
    where = folder()
    if where is None:
        return
    with contextlib.suppress(OSError):
        where.mkdir(parents=True, exist_ok=True)
        content = _checksum(key, code) + code  # which finds what a power loss has cut short
        write_whole(where / f"{key}.{ending}", lambda handle: write_all(handle, content), lasting=False)


def _checksum(key: str, code: bytes) -> bytes:
    return hashlib.sha256(key.encode() + code).digest()
