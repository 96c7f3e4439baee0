"""What a file that is none is called, and how its sentence reads. Files are made here, byte by byte."""

import json
import tracemalloc
from hashlib import sha256

import numpy as np
import pytest

import gradstep as gs
from gradstep.checkpoint import format as product
from promises.fuzz import whole
from support import clear

RAW = np.arange(3, dtype="<f4").tobytes()
ROW = {"dtype": "float32", "shape": [3], "offsets": [0, 12], "sha256": sha256(RAW).hexdigest()}


def text(manifest):
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"))


def file(payload=RAW, manifest=None, **tables):
    manifest = {"format": 1, "tensors": {"x": ROW}} | tables if manifest is None else manifest
    return whole(text(manifest), manifest.get("tensors") if isinstance(manifest, dict) else None, payload)


def with_hash(data, other):
    return data[:44] + other + data[44 + len(other) :]


def header(data):
    return 8 + int.from_bytes(data[:8], "little")


GOOD = file()
EMPTY = {"offsets": [0, 0], "sha256": sha256().hexdigest()}
BAD = {
    "nothing": (b"", "is cut short, or is no checkpoint"),
    "seven bytes": (GOOD[:7], "is cut short, or is no checkpoint"),
    "a header of no end": (b"\xff" * 8 + GOOD[8:], "is cut short, or is no checkpoint"),
    "an empty header": (bytes(8) + GOOD[8:], "is no checkpoint of this library, or its header is damaged"),
    "another tool's": ((2).to_bytes(8, "little") + b"{}", "is no checkpoint of this library"),
    "no ASCII": (GOOD[:300] + b"\xc3" + GOOD[301:], "is no checkpoint of this library, or its header is damaged"),
    "another hash": (with_hash(GOOD, b"0" * 64), "its manifest has another hash than it had"),
    "text without an end": (GOOD[:200].replace(b"{", b"{", 1).ljust(len(GOOD), b" "), "has another hash than it had"),
    "a manifest that is no JSON": (whole("{", {}, b""), "has a manifest that is no JSON"),
    "nested too deep": (whole("[" * 100_000 + "]" * 100_000, {}, b""), "has a manifest that is no JSON"),
    "a list": (file(manifest=[1]), "has a manifest without the number of its format"),
    "no format": (file(manifest={"tensors": {}}), "has a manifest without the number of its format"),
    "format 0": (file(format=0), "has a manifest without the number of its format"),
    "format true": (file(format=True), "has a manifest without the number of its format"),
    "format 2": (
        file(format=2),
        "has format 2, and this version of the library reads up to 1; a later version reads it",
    ),
    "no table": (file(b"", {"format": 1}), "has a manifest without a table of arrays"),
    "a table that is a list": (file(b"", {"format": 1, "tensors": []}), "has a manifest without a table of arrays"),
    "a gap": (file(bytes(4) + RAW, tensors={"x": ROW | {"offsets": [4, 16]}}), "or a gap before 'x'"),
    "an overlap": (file(tensors={"x": ROW, "y": ROW}), "has arrays that overlap, or a gap before"),
    "too long": (file(RAW + b"\0"), "is cut short, or too long: its arrays take 12 bytes, and there are 13"),
    "too short": (file(RAW[:-1]), "is cut short, or too long: its arrays take 12 bytes, and there are 11"),
    "another value": (file(RAW[:-1] + b"\1"), "is damaged: the array 'x' has another hash than it had"),
    "keys not sorted": (whole('{"format":1,"extra":0,"tensors":{}}', {}, b""), "does not belong to its"),
    "arrays not last": (whole('{"tensors":{},"format":1}', {}, b""), "has a manifest without the number of its format"),
    "more after the arrays": (whole('{"format":1,"tensors":{},"x":0}', {}, b""), "does not belong to its manifest"),
    "a string without an end": (whole('{"format":1,"tensors":{"x', {}, b""), "has a manifest that is no JSON"),
    "a key of that name elsewhere": (
        whole('{"extra":{"tensors":{}},"format":1}', {}, b""),
        "has a manifest without a table of arrays",
    ),
    "more rows than the header has": (file(b"", tensors=dict.fromkeys("abcdefgh", ROW | EMPTY)), "makes no sense"),
    "a number beyond all": (
        whole('{"extra":1e999,"format":1,"tensors":{}}', {}, b""),
        "its header does not belong to its manifest",
    ),
    "a name in the header": (GOOD[: header(GOOD)].replace(b'"x":{', b'"y":{') + RAW, "does not belong to its manifest"),
    "a shape that cannot be": (
        file(
            b"",
            tensors={"x": ROW | {"shape": [0, 1 << 61, 1 << 61], "offsets": [0, 0], "sha256": sha256().hexdigest()}},
        ),
        "has an array 'x' of a shape that cannot be",
    ),
}
ROWS = [
    *(ROW | x for x in ({"dtype": "O"}, {"dtype": 4}, {"dtype": []}, {"shape": 3}, {"shape": [3.0]}, {"shape": [-3]})),
    *(ROW | x for x in ({"shape": [True, 3]}, {"shape": [4]}, {"shape": [1] * 64 + [3]}, {"shape": [1 << 62]})),
    *(ROW | x for x in ({"offsets": [0]}, {"offsets": [0, 12, 3]}, {"offsets": [12, 0]}, {"offsets": None})),
    *(ROW | x for x in ({"sha256": "0"}, {"sha256": 3}, {"sha256": "G" * 64}, {"byteorder": "<"}, {"order": "C"})),
    {k: x for k, x in ROW.items() if k != "sha256"},
    [],
    None,
    "row",
]


