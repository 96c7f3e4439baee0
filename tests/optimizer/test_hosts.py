"""Where an optimizer runs: with and without llvmlite, in many threads, after a fork."""

import threading

import numpy as np
import pytest

import gradstep as gs
from gradstep.engine.cpu.gather import SMALL
from support import (
    ENGINES,
    LONG,
    fingerprint,
    mapped,
    normal,
    numbers,
    script,
)

BY_HAND = """
import hashlib, sys, numpy as np, gradstep as gs
rng = np.random.default_rng(3)
params = {f"w{k}": rng.normal(size=(k, 7)).astype(d) for k, d in enumerate(["f4", "f8", "c8", "f4"])}
tx = gs.chain(
    gs.clip_by_global_norm(1.0), gs.l2(0.1), gs.clip_by_norm(0.5, name="each"), gs.nadam(lr=0.1), gs.decay, gs.ema
)
opt = gs.Optimizer(params, tx)
for _ in range(4):
    opt.step({k: rng.normal(size=x.shape).astype(x.dtype) for k, x in params.items()})
digest = hashlib.sha256()
for x in (*params.values(), *(y for own in opt.state.values() for y in own.values())):
    digest.update(x.tobytes())
print(opt.engine, digest.hexdigest())
"""


class TestEngines:
    def test_auto(self):
        assert gs.Optimizer(np.ones(1), "sgd").engine in ("compiled", "eager")
        assert gs.Optimizer(np.ones(1), "sgd", engine="eager").engine == "eager"

    @pytest.mark.process
    def test_without_llvmlite_the_bits_are_the_same(self):
        here = script(BY_HAND).split()
        there = script(BY_HAND, before="import sys; sys.modules['llvmlite'] = None").split()
        assert there[0] == "eager"
        assert here[0] == ENGINES[0]
        assert here[1] == there[1]

    @pytest.mark.process
    def test_asking_for_what_is_not_there(self):
        code = """
import numpy as np, gradstep as gs
try:
    gs.Optimizer(np.ones(2), "adam", engine="compiled")
except gs.GradstepValueError as error:
    print(error)
"""
        out = script(code, before="import sys; sys.modules['llvmlite'] = None")
        assert out.strip() == "engine=\"compiled\": llvmlite is not installed; pip install 'gradstep[fast]'."

    def test_an_llvmlite_that_does_not_load(self, monkeypatch):
        native = pytest.importorskip("gradstep.engine.cpu.native")

        def broken():
            raise OSError("libLLVM: no such file")

        monkeypatch.setattr(native, "cpu", broken)
        assert gs.Optimizer(np.ones(1), "sgd").engine == "eager"
        with pytest.raises(gs.GradstepValueError, match="llvmlite does not load: libLLVM: no such file"):
            gs.Optimizer(np.ones(1), "sgd", engine="compiled")

    def test_foreign_arrays_are_not_compiled(self):
        strict = pytest.importorskip("array_api_strict")
        w = strict.asarray([1.0, 2.0])
        opt = gs.Optimizer({"w": w, "n": np.ones(2)}, "sgd", lr=1.0)
        assert opt.engine == "eager"
        opt.step({"w": strict.asarray([0.5, 0.5]), "n": np.ones(2)})
        assert np.asarray(w).tolist() == [0.5, 1.5]
        with pytest.raises(gs.GradstepValueError, match='engine="compiled" works on NumPy arrays alone'):
            gs.Optimizer(w, "sgd", engine="compiled")


class TestThreads:
    @staticmethod
    def trained(seed, steps=12):
        rng = np.random.default_rng(seed)
        params = {"a": rng.normal(size=(30, 40)).astype("f4"), "b": rng.normal(size=SMALL + seed), "s": np.array(1.0)}
        opt = gs.Optimizer(params, LONG)
        for _ in range(steps):
            opt.step(mapped(params, lambda x: normal(rng, x)))
        return fingerprint(opt)

    @staticmethod
    def together(*jobs):
        errors = []

        def run(job):
            barrier.wait()
            try:
                job()
            except BaseException as error:
                errors.append(error)

        barrier = threading.Barrier(len(jobs))
        threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors
        assert not any(thread.is_alive() for thread in threads)

    def test_eight_optimizers_at_once(self):
        alone = [self.trained(seed) for seed in range(8)]
        seen = {}
        self.together(*(lambda seed=seed: seen.__setitem__(seed, self.trained(seed)) for seed in range(8)))
        assert [seen[seed] for seed in range(8)] == alone

    def test_one_optimizer_for_eight(self):
        w, v = numbers(SMALL + 9), numbers(SMALL + 9)
        g = np.linspace(-1.0, 1.0, w.size)
        opt, twin = gs.Optimizer(w, "nadam"), gs.Optimizer(v, "nadam")
        self.together(*[lambda: [opt.step(g) for _ in range(10)]] * 8)
        for _ in range(80):
            twin.step(g)
        assert fingerprint(opt) == fingerprint(twin)

    def test_a_refusal_in_one_thread_holds_up_no_other(self):
        opt = gs.Optimizer(np.ones(5), "adam", on_nonfinite="skip")
        bad, good = np.full(5, np.nan), np.ones(5)
        self.together(*[lambda: [opt.step(bad) for _ in range(10)], lambda: [opt.step(good) for _ in range(10)]] * 4)
        assert (opt.t, opt.skipped) == (40, 40)


@pytest.mark.process
def test_a_fork_after_a_step():
    code = """
import os, numpy as np, gradstep as gs
def run(opt):
    opt.step(np.ones(70_000)); return opt.params.tobytes()
opt = gs.Optimizer(np.zeros(70_000), "adam")
run(opt)
pid = os.fork()
if pid == 0:
    try:
        mine = run(opt)  # the same optimizer, and a new kernel
        other = gs.Optimizer(np.zeros(3, "f4"), gs.chain(gs.clip_by_global_norm(1.0), gs.radam))
        other.step(np.ones(3, "f4"))
        os._exit(0 if other.params[0] < 0 and len(set(mine)) > 1 else 1)
    finally:
        os._exit(2)
assert os.waitpid(pid, 0)[1] == 0
before = opt.params.copy()
run(opt)
assert opt.t == 2 and (opt.params < before).all()
"""
    if not hasattr(__import__("os"), "fork"):
        pytest.skip("no fork here")
    script(code)
