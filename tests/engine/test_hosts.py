"""What a threaded step does to the process that it runs in: forks, many threads, one core, signals, the end.

Each test is a process of its own, which must end in time: a hang is a failure, and so is a crash.
"""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import gradstep as gs
from support import SOURCE

pytest.importorskip("gradstep.engine.cpu.compiled")
threads = pytest.importorskip("gradstep.engine.cpu.threads")
pytestmark = [pytest.mark.process, pytest.mark.skipif(not threads.is_available(), reason="no helpers here")]

# Large steps, in two threads or more, and what they should give: the same on one thread.
START = """
import ctypes, os, signal, sys, threading, time
import numpy as np, gradstep as gs
from gradstep.engine.cpu import helpers
N = 300_001
G = np.linspace(-1.0, 1.0, N)
class Run:
    def __init__(self, threads=3, n=N):
        self.w = np.linspace(1.0, 2.0, n)
        self.g = np.resize(G, n)
        self.opt = gs.Optimizer(self.w, "adam", lr=0.01, threads=threads)
    def __call__(self, steps=1):
        for _ in range(steps):
            self.opt.step(self.g)
        return self
    def __eq__(self, other):
        state, its = (x.opt.state["params"] for x in (self, other))
        return self.opt.t == other.opt.t and bool((self.w == other.w).all()) and all(
            bool((state[k] == its[k]).all()) for k in state)
def alone(steps, n=N):
    return Run(1, n)(steps)
def made():
    return [x for x in threading.enumerate() if x.name.startswith("gradstep")]
"""


SAY = "\nprint(time.time(), flush=True)\n"  # when the end begins


def child(code, *, timeout=30.0, code_at_end=0, **environment):
    """Run Python code in a process; its standard output. It should end in time, with that exit code."""
    env = {**os.environ, "PYTHONPATH": str(SOURCE), **environment}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "faulthandler", "-c", START + code],
        capture_output=True,
        text=True,
        env=env,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == code_at_end, (done.returncode, done.stdout[-500:], done.stderr[-3000:])
    return done


def said(code, **options):
    """The words that a process prints."""
    return child(code, **options).stdout.split()


class TestForks:
    def test_a_child_makes_helpers_of_its_own(self):
        code = """
run = Run()(2)
assert len(made()) == 2
pid = os.fork()
if pid == 0:
    signal.alarm(10)
    good = not made() and run(2) == alone(4) and len(made()) == 2
    again = os.fork()
    if again == 0:
        os._exit(0 if run(2) == alone(6) else 1)
    os._exit(0 if good and os.waitpid(again, 0)[1] == 0 else 1)
assert os.waitpid(pid, 0)[1] == 0
assert run(2) == alone(4) and len(made()) == 2
"""
        child(code)

    def test_a_child_that_ends_as_usual(self):
        code = """
run = Run()(2)
pid = os.fork()
signal.alarm(10)
run(1)
if pid:
    assert os.waitpid(pid, 0)[1] == 0
print("end")  # both come to the end of the program, and of the interpreter
"""
        assert said(code) == ["end", "end"]

    def test_a_fork_in_a_thread_while_another_steps(self):
        code = """
run, other, stop = Run(), Run()(1), threading.Event()
def steps():
    while not stop.is_set():
        run()
stepping = threading.Thread(target=steps)
stepping.start()
good = []
def fork():
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)
            os._exit(0 if Run()(2) == alone(2) and other(1) == alone(2) else 1)
        good.append(os.waitpid(pid, 0)[1] == 0)
forking = threading.Thread(target=fork)
forking.start(); forking.join(); stop.set(); stepping.join()
assert good == [True] * 3, good
assert run == alone(run.opt.t)
"""
        child(code)

    def test_a_fork_in_the_midst_of_a_step_of_the_same_optimizer(self):
        code = """
run, inside, end, parent = Run()(1), threading.Event(), threading.Event(), os.getpid()
def waiting(t):
    if os.getpid() == parent:
        inside.set()
        end.wait()
    return 0.01
run.opt.lr = waiting
other = threading.Thread(target=run)
other.start()
inside.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(5)
    run(1)
    os._exit(0 if run == alone(2) else 1)
end.set()
other.join()
assert os.waitpid(pid, 0)[1] == 0
assert run == alone(2)
"""
        child(code)

    def test_a_fork_while_another_thread_compiles(self):
        code = """
from gradstep.engine.cpu import native
Run()(1)
with native._lock:
    pid = os.fork()
    if pid == 0:
        signal.alarm(5)
        w = np.ones(3)
        gs.Optimizer(w, gs.chain(gs.clip_by_norm(0.25), gs.radam)).step(w)
        os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
        child(code)

    @pytest.mark.parametrize("method", ["fork", "spawn"])
    def test_multiprocessing(self, method, tmp_path):
        (tmp_path / "work.py").write_text(START + "def work(_):\n    return Run()(2) == alone(2)\n")
        (tmp_path / "main.py").write_text(f"""
