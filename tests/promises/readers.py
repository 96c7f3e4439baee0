"""Two readers that share nothing with the product: the official one, and six lines of NumPy out of the docs."""

import re
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs

DOCS = Path(__file__).parents[2] / "docs/checkpoints.md"


def six_lines():
    """The reader in the docs as a function of a path, and its lines."""
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    (code,) = [block for block in blocks if "def read(" in block]
    env = {}
    exec(code, env)  # noqa: S102 - of our own docs
    return env["read"], [line for line in code.splitlines() if line.strip() and "import" not in line]


def plain(x):
    """The bytes of an array as they are in a file: little-endian, C order, complex numbers as pairs."""
    x = np.asarray(x)
    if x.dtype.name == "bfloat16":
        x = x.view("u2")
    return np.ascontiguousarray(x, x.dtype.newbyteorder("<")).tobytes()


def official(path):
    """What the official reader finds: raw bytes, dtype and shape of each array."""
    safetensors = pytest.importorskip("safetensors")
    return {name: (one["dtype"], tuple(one["shape"]), bytes(one["data"]))
            for name, one in safetensors.deserialize(Path(path).read_bytes())}  # fmt: skip


def check_with_other_readers(path):
    """Whether both find the arrays that ``gs.load`` finds; 0 where that refuses the file, else how many arrays."""
    try:
        arrays = gs.load(path).arrays
    except gs.CheckpointError:
        return 0
    read, _ = six_lines()
    theirs, docs = official(path), read(path)
    assert theirs.keys() == docs.keys() == arrays.keys()
    for name, x in arrays.items():
        pairs = (2,) if x.dtype.kind == "c" else ()
        dtype, shape, data = theirs[name]
        assert shape == docs[name].shape == (*x.shape, *pairs)
        assert data == docs[name].tobytes() == plain(x)
        assert dtype[0] == {"f": "F", "c": "F", "i": "I", "u": "U", "b": "B", "V": "B"}[x.dtype.kind]
    return len(arrays)
