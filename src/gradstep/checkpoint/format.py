"""The file format: safetensors' layout, with a manifest that knows every byte of the file by its hash.

8 bytes of header length (little-endian), the header as JSON, then the arrays one after the other, each little-endian
and in C order. The header's ``__metadata__`` holds ``manifest``, canonical JSON as text, and ``manifest_sha256``.
Under ``tensors`` the manifest has for each array its dtype, shape, place and SHA-256; the header follows from it to the
last byte, so that no bit of a file is without a check. Any reader of safetensors reads the arrays.

safetensors knows no complex128: complex numbers are stored as pairs of reals, one axis longer.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from json.decoder import scanstring  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gradstep.arrays import dtype_name
from gradstep.errors import CheckpointError, GradstepTypeError, GradstepValueError
from gradstep.files import AnyPath, Descriptor, write_all, write_whole
from gradstep.storage import FORMATS

FORMAT = 1
Arrays = Mapping[str, NDArray[Any]]
Manifest = dict[str, Any]

# What safetensors calls each dtype; complex numbers are pairs.
_CODES = {
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
    "bfloat16": "BF16",
    "bool": "BOOL",
    "complex64": "F32",
    "complex128": "F64",
}
_ITEMSIZE = {name: 2 if name == "bfloat16" else np.dtype(name).itemsize for name in _CODES}
_UNKNOWN_HASH = "0" * 64
_PREFIX = b'{"__metadata__":{"manifest_sha256":"'
_HASH = re.compile(r"[0-9a-f]{64}")
_PIECE = 1 << 22  # bytes that are hashed and written at a time
_MOST_HEADER = 100_000_000  # safetensors' own limit
_SPARE = 32 << 20  # what a manifest may take in memory whatever the file's size


@dataclass(frozen=True, slots=True)
class _Row:
    """One array in the manifest."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int
    sha256: str
    byteorder: str | None = None  # where it is not the machine's own: "big" or "little"
    order: str | None = None  # "F"

    @property
    def code(self) -> str:
        """What safetensors calls the dtype."""
        return _CODES[self.dtype]

    @property
    def stored(self) -> tuple[int, ...]:
        """The shape in the file."""
        return (*self.shape, 2) if self.dtype.startswith("complex") else self.shape

    def as_json(self) -> dict[str, Any]:
        kept = {key: x for key in ("byteorder", "order") if (x := getattr(self, key)) is not None}
        place = [self.begin, self.end]
        return {"dtype": self.dtype, "shape": list(self.shape), "offsets": place, "sha256": self.sha256, **kept}


def write(path: AnyPath, arrays: Arrays, manifest: Manifest, keep: int = 1) -> None:
    """Write arrays and what is to be known of them, whole or not at all.

    Parameters
    ----------
    path, keep
        As for :func:`gradstep.files.write_whole`.
    arrays
        By name; any layout and byte order.
    manifest
        What JSON knows; ``format`` and ``tensors`` are added.

    Raises
    ------
    GradstepTypeError
        For arrays of other dtypes than numbers and booleans.
    GradstepValueError
        For what JSON does not know: NaN, infinities.
    OSError
        When the system refuses something.
    """
    rows = dict(_plan(arrays))
    manifest = json.loads(canonical(manifest))  # as it is now: another thread may go on with it
    text = _text(manifest, rows)
    blank = _header(text, rows)
    size = 8 + len(blank) + sum(x.nbytes for x in arrays.values())
    if _memory(text) > _allowed(size):
        raise GradstepValueError(
            "checkpoint: there is more text than arrays, too much to be read back safely; "
            "keep many numbers in an array, and many small parameters in one."
        )

    def write_content(handle: Descriptor) -> None:
        hashed: dict[str, _Row] = {}
        os.lseek(handle, 8 + len(blank), os.SEEK_SET)
        for name, row in rows.items():  # each piece is copied, so that what is hashed is what is written
            sha = hashlib.sha256()
            raw = _raw(arrays[name])
            for begin in range(0, len(raw), _PIECE):
                piece = bytes(raw[begin : begin + _PIECE])
                sha.update(piece)
                write_all(handle, piece)
            hashed[name] = replace(row, sha256=sha.hexdigest())
        os.lseek(handle, 0, os.SEEK_SET)
        header = _header(_text(manifest, hashed), hashed)
        write_all(handle, len(header).to_bytes(8, "little") + header)

    write_whole(path, write_content, keep)


