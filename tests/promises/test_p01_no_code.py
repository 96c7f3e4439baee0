"""P1: loading a file never runs code."""

import pytest

from promises.conftest import fuzz

pytestmark = pytest.mark.process


def test_no_event_of_code_in_any_file(fuzzed, files, figure):
    assert fuzzed["files"] == files
    assert fuzzed["loaded"] > 100  # some are harmless, so that arrays are made too
    assert fuzzed["restored"] > 100
    assert fuzzed["events"] == 0, fuzzed["seen"]
    figure("P1", "events of code, imports, processes, sockets, writing: 0 / {n} files", n=files)


def test_control_a_loader_that_runs_code_is_seen(control):
    seen = fuzz(0, 10, "numpy")
    assert seen["events"] > 0
    assert "pickle.find_class" in seen["seen"]
    control("P1", "numpy.load(allow_pickle=True) under the same watch: events seen")