def test_a_good_one(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(GOOD)
    assert gs.load(path).arrays["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("what", BAD)
def test_what_is_said(tmp_path, what):
    data, words = BAD[what]
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(gs.CheckpointError, match=words) as error:
        gs.load(path)
    assert clear(error)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_rows_that_make_no_sense(tmp_path, row):
    path = tmp_path / "x"
    path.write_bytes(file(tensors={"x": row}))
    with pytest.raises(gs.CheckpointError, match=r"has an entry for the array 'x' that makes no sense\.") as error:
        gs.load(path)
    assert clear(error)


def test_more_text_than_is_ever_written(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(file(extra=[[]] * 5000))
    gs.load(path)
    monkeypatch.setattr(product, "_SPARE", 1 << 10)
    with pytest.raises(gs.CheckpointError, match="has more text in it than this library writes"):
        gs.load(path)


def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path, monkeypatch):
    path, rows = tmp_path / "x", product._rows
    product.write(path, {"x": np.ones(100_000)}, {})

    def cut(*args):
        with path.open("r+b") as file:
            file.truncate(100_000)
        return rows(*args)

    monkeypatch.setattr(product, "_rows", cut)
    with pytest.raises(gs.CheckpointError, match="became shorter while it was read"):
        gs.load(path)


def test_what_the_system_says_is_left_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError):
        gs.load(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        gs.load(tmp_path)


def test_pieces_of_a_large_array(tmp_path, monkeypatch):
    monkeypatch.setattr(product, "_PIECE", 1000)
    x = np.arange(5000.0)
    product.write(tmp_path / "x", {"x": x}, {})
    assert (gs.load(tmp_path / "x").arrays["x"] == x).all()


def test_the_largest_elements_come_first_each_at_a_multiple_of_its_size(tmp_path):
    kinds = ["i1", "f8", "f4", "c16", "f2", "?", "u4"]
    product.write(tmp_path / "x", {k: np.ones(3, k) for k in kinds}, {})
    data = (tmp_path / "x").read_bytes()
    end = header(data)
    assert end % 8 == 0
    for name, x in json.loads(data[8:end]).items():
        if name != "__metadata__":
            assert (end + x["data_offsets"][0]) % min(8, np.dtype(name).itemsize) == 0


NAMES = [f"{owner}/{k}" for k in range(12_000) for owner in ("param", "state/adam.m", "state/adam.v")]


class TestManySmallArrays:
    """A network of 12,000 tensors of three numbers steps, so it can be saved: 36,000 arrays with Adam's state."""

    def test_they_are_saved_and_loaded_within_three_times_the_file(self, tmp_path):
        path = tmp_path / "x"
        arrays = {name: np.full(3, k, "f4") for k, name in enumerate(NAMES)}
        product.write(path, arrays, {"optimizer": {"members": NAMES[::3]}})
        tracemalloc.start()
        found = gs.load(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * path.stat().st_size
        assert found.arrays.keys() == arrays.keys()
        assert all((found.arrays[name] == x).all() for name, x in arrays.items())
        assert found.metadata["optimizer"]["members"] == NAMES[::3]

    def test_more_than_a_header_may_hold_is_refused_before_anything_is_written(self, tmp_path, monkeypatch):
        monkeypatch.setattr(product, "_MOST_HEADER", 10_000)
        with pytest.raises(gs.GradstepError, match="more than the 10000 of safetensors; keep many small") as error:
            product.write(tmp_path / "x", {name: np.ones(3) for name in NAMES[:100]}, {})
        assert clear(error)
        assert not list(tmp_path.iterdir())
