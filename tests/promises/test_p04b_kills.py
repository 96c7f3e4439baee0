"""P4b: a save is old or new after SIGKILL, and one that was acknowledged is never lost."""

import os

import pytest

from promises.conftest import run_program

KILLS = 200
pytestmark = [pytest.mark.process, pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")]


def test_kills_at_random_times(tmp_path, figure):
    seen = run_program("kills.py", KILLS, tmp_path, "product")
    assert seen["acknowledged"] >= KILLS  # each child had saved before
    assert seen["left"] > 0  # some were killed in the midst
    assert (seen["corrupt"], seen["lost"], seen["stays"]) == (0, 0, 0)
    figure("P4b", f"corrupt 0, acknowledged and lost 0, temporary files after one more save 0 / {KILLS} kills")


def test_control_a_writer_in_place_is_found_out(in_memory, control):
    seen = run_program("kills.py", KILLS, in_memory, "naive")
    assert seen["corrupt"] > 0
    control("P4b", "open(path, 'wb').write: corrupt files found")
