"""P14: any input gives a state or a CheckpointError, in bounded memory."""

import contextlib
import tracemalloc

import pytest

import gradstep as gs
from gradstep.checkpoint import format as product
from promises.conftest import fuzz
from promises.fuzz import whole


def peak(path):
    """The most memory that loading a file takes."""
    tracemalloc.start()
    try:
        with contextlib.suppress(gs.CheckpointError):
            gs.load(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.process
def test_a_state_or_a_checkpoint_error(fuzzed, files, figure):
    assert fuzzed["files"] == files
    assert fuzzed["other"] == 0, fuzzed["examples"]
    assert fuzzed["changed"] == 0, fuzzed["examples"]
    figure("P14", "other exceptions: 0 / {n} files; optimizers changed by a refused one: 0", n=files)


@pytest.mark.process
def test_memory_is_bounded(fuzzed, files, figure):
    assert fuzzed["measured"] >= files // 5
    assert fuzzed["memory"] == 0, fuzzed["examples"]
    measured = fuzzed["measured"]
    figure("P14", "above 3 x file + 64 KiB (text made to take memory: + 32 MiB): 0 / {n} files", n=measured)


@pytest.mark.process
def test_control_without_hashes_damage_is_loaded(control):
    seen = fuzz(0, 2000, "no-hash")
    assert seen["undetected"] > 0
    control("P14", f"hashes that are all alike: {seen['undetected']} / {seen['files']} damaged files loaded")


def test_control_without_the_bound_text_takes_memory(control, monkeypatch, tmp_path):
    """A list of empty lists takes sixty bytes for each of its three."""
    text = "[" + ",".join(["[]"] * 700_000) + "]"
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(whole('{"extra":' + text + ',"format":1,"tensors":{}}', {}, b""))
    assert peak(path) < 3 * path.stat().st_size + (32 << 20)
    monkeypatch.setattr(product, "_allowed", lambda size: float("inf"))
    assert peak(path) > 3 * path.stat().st_size + (32 << 20)
    control("P14", "without the bound on text: more memory than promised")
