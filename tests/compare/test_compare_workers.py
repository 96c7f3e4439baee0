"""Runs side by side: the same numbers from any number of processes and any backend; killed workers."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from compare_support import ENDING, table_of, timeless
from gradstep.compare import compare, make_spec, run_study
from gradstep.compare.workers import Workers
from gradstep.errors import GradstepError
from support import SOURCE, script

pytestmark = pytest.mark.process

CALL = {
    "optimizers": "adam:lr=0.01,sgd,rmsprop:lr=1e30",
    "problems": "digits-mlp",
    "seeds": 2,
    "trials": 3,
    "steps": 40,
}
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="processes are found in /proc")


@pytest.fixture(scope="module")
def alone():
    return compare(**CALL, jobs=1)


@pytest.mark.parametrize(("jobs", "backend"), [(2, "loky"), (2, "threading"), (1, "multiprocessing")])
def test_results_do_not_depend_on_who_makes_them(jobs, backend, alone):
    study = compare(**CALL, jobs=jobs, backend=backend)
    assert timeless(study) == timeless(alone)
    assert table_of(study) == table_of(alone)


def children():
    """Loky's workers of this process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # processes end while one looks
            lines = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
            if int(lines["PPid"]) == os.getpid() and "LokyProcess" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found


class Killer:
    """Kills a worker after the third run and after the sixth."""

    def __init__(self):
        self.made, self.killed = 0, 0

    def begin(self, study):
        pass

    def result(self, run):
        self.made += 1
        if self.made in (3, 6):
            victim = children()[0]
            os.kill(victim, signal.SIGKILL)
            self.killed += 1


@needs_proc
def test_runs_of_a_killed_worker_are_made_again(alone):
    asked = make_spec([CALL["problems"]], CALL["optimizers"], seeds=2, trials=3, steps=40)
    killer = Killer()
    study = run_study(asked, None, Workers(2), killer)
    assert killer.killed == 2
    assert timeless(study) == timeless(alone)


@needs_proc
def test_a_run_that_kills_its_process_is_known_and_the_others_are_kept(tmp_path):
    (tmp_path / "own.py").write_text(ENDING)
    study = compare("sgd:lr=0.1", f"{tmp_path}/own.py:P", seeds=3, steps=10, jobs=2)
    assert study.finished
    runs = study.evaluated("own.py:P", "sgd:lr=0.1")
    assert [run.error for run in runs] == [None, "its process was ended 3 times, by SIGKILL.", None]
    assert runs[0].finished


def test_an_interrupt_stops_the_study():
    class Interrupt:
        def begin(self, study):
            pass

        def result(self, run):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(make_spec(["quadratic"], "sgd", seeds=2, steps=5), None, Workers(2), Interrupt())


@needs_proc
def test_workers_do_not_hear_ctrl_c():
    code = f"""if True:
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        import pathlib
        from gradstep.compare import make_spec, run_study
        from gradstep.compare.workers import Workers
        from test_compare_workers import children
        masks = set()
        class Look:
            def begin(self, study):
                pass
            def result(self, run):
                for pid in children():
                    text = pathlib.Path(f"/proc/{{pid}}/status").read_text()
                    masks.add(int(dict(line.split(":", 1) for line in text.splitlines())["SigBlk"], 16))
        run_study(make_spec(["quadratic"], "sgd:lr=1", seeds=2, steps=5), None, Workers(2), Look())
        print(*masks)
    """
    masks = [int(mask) for mask in script(code).split()]
    assert masks
    assert all(mask & 1 << (signal.SIGINT - 1) for mask in masks)
    assert SOURCE.is_dir()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"backend": "tasks"}, r"backend tasks: .*\."),
        ({"jobs": 0}, "jobs must be 1 to 1024, not 0"),
        ({"jobs": 10**9}, "jobs must be 1 to 1024"),
    ],
)
def test_wrong_workers_are_told(options, says):
    with pytest.raises(GradstepError, match=says) as error:
        compare(**{**CALL, "jobs": 2, **options})
    assert "\n" not in str(error.value)


ONE_THREAD = """
import time
import numpy as np
from threadpoolctl import threadpool_info

class Own:
    def __init__(self, seed=0):
        self.seed = seed
    def params(self):
        return {"x": np.ones(2)}
    def value_and_grad(self, p):
        time.sleep(0.01 + 0.03 * (self.seed % 2))
        if any(pool["num_threads"] > 1 for pool in threadpool_info()):
            raise RuntimeError("more than one thread")
        return float((p["x"] ** 2).sum()), {"x": 2 * p["x"]}
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core")
def test_a_run_that_ends_leaves_the_others_of_its_process_on_one_thread(tmp_path):
    """Each gives back the thread pools as it found them: one bit of a run beside it was another, now and then."""
    (tmp_path / "own.py").write_text(ONE_THREAD)
    study = compare("sgd:lr=0.1", f"{tmp_path}/own.py:Own", seeds=8, steps=8, jobs=2, backend="threading")
    assert [run.error for run in study.runs] == [None] * 9
