"""The file format: safetensors' layout, with a manifest that knows every byte of the file by its hash.

8 bytes of header length (little-endian), the header as JSON, then the arrays one after the other, each little-endian
and in C order. The header's ``__metadata__`` holds ``manifest``, canonical JSON as text, and ``manifest_sha256``.
Under ``tensors`` the manifest has for each array its dtype, shape, place and SHA-256; the header follows from it to the
last byte, so that no bit of a file is without a check. Any reader of safetensors reads the arrays.

safetensors knows no complex128: complex numbers are stored as pairs of reals, one axis longer.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from json.decoder import scanstring  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gradstep.array.namespaces import dtype_name
from gradstep.array.storage import FORMATS
from gradstep.checkpoint.table import CODES, UNKNOWN_HASH, DamagedError, Entry, entries, place_of_table
from gradstep.errors import CheckpointError, GradstepTypeError, GradstepValueError
from gradstep.files import AnyPath, Descriptor, open_ordinary, write_all, write_whole

FORMAT = 1
Arrays = Mapping[str, NDArray[Any]]
Manifest = dict[str, Any]

_PREFIX = b'{"__metadata__":{"manifest_sha256":"'
_PIECE = 1 << 22  # bytes that are hashed and written at a time
_MOST_HEADER = 100_000_000  # safetensors' own limit
_SPARE = 32 << 20  # bytes that a manifest's values may take in memory whatever the file's size


def write(path: AnyPath, arrays: Arrays, manifest: Manifest, keep: int = 1) -> None:
    """Write arrays and a manifest, whole or not at all.

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
    manifest = json.loads(canonical(manifest))  # a copy: another thread may change the original
    length = sum(map(len, _header(manifest, rows)))
    if length > _MOST_HEADER:
        raise GradstepValueError(
            f"checkpoint: the header would take {length} bytes, more than the {_MOST_HEADER} of safetensors; "
            "keep many small parameters in one array."
        )
    if _memory(canonical(manifest)) > _allowed(8 + length + sum(x.nbytes for x in arrays.values())):
        raise GradstepValueError(
            "checkpoint: there is more text than arrays, too much to be read back safely; "
            "keep many numbers in an array."
        )

    def write_content(handle: Descriptor) -> None:
        hashed: dict[str, Entry] = {}
        os.lseek(handle, 8 + length, os.SEEK_SET)
        for name, row in rows.items():  # each piece is copied, so that what is hashed is what is written
            sha = hashlib.sha256()
            raw = _raw(arrays[name])
            for begin in range(0, len(raw), _PIECE):
                piece = bytes(raw[begin : begin + _PIECE])
                sha.update(piece)
                write_all(handle, piece)
            hashed[name] = replace(row, sha256=sha.digest())
        os.lseek(handle, 0, os.SEEK_SET)
        write_all(handle, length.to_bytes(8, "little"))
        for piece in _header(manifest, hashed):
            write_all(handle, piece)

    write_whole(path, write_content, keep)


def read(path: AnyPath) -> tuple[dict[str, NDArray[Any]], Manifest]:
    """Return the arrays and the manifest of a file, once every byte of it has been checked.

    Raises
    ------
    CheckpointError
        When the file is not to the last bit what was written, or of a later format.
    OSError
        When the system refuses to read it.
    """
    with open_ordinary(path) as file:
        try:
            return _read(file)
        except DamagedError as problem:
            raise CheckpointError(f"checkpoint {os.fspath(path)!r} {problem}") from None


def fingerprint(path: AnyPath) -> str:
    """Return the hash of a file's manifest, which has the hashes of all its arrays; it is not looked at otherwise."""
    with open_ordinary(path) as file:
        return file.read(8 + len(_PREFIX) + 64)[8 + len(_PREFIX) :].decode("ascii", "replace")


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


def _plan(arrays: Arrays) -> Iterator[tuple[str, Entry]]:
    """Generate the entries of arrays, those with the largest elements first, so that each is aligned."""
    begin = 0
    for name in sorted(arrays, key=lambda name: (-arrays[name].itemsize, name)):
        x = arrays[name]
        if dtype_name(x) not in CODES:
            raise GradstepTypeError(
                f"checkpoint: {name!r} has dtype {x.dtype}, which cannot be saved; there are {', '.join(CODES)}."
            )
        if not _is_text(name):
            raise GradstepValueError(
                f"checkpoint: {name!r} is no Unicode text, so other readers would refuse the file."
            )
        swapped = None if x.dtype.isnative else {">": "big", "<": "little"}[x.dtype.byteorder]
        fortran = "F" if x.flags.f_contiguous and not x.flags.c_contiguous else None
        yield name, Entry(dtype_name(x), x.shape, begin, begin + x.nbytes, UNKNOWN_HASH, swapped, fortran)
        begin += x.nbytes


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _raw(x: Any) -> memoryview:
    """Return the bytes of an array as they are stored."""
    words = x.view(np.uint16) if dtype_name(x) == "bfloat16" else x  # bfloat16 has no byte order in NumPy
    little: Any = np.ascontiguousarray(words, words.dtype.newbyteorder("<"))
    return memoryview(little.reshape(-1).view(np.uint8))


def _text(manifest: Manifest, rows: Mapping[str, Entry]) -> Iterator[str]:
    """Pieces of the canonical JSON of a manifest with its rows, whose key ``tensors`` comes last."""
    yield f'{canonical({**manifest, "format": FORMAT})[:-1]},"tensors":{{'
    for k, name in enumerate(sorted(rows)):
        yield f"{',' if k else ''}{quoted(name)}:{rows[name].in_manifest}"
    yield "}}"