import multiprocessing, threading
from work import Run, alone, work
if __name__ == "__main__":
    run = Run()(1)
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        assert pool.map(work, range(2)) == [True] * 2
        assert run(1) == alone(2)
""")
        done = subprocess.run(
            [sys.executable, str(tmp_path / "main.py")],
            env={**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{tmp_path}"},
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        assert done.returncode == 0, done.stderr


class TestManyThreads:
    def test_eight_optimizers_at_once(self):
        code = """
runs = [Run(threads=1 + k % 4, n=N + 5000 * k) for k in range(8)]
threads = [threading.Thread(target=run, args=(12,)) for run in runs]
for x in threads: x.start()
for x in threads: x.join()
assert all(run == alone(12, N + 5000 * k) for k, run in enumerate(runs))
"""
        child(code)

    def test_one_optimizer_for_eight(self):
        code = """
run = Run()
threads = [threading.Thread(target=run, args=(5,)) for _ in range(8)]
for x in threads: x.start()
for x in threads: x.join()
assert run == alone(40)
"""
        child(code)

    def test_the_thread_that_made_the_helpers_ends(self):
        code = """
run = Run()
for _ in range(3):
    x = threading.Thread(target=run); x.start(); x.join()
assert run(1) == alone(4) and len(made()) == 2
"""
        child(code)

    @pytest.mark.parametrize("threads", [None, 3])
    def test_one_core_from_now_on(self, threads):
        code = f"""
run = Run(3)(1)
for x in made():
    os.sched_setaffinity(x.native_id, {{min(os.sched_getaffinity(0))}})
os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
assert gs.get_threads() == 1
run.opt._step._engine.threads = {threads}
assert run(10) == alone(11)
"""
        child(code)

    def test_a_thread_that_keeps_the_gil(self):
        code = """
library = ctypes.PyDLL(None)  # calls keep the GIL
stop = threading.Event()
def hold():
    while not stop.is_set():
        library.usleep(20_000)
def count():
    while not stop.is_set():
        sum(range(10_000))
others = [threading.Thread(target=f) for f in (hold, count)]
for x in others: x.start()
run = Run()(3)
stop.set()
for x in others: x.join()
assert run == alone(3)
"""
        child(code)

    def test_a_helper_that_was_interrupted_at_its_birth(self):
        """Ctrl-C in the start of a helper: no mailbox may come to have two of them."""
        code = """
start = threading.Thread.start
def interrupted(self):
    start(self)
    threading.Thread.start = start
    raise KeyboardInterrupt
threading.Thread.start = interrupted
run = Run(2)
try:
    run()
except KeyboardInterrupt:
    assert run.opt.t == 0
else:
    raise AssertionError
assert run(20) == alone(20)
assert len({x.name for x in made()}) == len(made()), made()
"""
        child(code)

    def test_a_system_without_threads(self):
        code = """
asked = []
def start(self):
    asked.append(self)
    raise RuntimeError("can't start new thread")
