"""P11: safe with fork, spawn, forkserver, loky and threads, each with steps before and inside."""

import multiprocessing
import os
import subprocess
import sys

import pytest

from promises.conftest import PATH
from promises.hosts import Run

pytestmark = pytest.mark.process

MULTI = """
import sys, multiprocessing
from promises.hosts import Run, work
if __name__ == "__main__":
    run = Run(3).step(2)
    assert run.sha() == work()
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        found = pool.map(work, range(4))
    again = run.step(1).sha()
    print(*{x for _, x in found}, again[1])
"""
LOKY = """
from joblib import Parallel, delayed
from promises.hosts import Run, work
if __name__ == "__main__":
    run = Run(3).step(2)
    assert run.sha() == work()
    found = Parallel(n_jobs=2, backend="loky")(delayed(work)() for _ in range(4))
    again = run.step(1).sha()
    print(*{x for _, x in found}, again[1])
"""
THREADS = """
from concurrent.futures import ThreadPoolExecutor
from promises.hosts import Run, work
run = Run(3).step(2)
assert run.sha() == work()
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(work, range(8)))
again = run.step(1).sha()
print(*{x for _, x in found}, again[1])
"""
LOCKED = """
import os, signal, sys, threading
from gradstep import locks
from promises.hosts import Run
run, inside, end, parent = Run(3).step(1), threading.Event(), threading.Event(), os.getpid()
if sys.argv[1] == "unprotected":
    locks._locks.clear()  # those that the child of a fork opens
def waiting(t):  # in the midst of a step
    if os.getpid() == parent:
        inside.set()
        end.wait()
    return 0.01
run.opt.lr = waiting
other = threading.Thread(target=run.step, args=(1,))
other.start()
inside.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(5)
    run.step(1)
    os._exit(0)
print(os.waitpid(pid, 0)[1])
end.set()
other.join()
"""
WAYS = {method: (MULTI, method) for method in ("fork", "spawn", "forkserver")} | {
    "loky": (LOKY,),
    "8 threads": (THREADS,),
}


def said(folder, code, *arguments):
    """What a program prints that ends as it should."""
    (folder / "main.py").write_text(code)
    call = [sys.executable, str(folder / "main.py"), *arguments]
    done = subprocess.run(
        call, env={**os.environ, "PYTHONPATH": PATH}, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("way", WAYS)
def test_exit_0_and_an_equal_result(way, tmp_path, figure):
    code, *arguments = WAYS[way]
    if arguments and arguments[0] not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {way} here")
    if way == "loky":
        pytest.importorskip("joblib")
    two, three = Run(1).step(2), Run(1).step(2).step(1)
    assert said(tmp_path, code, *arguments) == [two.sha()[1], three.sha()[1]]
    figure("P11", f"{way}: exit 0, result of all workers and of the parent equal to one thread's")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_a_step_holds_the_lock(tmp_path, figure):
    assert said(tmp_path, LOCKED, "product") == ["0"]
    figure("P11", "fork in the midst of another thread's step: the child steps, exit 0")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_control_a_lock_that_knows_nothing_of_forks_hangs(tmp_path, control):
    assert said(tmp_path, LOCKED, "unprotected") == ["14"]  # SIGALRM
    control("P11", "with a lock that stays closed the child of that fork hangs")
