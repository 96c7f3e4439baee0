"""Threads of a step: the same bits for any number of them, and proof that they took part."""

import ctypes
import os
import platform
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs
from support import SOURCE, bits, fingerprint, mapped, normal, script

compiled = pytest.importorskip("gradstep.engine.cpu.compiled")
helpers = pytest.importorskip("gradstep.engine.cpu.helpers")
from gradstep.array.reduction import BLOCK  # noqa: E402
from gradstep.engine.cpu import job as at  # noqa: E402 - needs what is imported above
from gradstep.engine.cpu import native, team  # noqa: E402
from gradstep.engine.cpu import threads as settings  # noqa: E402

pytestmark = pytest.mark.skipif(not settings.is_available(), reason="no helpers here")

GRAIN = SHORT = 16 * BLOCK  # elements of the cheapest step, SGD in float32, that make a further thread worth waking
CHUNK = compiled.CHUNK
COLUMN = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
CHAIN = gs.chain(gs.clip_by_global_norm(1.0), gs.adamw(lr=1e-3), gs.ema(decay=0.9))
EACH = gs.chain(gs.clip_by_norm(0.5), gs.nadam(lr=0.01))


class Spy:
    """Stands before the compiled functions of an optimizer's portions and writes down which thread does what.

    The first ``meeting`` calls of each phase wait for one another: so that many threads take part, or the wait breaks.
    ``before(column, count)`` runs in each call, before the compiled function.
    """

    def __init__(self, opt, meeting=1, before=None):
        self.meeting, self.before, self.lock, self.kept = meeting, before, threading.Lock(), []
        self.log = []
        self.meetings = {}
        self.portions = opt._step._engine.portions
        for column in range(at.LOOK, self.portions.shape[1]):
            for place in set(self.portions[:, column].tolist()):
                function = COLUMN(self._spied(COLUMN(place), column))
                self.kept.append(function)
                own = self.portions[:, column] == place
                self.portions[own, column] = ctypes.cast(function, ctypes.c_void_p).value

    def _spied(self, function, column):
        def call(job, first, last):
            who = threading.get_native_id()
            with self.lock:
                count, meeting = self.meetings.setdefault(column, [0, threading.Barrier(self.meeting)])
                self.meetings[column][0] += 1
                self.log.append(("in", column, first, who))
            if count < self.meeting:
                meeting.wait(10)
            if self.before is not None:
                self.before(column, count)
            answer = function(job, first, last)
            with self.lock:
                self.log.append(("out", column, first, who))
            return answer

        return call

    def threads(self, column=None):
        """Who took part."""
        return {who for _, c, _, who in self.log if column in (None, c)}


def nest(sizes, dtype):
    rng = np.random.default_rng(sum(sizes))
    params = {f"w{k}": rng.normal(size=n).astype(dtype) for k, n in enumerate(sizes)}
    return params, mapped(params, lambda x: normal(rng, x))


def stepped(sizes, tx, dtype, threads, steps=2, engine="compiled", **options):
    params, grads = nest(sizes, dtype)
    opt = gs.Optimizer(params, tx, threads=threads, engine=engine, **options)
    for _ in range(steps):
        opt.step(grads)
    return fingerprint(opt)


ODD = [8 * GRAIN + 17, 3, 0, CHUNK - 1, CHUNK + 1, 5, 5, 1]
THRESHOLDS = [SHORT - 1, SHORT, SHORT + 1, 2 * GRAIN + CHUNK + 1, 3 * GRAIN - 1, 3 * GRAIN, 4 * GRAIN + 4095]