def read(path: AnyPath) -> tuple[dict[str, NDArray[Any]], Manifest]:
    """The arrays and the manifest of a file, every byte of which has been checked.

    Raises
    ------
    CheckpointError
        When the file is not to the last bit what was written, or of a later format.
    OSError
        When the system refuses to read it.
    """
    with Path(path).open("rb") as file:
        try:
            return _read(file)
        except _DamagedError as problem:
            raise CheckpointError(f"checkpoint {os.fspath(path)!r} {problem}") from None


def canonical(data: Any) -> str:
    """JSON in its one form: sorted, without spaces, ASCII.

    Raises
    ------
    GradstepValueError
        For what JSON does not know.
    """
    try:
        return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise GradstepValueError(f"checkpoint: this cannot be saved as JSON: {error}.") from None


class _DamagedError(Exception):
    """Says what is wrong with a file, to stand behind its name."""


def _plan(arrays: Arrays) -> Iterator[tuple[str, _Row]]:
    """The rows of arrays, those with the largest elements first: so each lies at a multiple of its element."""
    begin = 0
    for name in sorted(arrays, key=lambda name: (-arrays[name].itemsize, name)):
        x = arrays[name]
        if dtype_name(x) not in _CODES:
            raise GradstepTypeError(
                f"checkpoint: {name!r} has dtype {x.dtype}, which cannot be saved; there are {', '.join(_CODES)}."
            )
        if not _is_text(name):
            raise GradstepValueError(
                f"checkpoint: {name!r} is no Unicode text, so other readers would refuse the file."
            )
        swapped = None if x.dtype.isnative else {">": "big", "<": "little"}[x.dtype.byteorder]
        fortran = "F" if x.flags.f_contiguous and not x.flags.c_contiguous else None
        yield name, _Row(dtype_name(x), x.shape, begin, begin + x.nbytes, _UNKNOWN_HASH, swapped, fortran)
        begin += x.nbytes


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _raw(x: Any) -> memoryview:
    """The bytes of an array as they are stored."""
    words = x.view(np.uint16) if dtype_name(x) == "bfloat16" else x  # which knows no byte orders
    little: Any = np.ascontiguousarray(words, words.dtype.newbyteorder("<"))
    return memoryview(little.reshape(-1).view(np.uint8))


def _text(manifest: Manifest, rows: Mapping[str, _Row]) -> str:
    """The manifest as it stands in the file."""
    return canonical({**manifest, "format": FORMAT, "tensors": {name: row.as_json() for name, row in rows.items()}})


def _header(text: str, rows: Mapping[str, _Row]) -> bytes:
    """The header that belongs to the text of a manifest and its rows."""
    metadata = {"manifest_sha256": _sha256(text), "manifest": text}
    entries = {
        name: {"dtype": row.code, "shape": row.stored, "data_offsets": [row.begin, row.end]}
        for name, row in sorted(rows.items())
    }
    header = json.dumps({"__metadata__": metadata, **entries}, separators=(",", ":"))
    return (header + " " * (-len(header) % 8)).encode()


def _read(file: BinaryIO) -> tuple[dict[str, NDArray[Any]], Manifest]:
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, _MOST_HEADER):
        raise _DamagedError("is cut short, or is no checkpoint.")
    header = file.read(length)
    manifest = _manifest(header, size)
    rows = _rows(manifest.pop("tensors", None), size - 8 - length)
    try:
        belongs = _header(_text(manifest, rows), rows) == header
    except GradstepValueError:  # numbers beyond all floats
        belongs = False
    if not belongs:
        raise _DamagedError("is damaged: its header does not belong to its manifest.")
    del header
    return {name: _array(file, name, row) for name, row in rows.items()}, manifest


