"""P3: every truncation is found, and everything that is too long."""

import stat
from types import SimpleNamespace

import pytest

import gradstep as gs
from gradstep.checkpoint import format as product
from promises import small


def loaded(path, contents):
    """How many of some contents of a file are loaded."""
    good = 0
    for data in contents:
        path.write_bytes(data)
        try:
            gs.load(path)
            good += 1
        except gs.CheckpointError:
            pass
    return good


@pytest.fixture
def data(tmp_path):
    small.saved(tmp_path / "run.safetensors")
    return (tmp_path / "run.safetensors").read_bytes()


def test_every_length(tmp_path, data, figure):
    assert loaded(tmp_path / "cut", [data]) == 1
    assert loaded(tmp_path / "cut", (data[:n] for n in range(len(data)))) == 0
    figure("P3", f"undetected 0 / {len(data)} lengths")


def longer(data):
    """Contents that begin with all that was saved."""
    tails = [tail for n in range(1, 65) for tail in (b"\0" * n, b" " * n, data[:n], data[-n:])]
    return [data + tail for tail in [*tails, data, data * 2, b"\0" * (1 << 20)]]


def test_everything_longer(tmp_path, data, figure):
    assert loaded(tmp_path / "long", longer(data)) == 0
    figure("P3", f"undetected 0 / {len(longer(data))} extensions")


def test_control_a_reader_that_takes_any_length(tmp_path, data, monkeypatch, control):
    """The file's size is believed to be what the manifest says."""
    as_it_says = SimpleNamespace(st_size=len(data), st_mode=stat.S_IFREG)
    monkeypatch.setattr(product.os, "fstat", lambda _: as_it_says)
    taken = loaded(tmp_path / "long", longer(data))
    assert taken == len(longer(data))
    control("P3", f"without a look at the file's size: undetected {taken} / {len(longer(data))} extensions")