def _header(manifest: Manifest, rows: Mapping[str, Entry]) -> Iterator[bytes]:
    """Pieces of the header that belongs to a manifest and its rows: with many arrays it is large."""
    sha, length = hashlib.sha256(), 0
    for batch in _batches(_text(manifest, rows)):
        sha.update(batch)
    start = f'{_PREFIX.decode()}{sha.hexdigest()}","manifest":"'
    in_header = (f",{quoted(name)}:{rows[name].in_header}" for name in sorted(rows))
    text = (quoted(piece)[1:-1] for piece in _text(manifest, rows))
    for batch in _batches(chain([start], text, ['"}'], in_header, ["}"])):
        length += len(batch)
        yield batch
    yield b" " * (-length % 8)


def _batches(texts: Iterable[str]) -> Iterator[bytes]:
    """ASCII texts, many short ones joined to one."""
    rest = iter(texts)
    while batch := "".join(islice(rest, 256)):
        yield batch.encode()


def _read(file: BinaryIO) -> tuple[dict[str, NDArray[Any]], Manifest]:
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, _MOST_HEADER):
        raise DamagedError("is cut short, or is no checkpoint.")
    text = _checked_text(file.read(length))
    manifest, table = _manifest(text, size)
    rows = _rows(entries(text, table, length), size - 8 - length)
    del text
    file.seek(8)  # the header is compared in pieces, so that it and the rows are not in memory together
    try:
        belongs = all(file.read(len(piece)) == piece for piece in _header(manifest, rows))
    except GradstepValueError:  # a number beyond the range of floats
        belongs = False
    if not belongs or file.tell() != 8 + length:
        raise DamagedError("is damaged: its header does not belong to its manifest.")
    return {name: _array(file, name, rows.pop(name)) for name in list(rows)}, manifest


def _checked_text(header: bytes) -> str:
    """Return the text of the manifest out of a header, once its hash has been compared."""
    start = len(_PREFIX) + 64
    if not header.startswith(_PREFIX) or header[start : start + 14] != b'","manifest":"' or not header.isascii():
        raise DamagedError("is no checkpoint of this library, or its header is damaged.")
    try:
        text, _ = scanstring(header.decode(), start + 14, True)
    except ValueError:
        text = ""
    if not text.isascii() or header[len(_PREFIX) : start].decode() != hashlib.sha256(text.encode()).hexdigest():
        raise DamagedError("is damaged: its manifest has another hash than it had.")
    return text


def _manifest(text: str, size: int) -> tuple[Manifest, int | None]:
    """Return a manifest without its table of arrays, and where that table begins in the text.

    The table may be long, and its rows are read one by one; everything else becomes Python's objects at once, after a
    look at how much memory they can take.
    """
    key = place_of_table(text)
    head = text if key is None else text[:key].removesuffix(",") + "}"
    if _memory(head) > _allowed(size):
        raise DamagedError("has more text in it than this library writes.")
    try:
        data = json.loads(head)
    except (ValueError, RecursionError):
        raise DamagedError("has a manifest that is no JSON.") from None
    version = data.get("format") if isinstance(data, dict) else None
    if type(version) is not int or version < 1:
        raise DamagedError("has a manifest without the number of its format.")
    if version > FORMAT:
        raise DamagedError(
            f"has format {version}, and this version of the library reads up to {FORMAT}; a later version reads it."
        )
    return data, None if key is None else key + len('"tensors":')


def _rows(table: Iterable[tuple[str, Entry]], size: int) -> dict[str, Entry]:
    """Return the entries in the order of their places, which fill ``size`` bytes without a gap."""
    rows = sorted(table, key=lambda item: (item[1].begin, item[1].end))
    end = 0
    for name, row in rows:
        if row.begin != end:
            raise DamagedError(f"has arrays that overlap, or a gap before {name!r}.")
        end = row.end
    if end != size:
        raise DamagedError(f"is cut short, or too long: its arrays take {end} bytes, and there are {size}.")
    return dict(rows)


def _dtype(row: Entry) -> np.dtype[Any]:
    return FORMATS["bfloat16"].dtype if row.dtype == "bfloat16" else np.dtype(row.dtype)


def _array(file: BinaryIO, name: str, row: Entry) -> NDArray[Any]:
    """Read an array into memory of its own, and compare its hash."""
    raw: Any = np.empty(row.end - row.begin, np.uint8)
    view, done = memoryview(raw), 0
    while done < len(view) and (n := file.readinto(view[done : done + _PIECE])):  # type: ignore[attr-defined]
        done += n
    if done < len(view):
        raise DamagedError("became shorter while it was read.")
    if hashlib.sha256(raw).digest() != row.sha256:
        raise DamagedError(f"is damaged: the array {name!r} has another hash than it had.")
    dtype = _dtype(row)
    words = np.dtype(np.uint16) if row.dtype == "bfloat16" else dtype
    wanted = words if row.byteorder is None else words.newbyteorder(">" if row.byteorder == "big" else "<")
    try:
        x = raw.view(words.newbyteorder("<")).reshape(row.shape)
    except ValueError:  # an empty array whose other axes are too long for NumPy
        raise DamagedError(f"has an array {name!r} of a shape that cannot be.") from None
    x = x.astype(wanted, order="F" if row.order else "C", copy=False)
    return x.view(dtype) if words is not dtype else x


def _memory(text: str) -> int:
    """Return an upper bound of the memory that the values of a JSON text take, from its punctuation."""
    return len(text) + 240 * text.count("{") + 96 * text.count("[") + 64 * (text.count(",") + text.count('"') // 2)


def _allowed(size: int) -> int:
    """Return the bytes of memory that a manifest's values may take in a file of ``size`` bytes."""
    return size + size // 4 + _SPARE
