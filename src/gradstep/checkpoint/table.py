"""The table of arrays in a manifest: its entries as text, and back from untrusted text."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from json.decoder import scanstring  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from reprlib import repr as short

import numpy as np

# safetensors' name of each dtype; complex numbers are pairs.
CODES = {
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
    "bfloat16": "BF16",
    "bool": "BOOL",
    "complex64": "F32",
    "complex128": "F64",
}
_DTYPES = {name: name for name in CODES}  # entries share these texts
_ITEMSIZE = {name: 2 if name == "bfloat16" else np.dtype(name).itemsize for name in CODES}
UNKNOWN_HASH = bytes(32)
_LEAST_ENTRY = len('"":{"dtype":"U8","shape":[],"data_offsets":[0,1]},')  # the shortest entry of the header

# A string, or a bracket; a quote alone opens a string without an end.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|["{}\[\]]', re.DOTALL)
_NAME = r'"(?:[^"\\]++|\\.)*+"'
_INTEGER = r"\d{1,19}"
_ROW = re.compile(
    rf"(?P<name>{_NAME}):"
    r'\{(?:"byteorder":"(?P<byteorder>big|little)",)?"dtype":"(?P<dtype>[a-z0-9]{1,16})",'
    rf'"offsets":\[(?P<begin>{_INTEGER}),(?P<end>{_INTEGER})\],(?:"order":"(?P<order>F)",)?'
    rf'"sha256":"(?P<sha256>[0-9a-f]{{64}})","shape":\[(?P<shape>(?:{_INTEGER}(?:,{_INTEGER}){{0,63}})?)\]\}}'
)


class DamagedError(Exception):
    """The fault of a file, as the rest of a sentence that begins with its name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One array in the manifest."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int
    sha256: bytes
    byteorder: str | None = None  # where it is not the machine's own: "big" or "little"
    order: str | None = None  # "F"

    @property
    def in_manifest(self) -> str:
        """Canonical JSON for the manifest."""
        byteorder = "" if self.byteorder is None else f'"byteorder":"{self.byteorder}",'
        order = "" if self.order is None else f'"order":"{self.order}",'
        return (
            f'{{{byteorder}"dtype":"{self.dtype}","offsets":[{self.begin},{self.end}],{order}'
            f'"sha256":"{self.sha256.hex()}","shape":[{_joined(self.shape)}]}}'
        )

    @property
    def in_header(self) -> str:
        """JSON for the header; a complex number is stored as two reals."""
        stored = (*self.shape, 2) if self.dtype.startswith("complex") else self.shape
        code = CODES[self.dtype]
        return f'{{"dtype":"{code}","shape":[{_joined(stored)}],"data_offsets":[{self.begin},{self.end}]}}'


def _joined(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def place_of_table(text: str) -> int | None:
    """Return the place of the key ``"tensors"`` in the outermost object of a JSON text, if it is there."""
    depth = 0
    for token in _TOKEN.finditer(text):
        match token[0]:
            case "{" | "[":
                depth += 1
            case "}" | "]":
                depth -= 1
            case '"':
                return None
            case '"tensors"' if depth == 1 and text.startswith(":", token.end()):
                return token.start()
            case _:
                pass
    return None


def entries(text: str, place: int | None, length: int) -> Iterator[tuple[str, Entry]]:
    """Generate the entries of a manifest's table, which begins at ``place``; each has an entry in the header too."""
    if place is None or text[place : place + 1] != "{":
        raise DamagedError("has a manifest without a table of arrays.")
    most = (length - len(text)) // _LEAST_ENTRY
    place += 1
    while text[place : place + 1] != "}":
        found = _ROW.match(text, place)
        row = None if found is None else _row(found)
        try:
            name, _ = scanstring(text, place + 1, True)
        except ValueError:
            raise DamagedError("has a manifest that is no JSON.") from None
        if found is None or row is None:
            raise DamagedError(f"has an entry for the array {short(name)} that makes no sense.")
        if (most := most - 1) < 0:
            raise DamagedError("is damaged: its header does not belong to its manifest.")
        yield name, row
        place = found.end() + text.startswith(",", found.end())
    if text[place:] != "}}":
        raise DamagedError("is damaged: its header does not belong to its manifest.")


def _row(found: re.Match[str]) -> Entry | None:
    """Return the entry of a matched text; None where its numbers contradict one another."""
    shape = tuple(int(n) for n in found["shape"].split(",") if n)
    begin, end, dtype = int(found["begin"]), int(found["end"]), found["dtype"]
    if dtype not in CODES or max((*shape, begin, end)) >= 1 << 62:
        return None
    if end - begin != math.prod(shape) * _ITEMSIZE[dtype]:
        return None
    return Entry(_DTYPES[dtype], shape, begin, end, bytes.fromhex(found["sha256"]), found["byteorder"], found["order"])