threading.Thread.start = start
run = Run()(3)
assert run == alone(3) and not made()
assert len(asked) == 1  # and never again
"""
        child(code)

    def test_after_torch_and_before(self):
        pytest.importorskip("torch")
        code = """
import torch
a = torch.ones(300, 300)
run = Run()
for _ in range(10):
    b = a @ a
    run()
    b = b @ a
assert run == alone(10) and float(b[0, 0]) == 90_000.0
"""
        child(code)


class TestTheEnd:
    """The exit code is right, there is no crash, and no delay."""

    def ended(self, code, code_at_end=0, text=""):
        done = child(code if "time.time()" in code else code + SAY, code_at_end=code_at_end)
        took = time.time() - float(done.stdout.split()[-1])
        assert took < 5.0, took
        assert text in done.stderr
        assert "Fatal" not in done.stderr
        return done

    def test_helpers_asleep(self):
        self.ended("run = Run(8)(2); time.sleep(0.05)")

    def test_right_after_a_step(self):
        self.ended("print(time.time(), flush=True); Run(8)(2)")

    def test_a_daemon_thread_in_the_midst_of_steps(self):
        code = """
run = Run(3, 3_000_000)
threading.Thread(target=run, args=(10**9,), daemon=True).start()
while not run.opt.t: time.sleep(0.01)
"""
        for _ in range(2):
            self.ended(code)

    def test_a_thread_that_is_waited_for(self):
        self.ended("threading.Thread(target=Run(), args=(5,)).start()")

    def test_sys_exit_in_a_thread(self):
        code = "def f():\n    Run()(2); print(time.time(), flush=True); sys.exit(5)\n"
        self.ended(code + "threading.Thread(target=f).start()")

    def test_sys_exit(self):
        self.ended("Run()(2); print(time.time(), flush=True); sys.exit(5)", 5)

    def test_at_once(self):
        self.ended("Run()(2); print(time.time(), flush=True); os._exit(7)", 7)

    def test_an_exception(self):
        self.ended("Run()(2); print(time.time(), flush=True); 1 / 0", 1, "ZeroDivisionError")

    def test_a_signal(self):
        self.ended("Run()(2); print(time.time(), flush=True); os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM)

    def test_steps_in_the_last_moments(self):
        code = """
import atexit
early = Run()
atexit.register(lambda: print(early(2) == alone(2), time.time(), flush=True))  # runs when the helpers are gone
Run()(2)
class Last:
    def __del__(self, run=Run(), alone=alone):
        print(run(2) == alone(2), time.time(), flush=True)
last = Last()
"""
        done = self.ended(code)
        assert done.stdout.split()[::2] == ["True", "True"]

    def test_the_first_step_of_all_at_exit(self):
        code = "import atexit\natexit.register(lambda: print(Run()(2) == alone(2), time.time(), flush=True))"
        assert self.ended(code).stdout.split()[0] == "True"


class TestSignals:
    @pytest.mark.parametrize(
        ("threads", "strided", "tx"),
        [
            (1, False, '"adam"'),
            (2, False, '"adam"'),
            (1, True, '"adam"'),
            (2, True, "gs.chain(gs.clip_by_global_norm(1.0), gs.adam, gs.ema)"),
        ],
    )
    def test_an_interrupt_leaves_whole_steps(self, threads, tx, strided):
        """Ctrl-C comes while compiled code runs, and is seen right after it: t must already count that step."""
        code = f"""
n = 400_000
def make(threads):
    w = np.ones(2 * n)[::2] if {strided} else np.ones(n)
    return w, gs.Optimizer(w, {tx}, threads=threads)
