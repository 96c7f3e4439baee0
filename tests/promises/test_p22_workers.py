"""P22: processes that a study starts end with it; code that ends its process is told of, and does not end the study."""

import os
import signal
import time
from pathlib import Path

import pytest

from gradstep.compare import compare, make_spec, processes, protocol
from gradstep.errors import GradstepValueError
from promises.conftest import run_program
from support import script

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc"),
]
WAYS = {
    "an exit with code 0": "os._exit(0)",
    "an exit with code 3": "os._exit(3)",
    "SIGSEGV": "os.kill(os.getpid(), signal.SIGSEGV)",
    "SIGABRT": "os.abort()",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
}
FILE = """
import os, signal
import numpy as np

class P:
    params = np.ones(2)

    def __init__(self, seed):
        self.seed, self.calls = seed, 0

    def value_and_grad(self, x):
        self.calls += 1
        if {where}:
            {way}
        return float(x @ x), 2 * x
"""


def written(folder, where, way):
    path = folder / "own.py"
    path.write_text(FILE.format(where=where, way=way))
    return f"{path}:P"


def test_kills_of_a_study(figure, full):
    kills = 5 if full else 2
    assert run_program("orphans.py", kills, 10, "watched") == {"left": 0, "worked": kills}
    figure("P22", "processes left ten seconds after kill -9 of a study: 0 / {n} kills", n=kills)


def test_a_first_evaluation_that_ends_its_process(tmp_path, figure):
    for how, way in WAYS.items():
        with pytest.raises(GradstepValueError, match=f"ended the process that evaluated it first, by {how};"):
            make_spec([written(tmp_path, "True", way)], "sgd")
    figure("P22", f"ended at the first evaluation: one sentence says how {len(WAYS)} / {len(WAYS)} ways")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_ends_its_process(tmp_path, jobs, figure):
    study = compare("sgd:lr=0.1", written(tmp_path, "self.seed == 1", WAYS["SIGSEGV"]), seeds=3, steps=5, jobs=jobs)
    errors = [run.error for run in study.evaluated("own.py:P", "sgd:lr=0.1")]
    assert errors == [None, "its process was ended 3 times, by SIGSEGV.", None]
    figure("P22", f"{jobs} at a time, one run of three ended by SIGSEGV: the others finished, its error says how")


def test_a_timing_that_ends_its_process(tmp_path):
    study = compare("sgd:lr=0.1", written(tmp_path, "self.calls > 200", "os._exit(0)"), seeds=1, steps=5, jobs=1)
    assert study.finished
    assert [run.error for run in study.evaluated("own.py:P", "sgd:lr=0.1")] == [None]
    assert [timing.step_us > 0 for timing in study.timings] == [False]


def test_control_without_the_watch(control):
    seen = run_program("orphans.py", 1, 3, "unwatched")
    assert seen["left"] > 0
    control("P22", "workers that do not look for their parent: processes are left")


def test_control_in_one_process(tmp_path, control):
    text = written(tmp_path, "True", "os._exit(7)")
    code = f"""
import subprocess, sys
from gradstep.compare import make_spec, protocol
protocol.apart = lambda function, *arguments: function(*arguments)
make_spec([{text!r}], "sgd")
"""
    with pytest.raises(AssertionError):
        script(code)
    control("P22", "evaluated in the study's own process: the study is ended without a word")


def test_the_process_apart_is_one_that_can_be_lost(tmp_path):
    """An end between two calls is not the fault of the second."""
    first = processes.apart(os.getpid)
    os.kill(first, signal.SIGKILL)
    end = time.monotonic() + 20
    while not processes.here._executor._flags.broken and time.monotonic() < end:
        time.sleep(0.01)
    assert processes.apart(os.getpid) not in (first, os.getpid())
    assert protocol.apart is processes.apart


def test_an_end_after_a_pause(tmp_path, monkeypatch):
    """The process apart ends where nobody asks it; the end of the next one is seen all the same."""
    monkeypatch.setattr(processes, "IDLE", 1.0)
    processes.here.end()  # one of another test
    make_spec([written(tmp_path, "False", "pass")], "sgd")
    time.sleep(2.5)
    with pytest.raises(GradstepValueError, match="ended the process that evaluated it first, by SIGSEGV;"):
        make_spec([written(tmp_path, "True", WAYS["SIGSEGV"])], "sgd")
    processes.here.end()
