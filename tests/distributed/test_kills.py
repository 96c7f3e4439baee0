"""A training that is killed anywhere in its saves goes on, in more processes, to the bits of one left alone."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("killed.py")
STEPS = 2


def run(path, size, phase):
    """Return the exit code, the hash at the end and how many calls there were."""
    command = [sys.executable, "-W", "ignore", str(PROGRAM), *map(str, (path, size, STEPS, phase))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    words = done.stdout.split()
    assert done.returncode in (0, 9), done.stderr
    return done.returncode, words[1] if words else "", int(words[2]) if words else 0


@pytest.mark.process
def test_killed_at_any_phase_of_a_save(tmp_path, full):
    _, wanted, calls = run(tmp_path / "alone", 2, 0)
    phases = range(1, calls + 1) if full else (3, 8, 10, 11)  # a file, one of the second save, before and after its end
    for phase in phases:
        path = tmp_path / str(phase)
        assert run(path, 2, phase)[:2] == (9, ""), phase
        assert run(path, 3, 0)[:2] == (0, wanted), phase
