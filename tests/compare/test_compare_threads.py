"""Runs on one thread of every library, whoever makes them, whenever it is loaded, and whoever else sets threads."""

import os
import subprocess
import sys

import pytest

from support import environment, script

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core"),
]
TWO = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
ONE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

# SciPy's own BLAS is loaded at the third step. The loss tells how many threads the fullest pool has.
LATE = """
import numpy as np
from threadpoolctl import threadpool_info

class P:
    params = np.ones(2)

    def __init__(self, seed):
        self.steps = 0

    def value_and_grad(self, x):
        self.steps += 1
        if self.steps == 3:
            import scipy.linalg
        return max(pool["num_threads"] for pool in threadpool_info()) + float(x @ x), 2 * x
"""
STUDY = """if True:
    import sys
    from gradstep.compare import compare
    if __name__ == "__main__":
        path, jobs, backend = sys.argv[1:]
        assert "scipy.linalg" not in sys.modules
        study = compare("sgd:lr=0.1", f"{path}:P", seeds=3, steps=5, jobs=int(jobs), backend=backend)
        print([(run.error, run.batch_loss) for run in study.runs])
"""
COUNT = """
import threading, threadpoolctl, numpy
from gradstep.compare.one_thread import OneThread

def most():
    return max(pool["num_threads"] for pool in threadpoolctl.threadpool_info())
"""


@pytest.mark.parametrize(("jobs", "backend"), [(1, "loky"), (2, "loky"), (2, "threading"), (2, "multiprocessing")])
def test_a_library_that_a_run_loads_has_one_thread_from_its_first_number(jobs, backend, tmp_path):
    (tmp_path / "own.py").write_text(LATE)
    call = [sys.executable, "-c", STUDY, f"{tmp_path}/own.py", str(jobs), backend]
    two, one = (
        subprocess.run(call, env=environment(**threads), capture_output=True, text=True, check=True)
        for threads in (TWO, ONE)
    )
    assert "None" in two.stdout
    assert (two.stdout, two.stderr) == (one.stdout, "")


def test_another_thread_that_has_set_openblas_does_not_keep_it():
    code = """if True:
        there, over = threading.Event(), threading.Event()

        def other():
            threadpoolctl.threadpool_limits(2)
            there.set()
            over.wait()

        thread = threading.Thread(target=other)
        thread.start()
        there.wait()
        with OneThread():
            print(most())
        print(most())
        over.set()
        threadpoolctl.threadpool_limits(1)  # nobody holds it afterwards
        print(most())
    """
    assert script(COUNT + code, **TWO).split() == ["1", "2", "1"]


def test_blocks_of_threads_that_overlap_stay_on_one_thread_until_the_last_has_ended():
    code = """if True:
        inside, over = threading.Event(), threading.Event()

        def other():
            with OneThread():
                inside.set()
                over.wait()
                print(most())

        thread = threading.Thread(target=other)
        with OneThread():
            thread.start()
            inside.wait()
        over.set()
        thread.join()
        print(most())
    """
    assert script(COUNT + code, **TWO).split() == ["1", "2"]


def test_a_block_within_a_block_changes_nothing():
    code = """if True:
        with OneThread() as outer:
            with OneThread():
                pass
            print(most(), outer.look())
        print(most())
    """
    assert script(COUNT + code, **TWO).split() == ["1", "False", "2"]
