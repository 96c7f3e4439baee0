"""Files that are there whole or not at all."""

import os
import tempfile
from pathlib import Path

from gradstep.errors import GradstepValueError


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` beside ``path`` and then rename it, so that nobody ever sees half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101 - mkstemp gives 0o600
        os.replace(temporary, path)  # noqa: PTH105 - the rename that replaces
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def writable_folder(path: Path) -> Path:
    """The folder, made if need be, after a try that it takes files.

    Raises
    ------
    GradstepValueError
        When it cannot be made or written; the reason of the system is in the message.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise GradstepValueError(f"cannot write to the folder {path}: {error.strerror or error}.") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