class TestBits:
    @pytest.mark.parametrize(("tx", "dtype"), [("adam", "f4"), ("adam", "f8"), (CHAIN, "f4"), (EACH, "f8")])
    def test_any_number_of_threads(self, tx, dtype):
        params, grads = nest(ODD, dtype)
        reference = gs.Optimizer(params, tx, engine="eager")
        for _ in range(2):
            reference.step(grads)
        for n in (1, 2, 3, 4, 8):
            params, grads = nest(ODD, dtype)
            opt = gs.Optimizer(params, tx, threads=n)
            opt.step(grads)
            spy = Spy(opt, n)
            opt.step(grads)
            for column in {c for _, c, _, _ in spy.log}:
                assert len(spy.threads(column)) == n
            assert fingerprint(opt) == fingerprint(reference), n

    @pytest.mark.parametrize("size", THRESHOLDS)
    def test_sizes_about_the_thresholds(self, size):
        seen = {stepped([size], CHAIN, "f4", n) for n in (1, 2, 8)}
        assert seen == {stepped([size], CHAIN, "f4", None, engine="eager")}
        assert {stepped([size], "adam", "f4", n, on_nonfinite="ignore") for n in (1, 8)} == {
            stepped([size], "adam", "f4", 2)
        }

    def test_many_small_tensors(self):
        sizes = [700 + k % 7 for k in range(200)]
        assert len({stepped(sizes, CHAIN, "f8", n) for n in (1, 2, 3, 8)}) == 1

    def test_sizes_that_take_several_threads(self):
        taken = {}
        for size in THRESHOLDS:
            w = np.ones(size, "f4")
            opt = gs.Optimizer(w, "sgd", threads=8)
            several = min(8, size // GRAIN) if size > SHORT else 1
            spy = Spy(opt, several)
            opt.step(np.ones(size, "f4"))
            taken[size] = len(spy.threads())
        assert taken == {size: size // GRAIN if size > SHORT else 1 for size in THRESHOLDS}
        assert max(taken.values()) >= 4

    @pytest.mark.parametrize(
        ("tx", "dtype", "size"),
        [("sgd", "f4", 2 * GRAIN), ("sgd", "f8", GRAIN), ("adam", "f4", 45_000), ("adam", "f8", 15_000),
         ("adadelta", "f8", 11_000)],
        ids=str,
    )  # fmt: skip
    def test_work_wakes_a_second_thread_not_the_number_of_elements(self, tx, dtype, size):
        """The sizes at which a step takes about 25 microseconds on one thread."""

        def threads(n):
            opt = gs.Optimizer(np.ones(n, dtype), tx, lr=0.1, threads=2)
            spy = Spy(opt, min(2, opt._step._engine.several))
            opt.step(np.ones(n, dtype))
            return len(spy.threads())

        assert threads(size + 2 * BLOCK) == 2
        assert threads(size // 2) == 1

    def test_another_dtype_computed_beside(self):
        def run(threads):
            rng = np.random.default_rng(3)
            params = {"a": rng.normal(size=3 * GRAIN).astype("f4"), "b": rng.normal(size=(7, GRAIN)),
                      "c": rng.normal(size=GRAIN) * (1 + 2j), "d": rng.normal(size=(2 * CHUNK, 2))[:, 0]}  # fmt: skip
            opt = gs.Optimizer(params, CHAIN, threads=threads)
            for _ in range(3):
                opt.step(mapped(params, lambda x: normal(rng, x)))
            return fingerprint(opt)

        assert len({run(n) for n in (1, 2, 8)}) == 1


class TestPhases:
    def test_nobody_writes_before_all_have_looked(self):
        """The last portion of the first phase takes long: the second waits for it."""
        w = np.ones(8 * GRAIN)
        opt = gs.Optimizer(w, "sgd", threads=3)
        spy = Spy(opt, 3, lambda column, count: time.sleep(0.03 if (column, count) == (at.LOOK, 15) else 0))
        opt.step(np.ones(w.size))
        order = [(what, column) for what, column, _, _ in spy.log]
        assert order.index(("in", at.APPLY)) > max(k for k, x in enumerate(order) if x == ("out", at.LOOK))
        assert len([x for x in order if x == ("in", at.APPLY)]) == len(spy.portions)

    @pytest.mark.parametrize("place", [0, 3 * GRAIN, -1])
    @pytest.mark.parametrize("tx", ["adam", CHAIN], ids=["adam", "chain"])
    def test_a_bad_gradient_anywhere_stops_all(self, place, tx):
        w = np.ones(6 * GRAIN)
        opt = gs.Optimizer(w, tx, threads=3)
        spy = Spy(opt, 3)
        g = np.ones(w.size)
        opt.step(g)
        before = fingerprint(opt)
        spy.log.clear()
        g[place] = np.inf
        for _ in range(3):
            with pytest.raises(gs.NonFiniteError, match=rf"\[{place % w.size}\] = inf; nothing was changed"):
                opt.step(g)
        assert fingerprint(opt) == before
        assert not spy.threads(at.APPLY)
        g[place] = 1.0
        opt.step(g)
        assert opt.t == 2

    def test_each_portion_is_done_once(self):
        opt = gs.Optimizer(nest(ODD, "f4")[0], "adam", threads=8)
        spy = Spy(opt, 8)
        opt.step(nest(ODD, "f4")[1])
        for column in (at.LOOK, at.APPLY):
            done = [first for what, c, first, _ in spy.log if (what, c) == ("out", column)]
            assert sorted(done) == spy.portions[:, at.BEGIN].tolist()

    def test_mailboxes_are_empty_after_a_step(self):
        w = np.ones(8 * GRAIN)
        opt = gs.Optimizer(w, "sgd", threads=8)
        for _ in range(50):
            opt.step(w)
            assert not helpers._helpers().lines[1:, at.TASK].any()


def lives(thread):
    """A thread that was told to end and has not: one that slept through it would do so for ever, a busy machine not."""
    thread.join(10)
    return thread.is_alive()


class TestHelpersThatDoNotCome:
    @pytest.fixture(autouse=True)
    def own_team(self, monkeypatch):
        monkeypatch.setattr(helpers, "_teams", {})

    def test_mailboxes_without_a_thread(self, monkeypatch):
        monkeypatch.setattr(helpers._Helpers, "ready", lambda self, wanted: wanted)
        seen = {stepped(ODD, CHAIN, "f8", n) for n in (1, 4, 64)}
        assert len(seen) == 1
        assert helpers._helpers().lines[1, at.BELL] > 0  # they were asked
        assert not helpers._helpers().lines[1:, at.TASK].any()  # and the job was taken back
        assert not helpers._helpers().threads

    def test_helpers_that_are_at_work_for_others(self, monkeypatch):
        monkeypatch.setattr(helpers._Helpers, "ready", lambda self, wanted: wanted)
        helpers._helpers().lines[1:, at.TASK] = 8
        assert len({stepped(ODD, CHAIN, "f8", n) for n in (1, 4, 64)}) == 1
        assert (helpers._helpers().lines[1:, at.TASK] == 8).all()

    def test_threads_that_cannot_be_started(self, monkeypatch):
        asked = []

        def start(self):
            asked.append(self)
            raise RuntimeError("can't start new thread")

        expected = stepped(ODD, CHAIN, "f8", 1, steps=3)
        monkeypatch.setattr(threading.Thread, "start", start)
        assert stepped(ODD, CHAIN, "f8", 4, steps=3) == expected
        assert len(asked) == 1

    def test_only_as_many_as_can_be_started(self, monkeypatch):
        start = threading.Thread.start
        left = [2]

        def scarce(self):
            if not left[0]:
                raise RuntimeError("can't start new thread")
            left[0] -= 1
            start(self)

        monkeypatch.setattr(threading.Thread, "start", scarce)
        w = np.ones(8 * GRAIN)
        opt = gs.Optimizer(w, "sgd", threads=8)
        spy = Spy(opt, 3)
        opt.step(np.ones(w.size))
        assert len(spy.threads()) == 3

    def test_stopped_helpers_end_and_steps_go_on(self):
        w = np.ones(8 * GRAIN)
        opt = gs.Optimizer(w, "sgd", threads=4)
        opt.step(w)
        own = helpers._helpers()
        made = list(own.threads)
        assert len(made) == 3
        own.stop()
        assert not any(lives(x) for x in made)
        opt.step(w)
        assert not own.threads
        assert opt.t == 2

    def test_helpers_stop_at_any_moment(self):
        w = np.ones(2 * GRAIN + 1)
        opt = gs.Optimizer(w, "sgd", threads=2)
        for _ in range(40):
            own = helpers._Helpers()
            helpers._teams[own.process] = own
            opt.step(w)
            (made,) = own.threads
            own.stop()
            assert not lives(made)

    def test_the_bell_is_read_before_all_that_it_rings_for(self):
        """In the other order a stop between the two is slept through: too rarely to wait for it here."""
        serve = team.emit(native.triple()).partition('@"serve"')[2].partition("\n}")[0]
        words = [int(n) // 8 for n in re.findall(r'add i64 %"\.2", (\d+)', serve)]
        places = [words.index(word) for word in (at.BELL, at.STOP)]
        assert places == sorted(places)


class TestNumbers:
    @pytest.fixture(autouse=True)
    def by_machine(self, monkeypatch):
        for name in ("GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)
        gs.set_threads(None)
        yield
        gs.set_threads(None)

    @pytest.mark.process
    def test_the_cores_of_the_process(self):
        code = """
import os, gradstep as gs
many = os.sched_getaffinity(0)
assert gs.get_threads() == min(64, len(many))
os.sched_setaffinity(0, {min(many)})
assert gs.get_threads() == 1
os.sched_setaffinity(0, many)
assert gs.get_threads() == min(64, len(many))
gs.set_threads(7)
os.sched_setaffinity(0, {min(many)})
assert gs.get_threads() == 7
"""
        script(code, GRADSTEP_NUM_THREADS="", OMP_NUM_THREADS="")

    @pytest.mark.process
    @pytest.mark.parametrize("own", ["GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS"])
    def test_a_process_with_a_variable(self, own):
        code = """
import threading, numpy as np, gradstep as gs
w = np.ones(300_000)
opt = gs.Optimizer(w, "adam")
opt.step(w.copy())
print(gs.get_threads(), sum(x.name.startswith("gradstep") for x in threading.enumerate()))
"""
        both = {"GRADSTEP_NUM_THREADS": "", "OMP_NUM_THREADS": "5", own: "3"}
        assert script(code, **both).split() == ["3", "2"]

    @pytest.mark.parametrize(
        ("text", "n"),
        [("3", 3), (" 3 ", 3), ("4,2", 4), ("007", 7), ("1000000", 64), ("9" * 5000, None), ("0", None), ("-1", None),
         ("", None), ("many", None), ("2.5", None), ("1e3", None), ("\u00b2", None)],
    )  # fmt: skip
    def test_what_stands_in_the_variables(self, monkeypatch, text, n):
        usual = gs.get_threads()
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert gs.get_threads() == (n or usual)
        monkeypatch.setenv("GRADSTEP_NUM_THREADS", "2")
        assert gs.get_threads() == 2
        gs.set_threads(3)
        assert gs.get_threads() == 3
        gs.set_threads(None)
        assert gs.get_threads() == 2

    @pytest.mark.parametrize(
        ("n", "error", "text"),
        [
            (0, gs.GradstepValueError, "threads must be at least 1, not 0."),
            (-1, gs.GradstepValueError, "threads must be at least 1, not -1."),
            (True, gs.GradstepTypeError, "threads must be an integer, not True."),
            (1.5, gs.GradstepTypeError, "threads must be an integer, not 1.5."),
            ("2", gs.GradstepTypeError, "threads must be an integer, not '2'."),
        ],
    )
    def test_what_is_no_number_of_threads(self, n, error, text):
        usual = gs.get_threads()
        for use in (gs.set_threads, lambda n: gs.Optimizer(np.ones(2), "adam", threads=n)):
            with pytest.raises(error) as caught:
                use(n)
            assert str(caught.value) == text
        assert gs.get_threads() == usual

    def test_any_large_number_is_capped(self):
        gs.set_threads(10**9)
        assert gs.get_threads() == settings.MOST
        w, v = np.ones(3 * GRAIN), np.ones(3 * GRAIN)
        gs.Optimizer(w, "adam", threads=10**9).step(np.ones(w.size))
        gs.Optimizer(v, "adam", threads=1).step(np.ones(w.size))
        assert bits(w) == bits(v)

    def test_an_optimizers_own_number_comes_first(self):
        w = np.ones(8 * GRAIN)
        for own, shared, n in ((3, 1, 3), (1, 3, 1), (None, 3, 3)):
            opt = gs.Optimizer(w, "sgd", threads=own)
            spy = Spy(opt, n)
            gs.set_threads(shared)
            opt.step(np.ones(w.size))
            assert len(spy.threads()) == n

    @pytest.mark.parametrize("name", ["darwin", "win32"])
    def test_systems_without_helpers(self, monkeypatch, name):
        w = np.ones(8 * GRAIN)
        opt = gs.Optimizer(w, "sgd", threads=4)
        gs.set_threads(4)
        monkeypatch.setattr("sys.platform", name)
        monkeypatch.setattr(helpers, "lead", None)
        assert gs.get_threads() == 1
        opt.step(np.ones(w.size))
        assert opt.t == 1


MODES = """
import numpy as np, threading
import gradstep as gs
from gradstep.engine.cpu import native
from engine.test_threads import Spy
assembly = '''
target triple = "%s"
declare void @llvm.x86.sse.ldmxcsr(ptr)
declare void @llvm.x86.sse.stmxcsr(ptr)
define i64 @swap(i64 %%new) {
  %%place = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %%place)
  %%old = load i32, ptr %%place
  %%short = trunc i64 %%new to i32
  store i32 %%short, ptr %%place
  call void @llvm.x86.sse.ldmxcsr(ptr %%place)
  %%out = zext i32 %%old to i64
  ret i64 %%out
}
''' % native.triple()
swap = native.kernel(assembly).function("swap", 1)
USUAL = 0x1F80
swap(USUAL)
N = 8 * 32768
tiny = np.linspace(-3e-308, 3e-308, N)
big = np.random.default_rng(0).normal(size=N)
def make(threads):
    w = np.zeros(N)
    return w, gs.Optimizer(w, gs.sgd(lr=0.3), threads=threads, on_nonfinite="ignore")
def steps(opt, mode, g, n=1):
    swap(mode)
    try:
        for _ in range(n): opt.step(g)
    finally:
        swap(USUAL)
"""


@pytest.mark.process
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the control register of x86")
class TestModes:
    """A thread may flush denormals or round otherwise; helpers have modes of their own."""

    def run(self, code, start=MODES, **environment):
        path = f"{SOURCE}{os.pathsep}{Path(__file__).parents[1]}"
        script(start + code, PYTHONPATH=path, **environment)

    @pytest.mark.parametrize("mode", [0x8000, 0x0040, 0x8040, 0x2000, 0x4000, 0x6000])
    def test_a_caller_with_a_mode_of_its_own(self, mode):
        """Flush to zero, denormals are zero, both; round down, up, to zero."""
        code = f"""
g = tiny if {mode} in (0x8000, 0x0040, 0x8040) else big
(w, opt), (v, twin), (u, usual) = make(4), make(1), make(1)
steps(opt, USUAL, g, 2); steps(twin, USUAL, g, 2); steps(usual, USUAL, g, 2)
assert w.tobytes() == v.tobytes()
spy = Spy(opt)
steps(opt, USUAL | {mode}, g, 5); steps(twin, USUAL | {mode}, g, 5); steps(usual, USUAL, g, 5)
assert len(spy.threads()) == 1, "the caller works alone"
assert w.tobytes() == v.tobytes()
assert w.tobytes() != u.tobytes(), "the mode shows"
"""
        self.run(code)

    @pytest.mark.parametrize("mode", [0x8040, 0x4000])
    def test_helpers_made_by_such_a_caller(self, mode):
        """A thread begins with the mode of the thread that makes it."""
        code = f"""
g = tiny if {mode} == 0x8040 else big
(w, opt), (v, twin) = make(4), make(1)
steps(opt, USUAL | {mode}, g); steps(twin, USUAL | {mode}, g)
for _ in range(20):
    steps(opt, USUAL, g); steps(twin, USUAL, g)
assert w.tobytes() == v.tobytes()
"""
        self.run(code)

    def test_an_engine_compiled_by_such_a_caller(self, tmp_path):
        """Even Python's own constants are others then; all the same it has its threads when steps are made as usual."""
        code = """
swap(USUAL | 0x8040)
w, opt = make(4)
swap(USUAL)
from engine.test_threads import Spy
spy = Spy(opt, 4)
steps(opt, USUAL, big)
assert len(spy.threads()) == 4
"""
        start = MODES.replace("from engine.test_threads import Spy\n", "")
        self.run(code, start, PYTHONPYCACHEPREFIX=str(tmp_path))

    def test_torch_flushes(self):
        pytest.importorskip("torch")
        code = """
import torch
(w, opt), (v, twin), (u, usual) = make(4), make(1), make(1)
steps(opt, USUAL, tiny); twin.step(tiny); usual.step(tiny)
spy = Spy(opt)
torch.set_flush_denormal(True)
opt.step(tiny); twin.step(tiny)
torch.set_flush_denormal(False)
usual.step(tiny)
assert w.tobytes() == v.tobytes() != u.tobytes()
"""
        self.run(code)
