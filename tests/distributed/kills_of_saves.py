"""A training that is killed anywhere in its saves goes on, in more processes, to the bits of one left alone.

The test is a promise: tests/promises/test_p10_any_number_of_processes.py.
"""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("killed.py")
STEPS = 2


def run(path, size, phase):
    """Return the exit code, the hash at the end and how many calls there were."""
    command = [sys.executable, "-W", "ignore", str(PROGRAM), *map(str, (path, size, STEPS, phase))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    words = done.stdout.split()
    assert done.returncode in (0, 9), done.stderr
    return done.returncode, words[1] if words else "", int(words[2]) if words else 0


def kill_at(folder, full):
    """Kill a training of two at phases of its saves, let three go on; return how many phases there were."""
    _, wanted, calls = run(folder / "alone", 2, 0)
    phases = range(1, calls + 1) if full else (3, 10, 11)  # a file, and before and after the end of the second save
    for phase in phases:
        path = folder / str(phase)
        assert run(path, 2, phase)[:2] == (9, ""), phase
        assert run(path, 3, 0)[:2] == (0, wanted), phase
    return len(phases)
