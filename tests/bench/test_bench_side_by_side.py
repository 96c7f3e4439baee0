"""A size measured for real, small; memory as the system counts it."""

import logging
from pathlib import Path

import numpy as np
import pytest

from gradstep.bench import Size, Work, choose, measure, side_by_side
from gradstep.bench.contenders import OURS, Contender, Kind, UnavailableError
from gradstep.bench.contenders.by_hand import ByHand
from gradstep.bench.memory import free_bytes, peak_extra

linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="what Linux tells")


def test_a_small_size():
    result = measure(Work(), Size(2, 30), choose("numpy"), seconds=0.0, pause=0.0)
    assert (result.work, result.size, result.dtype, result.tensors, result.elements) == (
        "adam",
        "2x30",
        "float32",
        2,
        60,
    )
    rows = {row.contender: row for row in result.rows}
    assert set(rows) == {OURS, "numpy"}
    assert [row.us for row in result.rows] == sorted(row.us for row in result.rows)
    assert rows[OURS].ratio == 1.0
    for row in rows.values():
        assert len(row.turns_us) == 3
        assert row.low_us <= row.us <= row.high_us
        assert row.us == np.median(row.turns_us)
        assert row.bytes_per_parameter == 16.0  # theta, g, m, v
        assert row.gb_per_s == pytest.approx(60 * 28 / row.us / 1000)
        if result.stream_gb_per_s:
            assert row.of_stream == pytest.approx(row.gb_per_s / result.stream_gb_per_s)
    pairs = np.array(rows["numpy"].turns_us) / np.array(rows[OURS].turns_us)
    assert rows["numpy"].ratio == np.median(pairs)
    assert [who.contender for who in result.skipped] == ([] if result.stream_gb_per_s else ["streams"])


def test_batches_put_all_turns_of_gradstep_together(monkeypatch):
    monkeypatch.setattr(side_by_side, "free_bytes", lambda: 0)
    monkeypatch.setattr(
        side_by_side, "batches", lambda work, size, kinds, free: ([[kinds[0]], [kinds[0], kinds[2]]], [])
    )
    result = measure(Work("sgd"), Size(1, 10), choose("numpy"), seconds=0.0, pause=0.0)
    assert {row.contender: len(row.turns_us) for row in result.rows} == {OURS: 6, "numpy": 3}


def test_no_room_is_said_and_nothing_is_run(monkeypatch):
    monkeypatch.setattr(side_by_side, "free_bytes", lambda: 1000)
    result = measure(Work(), Size(1, 1000), choose("numpy"), seconds=0.0, pause=0.0)
    assert result.rows == []
    assert {who.contender for who in result.skipped} == {OURS, "numpy", "streams"}
    assert all("needs" in who.reason for who in result.skipped)


def test_who_fails_is_left_out_with_the_reason():
    def fail(*_):
        raise RuntimeError("no\n  compiler")

    def unavailable(*_):
        raise UnavailableError("nothing here")

    kinds = [Kind("hand", ByHand, "numpy"), Kind("x", fail, "numpy"), Kind("y", unavailable, "numpy")]
    result = measure(Work("sgd"), Size(1, 10), kinds, seconds=0.0, pause=0.0)
    reasons = {who.contender: who.reason for who in result.skipped if who.contender != "streams"}
    assert reasons == {"x": "RuntimeError: no compiler", "y": "nothing here"}
    assert [row.contender for row in result.rows] == ["hand"]
    with pytest.raises(RuntimeError, match="compiler"):
        measure(Work("sgd"), Size(1, 10), [Kind("x", fail, "numpy")], seconds=0.0, pause=0.0)


def test_a_library_that_talks_while_it_loads_is_not_heard(caplog):
    class Talks(ByHand):
        def __init__(self, *rest):
            super().__init__(*rest)
            logging.getLogger("talker").warning("no accelerator")

    measure(Work("sgd"), Size(1, 10), [Kind("hand", Talks, "numpy")], seconds=0.0, pause=0.0)
    assert caplog.records == []
    logging.getLogger("talker").warning("heard again")
    assert len(caplog.records) == 1


@linux
def test_the_peak_of_a_step():
    def takes(megabytes):
        np.ones(megabytes * 2**17)

    assert peak_extra(lambda: None) < 2**20
    assert peak_extra(lambda: takes(60)) == pytest.approx(60 * 2**20, abs=2**20)
    assert peak_extra(lambda: None) < 2**20  # what was taken before is forgotten


@linux
def test_free_memory_is_that_of_the_system():
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert 0 < free_bytes() <= 1024 * int(lines["MemTotal"].split()[0])


def test_without_proc_nothing_is_known(monkeypatch, tmp_path):
    monkeypatch.setattr("gradstep.bench.memory._PROC", tmp_path)
    assert free_bytes() is None
    assert peak_extra(lambda: None) is None
    assert not hasattr(Contender, "step")
