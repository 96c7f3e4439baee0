"""A checkpoint that several processes have written: a file of each in a folder, and a manifest that comes last.

``DIR/save-3/shard-0.safetensors`` and so on are files as :mod:`gradstep.checkpoint.format` writes them, each with the
pieces of one process; ``DIR/manifest.json`` says which folder holds the newest save, how many files it has, and the
hash of each. It takes its predecessor's place in one step, when all files are on the disk: without it there is no
checkpoint.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.checkpoint.format import FORMAT, canonical, fingerprint, read, write
from gradstep.checkpoint.state import PARAM, STATE
from gradstep.errors import CheckpointError
from gradstep.files import AnyPath, open_ordinary, refuse_extraordinary, sync_folder, write_text
from gradstep.naming import is_like

MANIFEST = "manifest.json"
Arrays = dict[str, NDArray[Any]]
Range = tuple[int, int]

_SAVES = re.compile(r"save-(\d+)")
_SHARDS = re.compile(r"shard-\d+\.safetensors|\.shard-\d+\.safetensors\.[0-9a-f]{12}\.part")
_MOST = 1 << 28  # bytes of a manifest
_FORM: Any = {"format": int, "folder": str, "files": [str], "metadata": {str: object}}
_PIECES: Any = {str: [int]}


def is_folder(path: AnyPath) -> bool:
    """Return whether at ``path`` there is a checkpoint of several files, or one that was not finished."""
    root = Path(path)
    return root.is_dir() and any(x.name == MANIFEST or _SAVES.fullmatch(x.name) for x in root.iterdir())


def begin(path: AnyPath) -> str:
    """Make the folder of the next save, and return its name; the newest checkpoint stays as it is.

    Raises
    ------
    OSError
        When the system refuses it.
    """
    root = Path(path)
    root.mkdir(exist_ok=True)
    numbers = [int(found[1]) for x in root.iterdir() if (found := _SAVES.fullmatch(x.name))]
    name = f"save-{max(numbers, default=0) + 1}"
    (root / name).mkdir()
    sync_folder(root)
    return name


def write_shard(
    path: AnyPath, name: str, rank: int, arrays: Mapping[str, Any], pieces: Mapping[str, Sequence[int]]
) -> str:
    """Write the file of one process, and return its hash.

    Parameters
    ----------
    name
        Of the save's folder.
    pieces
        By parameter the elements from which to which it has, and then the parameter's shape.
    """
    file = Path(path) / name / _shard(rank)
    write(file, arrays, {"pieces": {key: list(x) for key, x in pieces.items()}})
    return fingerprint(file)


def commit(path: AnyPath, name: str, hashes: Sequence[str], metadata: Mapping[str, Any]) -> None:
    """Let the save in the folder ``name`` be the checkpoint, and delete those before it."""
    text = canonical({"format": FORMAT, "folder": name, "files": list(hashes), "metadata": dict(metadata)})
    sha = hashlib.sha256(text.encode()).hexdigest()
    write_text(Path(path) / MANIFEST, f'{{"manifest":{text},"sha256":"{sha}"}}\n')
    for old in Path(path).iterdir():
        if _SAVES.fullmatch(old.name) and old.name != name:
            _delete(old)


def _delete(save: Path) -> None:
    """Delete a save, or what is left of one: its files alone, so that a folder with something else in it stays."""
    with suppress(OSError):
        if save.is_symlink():
            return
        for file in save.iterdir():
            if _SHARDS.fullmatch(file.name):
                refuse_extraordinary(file)
                file.unlink()
        save.rmdir()


def read_manifest(path: AnyPath) -> dict[str, Any]:
    """Return the manifest of a folder.

    Raises
    ------
    CheckpointError
        When there is none, or another than was written.
    """
    try:
        with open_ordinary(Path(path) / MANIFEST) as file:
            text = file.read(_MOST).decode()
    except FileNotFoundError:
        raise CheckpointError(
            f"checkpoint {os.fspath(path)!r} is a folder without {MANIFEST}: no save in it has been finished."
        ) from None
    except UnicodeDecodeError:
        text = ""
    found = re.fullmatch(r'\{"manifest":(\{.*\}),"sha256":"([0-9a-f]{64})"\}\n', text, re.DOTALL)
    if found is None or hashlib.sha256(found[1].encode()).hexdigest() != found[2]:
        raise CheckpointError(f"checkpoint {os.fspath(path)!r} is damaged: its {MANIFEST} is not what was written.")
    data = json.loads(found[1])
    if isinstance(data, dict) and isinstance(data.get("format"), int) and data["format"] > FORMAT:
        raise CheckpointError(f"checkpoint {os.fspath(path)!r} has format {data['format']}; a later version reads it.")
    if not is_like(data, _FORM) or not _SAVES.fullmatch(data["folder"]):
        raise CheckpointError(f"checkpoint {os.fspath(path)!r} is damaged: its {MANIFEST} makes no sense.")
    return data


def read_folder(path: AnyPath) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays of a folder, put together, and its metadata; see :func:`join_folder`."""
    joined, metadata = join_folder(path)
    return joined.arrays, metadata


