"""P13: others can read it: the official safetensors reader, and six lines of NumPy that stand in the docs."""

import json
import struct

import numpy as np
import pytest

import gradstep as gs
from gradstep import rules
from promises import small
from promises.readers import check_with_other_readers, official, six_lines
from support import OF_GRADIENTS

STORAGE = [("f4", {}), ("f8", {}), ("c8", {}), ("c16", {}), ("f2", {"master": True}), ("f4", {"state_dtype": "8bit"}),
           ("f4", {"state_dtype": "bfloat16"})]  # fmt: skip


def test_every_rule_and_storage(tmp_path, figure):
    pytest.importorskip("ml_dtypes")
    files = arrays = 0
    for name in OF_GRADIENTS:
        for dtype, options in STORAGE:
            rule = getattr(rules, name)
            if rule.whole and (dtype.startswith("c") or "state_dtype" in options):
                continue  # for real matrices, and it keeps its state as it is
            if "smaller_state" in rule.exceptions and "state_dtype" in options:
                continue
            params = {
                "w": np.arange(600.0).reshape(2, 300).astype(dtype),
                "ü/x": np.zeros((), dtype),
                "0": np.ones((0, 2), dtype),
            }
            opt = gs.Optimizer(params, name, **options)
            opt.step({k: np.ones_like(x) for k, x in params.items()})
            opt.save(tmp_path / "run.safetensors", extra={"any": "thing"})
            arrays += check_with_other_readers(tmp_path / "run.safetensors")
            files += 1
    assert arrays > 3 * files
    text = "official reader and six lines of NumPy find equal arrays: {files} / {files} files, {arrays} arrays"
    figure("P13", text, files=files, arrays=arrays)


def test_the_official_reader_for_numpy(tmp_path, figure):
    """Its usual function, for the dtypes that it gives to NumPy."""
    load_file = pytest.importorskip("safetensors.numpy").load_file
    small.saved(tmp_path / "run.safetensors")
    found, mine = load_file(tmp_path / "run.safetensors"), gs.load(tmp_path / "run.safetensors").arrays
    assert found.keys() == mine.keys()
    assert all(found[k].dtype == x.dtype and (found[k] == x).all() for k, x in mine.items())
    figure("P13", f"safetensors.numpy.load_file: equal {len(found)} / {len(found)} arrays")


def test_the_reader_in_the_docs_has_six_lines():
    assert len(six_lines()[1]) == 6


def test_control_readers_tell_a_file_that_is_none(tmp_path, control):
    """A gap between arrays, arrays that overlap, a header that is too long: refused by the official reader."""
    safetensors = pytest.importorskip("safetensors")
    small.saved(tmp_path / "run.safetensors")
    data = (tmp_path / "run.safetensors").read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    refused = 0
    for shift, extra in ((8, b"\0" * 8), (-4, b""), (0, b"\0")):
        other = json.loads(json.dumps(header))
        last = max((x for k, x in other.items() if k != "__metadata__"), key=lambda x: x["data_offsets"][1])
        last["data_offsets"] = [n + shift for n in last["data_offsets"]]
        text = json.dumps(other).encode()
        (tmp_path / "other.bin").write_bytes(struct.pack("<Q", len(text)) + text + data[end:] + extra)
        with pytest.raises(safetensors.SafetensorError):
            official(tmp_path / "other.bin")
        refused += 1
    control("P13", f"a gap, an overlap, a byte too many: refused by the official reader {refused} / 3")


def test_control_another_value_is_seen(tmp_path, monkeypatch, control):
    """What gs.load gives is changed in one bit: the comparison with the other readers must see it."""
    small.saved(tmp_path / "run.safetensors")
    load = gs.load

    def changed(path):
        found = load(path)
        found.arrays["param/w"].view("u4")[1, 1] ^= 1
        return found

    with monkeypatch.context() as patch:
        patch.setattr(gs, "load", changed)
        with pytest.raises(AssertionError):
            check_with_other_readers(tmp_path / "run.safetensors")
    control("P13", "one bit changed in one array: the comparison fails")