g = np.linspace(-1, 1, n)
bad = 0
for trial in range(4):
    w, opt = make({threads})
    opt.step(g)
    timer = threading.Timer(0.005 * (1 + trial), os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        while True: opt.step(g)
    except KeyboardInterrupt:
        pass
    v, twin = make(1)
    for _ in range(opt.t): twin.step(g)
    same = [(w == v).all(), *((opt.state["params"][k] == x).all() for k, x in twin.state["params"].items())]
    bad += not all(same)
print(bad)
"""
        assert said(code) == ["0"]

    def test_an_interrupt_that_nobody_catches(self):
        code = "run = Run(2, 2_000_000)(1)\nprint('ready', flush=True)\nrun(10**9)"
        env = {**os.environ, "PYTHONPATH": str(SOURCE)}
        with subprocess.Popen(
            [sys.executable, "-c", START + code], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                time.sleep(0.1)
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=10)
            finally:
                process.kill()
        assert process.returncode == -signal.SIGINT
        assert errors.rstrip().endswith("KeyboardInterrupt")

    def test_a_signal_that_the_host_blocks_and_waits_for(self):
        """Helpers leave the host's signals alone: one of them would let it through, and that ends the process."""
        code = """
Run(2)(2)
assert made() and len(os.listdir("/proc/self/task")) == 2  # no other library's
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
os.kill(os.getpid(), signal.SIGUSR1)
print(signal.sigwait([signal.SIGUSR1]) == signal.SIGUSR1)
"""
        assert said(code, OPENBLAS_NUM_THREADS="1") == ["True"]


class TestQuiet:
    def test_no_helper_before_it_is_needed(self):
        code = """
assert not made()
small = Run(8, 14_000)(3)
one = Run(1)(3)
assert not made() and threading.active_count() == 1 and len(os.listdir("/proc/self/task")) == 1
gs.set_threads(1)
Run(None)(1)
assert not made()
Run(2)(1)
assert len(made()) == 1 and all(x.daemon for x in made())
"""
        child(code, OPENBLAS_NUM_THREADS="1")

    def test_helpers_asleep_cost_nothing(self):
        code = """
run = Run(8)(20)
time.sleep(0.05)
before = time.process_time()
time.sleep(0.5)
print(len(made()), time.process_time() - before)
"""
        many, spent = said(code)
        assert many == "7"  # as many as the step is worth, and its own thread
        assert float(spent) < 0.02


class TestMemory:
    """A step takes no memory of the size of its arrays."""

    @pytest.mark.parametrize(("many", "size"), [(1, 10_000_000), (100, 100_000)])
    @pytest.mark.parametrize("plain", ["", "1"])
    def test_the_peak_of_the_process(self, many, size, plain):
        code = f"""
def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))
def fresh():
    return [np.full({size}, 0.5, "f4") for _ in range({many})]
params = fresh()
opt = gs.Optimizer(params, "sgd", threads=2)
opt.step(fresh())
grads = fresh()
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = status("VmRSS")
opt.step(grads)
print(status("VmHWM") - before)
"""
        (extra,) = said(code, GRADSTEP_PLAIN=plain)
        assert int(extra) <= 1024, "KiB"

    def test_what_numpy_allocates(self):
        code = """
import tracemalloc
params = [np.ones(100_000, "f4") for _ in range(50)]
opt = gs.Optimizer(params, gs.chain(gs.clip_by_global_norm(1.0), gs.adam), threads=2)
opt.step([np.ones(100_000, "f4") for _ in params])
grads = [np.ones(100_000, "f4") for _ in params]
tracemalloc.start()
opt.step(grads)
mine = tracemalloc.get_traced_memory()[1]
tracemalloc.reset_peak()
kept = np.ones(1_000_000)
print(mine, tracemalloc.get_traced_memory()[1])
"""
        mine, seen = map(int, said(code))
        assert seen > 8_000_000, "it does see arrays"
        assert mine < 2**19


def test_the_twin_can_tell():
    """What the processes compare with does tell a step more from a step less."""
    env = {"__name__": "x"}
    exec(START, env)  # noqa: S102 - the text above
    run, alone = env["Run"], env["alone"]
    assert run(1)(2) == alone(2)
    assert run(1)(2) != alone(3)
    other = run(1)(2)
    other.w[7] = np.nextafter(other.w[7], 9.0)
    assert other != alone(2)
    assert gs.Optimizer(np.ones(2), "adam", threads=2).t == 0