def _manifest(header: bytes, size: int) -> Manifest:
    """The manifest out of a header, before anything else of it is believed."""
    start = len(_PREFIX) + 64
    if not header.startswith(_PREFIX) or header[start : start + 14] != b'","manifest":"' or not header.isascii():
        raise _DamagedError("is no checkpoint of this library, or its header is damaged.")
    try:
        text, _ = scanstring(header.decode(), start + 14, True)
    except ValueError:
        text = ""
    if not text.isascii() or header[len(_PREFIX) : start].decode() != _sha256(text):
        raise _DamagedError("is damaged: its manifest has another hash than it had.")
    if _memory(text) > _allowed(size):
        raise _DamagedError("has more text in it than this library writes.")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise _DamagedError("has a manifest that is no JSON.") from None
    version = data.get("format") if isinstance(data, dict) else None
    if type(version) is not int or version < 1:
        raise _DamagedError("has a manifest without the number of its format.")
    if version > FORMAT:
        raise _DamagedError(
            f"has format {version}, and this version of the library reads up to {FORMAT}; a later version reads it."
        )
    return data


def _rows(table: Any, size: int) -> dict[str, _Row]:
    """The arrays of a manifest, in the order of their places, which fill ``size`` bytes without a gap."""
    if not isinstance(table, dict):
        raise _DamagedError("has a manifest without a table of arrays.")
    rows = sorted(((name, _row(name, x)) for name, x in table.items()), key=lambda item: (item[1].begin, item[1].end))
    end = 0
    for name, row in rows:
        if row.begin != end:
            raise _DamagedError(f"has arrays that overlap, or a gap before {name!r}.")
        end = row.end
    if end != size:
        raise _DamagedError(f"is cut short, or too long: its arrays take {end} bytes, and there are {size}.")
    return dict(rows)


def _row(name: str, x: Any) -> _Row:
    try:
        shape, (begin, end) = tuple(x["shape"]), x["offsets"]
        row = _Row(x["dtype"], shape, begin, end, x["sha256"], x.get("byteorder"), x.get("order"))
        whole = all(type(n) is int and 0 <= n < 1 << 62 for n in (*shape, begin, end)) and len(shape) <= 64
        known = row.dtype in _CODES and row.byteorder in (None, "big", "little") and row.order in (None, "F")
        fits = whole and known and end - begin == math.prod(shape) * _ITEMSIZE[row.dtype]
        if fits and _HASH.fullmatch(row.sha256):
            return row
    except (TypeError, ValueError, KeyError, AttributeError):
        pass
    raise _DamagedError(f"has an entry for the array {name!r} that makes no sense.")


def _dtype(row: _Row) -> np.dtype[Any]:
    return FORMATS["bfloat16"].dtype if row.dtype == "bfloat16" else np.dtype(row.dtype)


def _array(file: BinaryIO, name: str, row: _Row) -> NDArray[Any]:
    """An array of its own memory, with the hash that it had."""
    raw: Any = np.empty(row.end - row.begin, np.uint8)
    view, done = memoryview(raw), 0
    while done < len(view) and (n := file.readinto(view[done : done + _PIECE])):  # type: ignore[attr-defined]
        done += n
    if done < len(view):
        raise _DamagedError("became shorter while it was read.")
    if hashlib.sha256(raw).hexdigest() != row.sha256:
        raise _DamagedError(f"is damaged: the array {name!r} has another hash than it had.")
    dtype = _dtype(row)
    words = np.dtype(np.uint16) if row.dtype == "bfloat16" else dtype
    wanted = words if row.byteorder is None else words.newbyteorder(">" if row.byteorder == "big" else "<")
    try:
        x = raw.view(words.newbyteorder("<")).reshape(row.shape)
    except ValueError:  # an empty array whose other sizes are beyond all memory
        raise _DamagedError(f"has an array {name!r} of a shape that cannot be.") from None
    x = x.astype(wanted, order="F" if row.order else "C", copy=False)
    return x.view(dtype) if words is not dtype else x


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _memory(text: str) -> int:
    """At most what the values in a JSON text take in memory, by the marks that there are for each."""
    return len(text) + 240 * text.count("{") + 96 * text.count("[") + 64 * (text.count(",") + text.count('"') // 2)


def _allowed(size: int) -> int:
    """What the values of a manifest may take in memory in a file of ``size`` bytes."""
    return size + size // 4 + _SPARE