def join_folder(path: AnyPath, wanted: Mapping[str, Range] | None = None) -> "tuple[Joined, dict[str, Any]]":
    """Return arrays of a folder, put together, and its metadata.

    Parameters
    ----------
    wanted
        The parameters to read, each with the range of its elements: of one that is not whole, arrays have one axis.
        Left out: all. At any time one file is in memory, and what is wanted of it.

    Raises
    ------
    CheckpointError
        When a file is missing, damaged or not the one that was written.
    """
    manifest = read_manifest(path)
    joined = Joined(wanted)
    for rank, sha in enumerate(manifest["files"]):
        file = Path(path) / manifest["folder"] / _shard(rank)
        try:
            arrays, own = read(file)
        except FileNotFoundError:
            raise CheckpointError(f"checkpoint {os.fspath(path)!r} lacks {file.name}; nothing was read.") from None
        if fingerprint(file) != sha or not is_like(own.get("pieces"), _PIECES):
            raise CheckpointError(f"checkpoint {os.fspath(path)!r} has another {file.name} than was written.")
        joined.take(arrays, own["pieces"])
    if joined.gaps():
        raise CheckpointError(f"checkpoint {os.fspath(path)!r} lacks a part of {joined.gaps()[0]!r}.")
    return joined, {**manifest["metadata"], "format": manifest["format"]}


class Joined:
    """Arrays put together of pieces, as far as they are wanted.

    Attributes
    ----------
    arrays
        By their names in a file.
    shapes
        Of the parameters that were in any file, by name.
    """

    def __init__(self, wanted: Mapping[str, Range] | None = None) -> None:
        self.wanted = wanted
        self.arrays: Arrays = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._missing: dict[str, int] = {}

    def take(self, arrays: Mapping[str, NDArray[Any]], pieces: Mapping[str, Sequence[int]]) -> None:
        """Take what is wanted out of a file's arrays."""
        for full, x in arrays.items():
            name = owner(full)
            first, last, *shape = pieces.get(name) or (0, x.size, *x.shape)
            self.shapes.setdefault(name, tuple(shape))
            size = prod(shape)
            begin, end = (0, size) if self.wanted is None else self.wanted.get(name, (0, -1))
            if end < begin:
                continue
            if (first, last) == (0, size) and (begin, end) == (0, size):
                self.arrays[full] = x
            elif x.size == last - first:
                self._join(full, x.reshape(-1), (first, last), (begin, end), shape if end - begin == size else None)

    def _join(self, full: str, x: NDArray[Any], has: Range, wants: Range, shape: Sequence[int] | None) -> None:
        length = wants[1] - wants[0]
        if full not in self.arrays:
            self.arrays[full] = np.empty(length if shape is None else tuple(shape), x.dtype)
            self._missing[full] = length
        first, last = max(has[0], wants[0]), min(has[1], wants[1])
        if first < last:
            to, of = slice(first - wants[0], last - wants[0]), slice(first - has[0], last - has[0])
            self.arrays[full].reshape(-1)[to] = x[of]
            self._missing[full] -= last - first

    def gaps(self) -> list[str]:
        """Return the arrays of which a part was in no file."""
        return [full for full, count in self._missing.items() if count]


def owner(full: str) -> str:
    """Return the name of the parameter to which an array of a file belongs."""
    return full[len(STATE) :].rpartition("/")[0] if full.startswith(STATE) else full.removeprefix(PARAM)


def _shard(rank: int) -> str:
    return f"shard-{rank}.safetensors"
