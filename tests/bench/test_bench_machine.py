"""What is said of the machine."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradstep.bench import machine as module
from gradstep.bench.machine import Others, cores, machine, processor


def test_the_machine_in_words():
    said = machine()
    assert said["processor"] == processor()
    assert processor()
    assert 1 <= cores() <= os.cpu_count()
    assert all(isinstance(value, str) and value for value in said.values())


def test_what_others_take(monkeypatch):
    seconds = iter([(10.0, 100.0, 3.0), (16.0, 120.0, 7.0)])  # 6 of 20 were busy, 4 of them our own
    monkeypatch.setattr(module, "_seconds", lambda: next(seconds))
    assert Others().share() == pytest.approx(0.1)
    monkeypatch.setattr(module, "_seconds", lambda: None)
    assert Others().share() is None


@pytest.mark.process
@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="what Linux tells")
def test_another_program_is_seen():
    code = "import time; end = time.monotonic() + 1.2\nwhile time.monotonic() < end: pass"
    with subprocess.Popen([sys.executable, "-c", code]):
        time.sleep(0.3)
        others = Others()
        time.sleep(0.6)
        assert 0.7 / os.cpu_count() < others.share() <= 1
