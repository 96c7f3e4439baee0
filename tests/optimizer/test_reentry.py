"""An optimizer used within its own step: by a signal handler, a schedule, a callback, a finalizer.

A signal handler may run between any two lines. These tests run one at each line of a step, by a trace.
"""

import copy
import gc
import pickle

import numpy as np
import pytest

import gradstep as gs
from gradstep import errors
from gradstep.array.tree import flatten
from gradstep.errors import GradstepTypeError, InUseError
from support import at_line, clear, fingerprint, same, script

ENGINES = pytest.mark.parametrize("engine", ["compiled", "eager"])
CHAINS = {
    "sgd": lambda: gs.sgd(lr=1.0),
    "schedule": lambda: gs.sgd(lr=lambda _: 1.0),
    "clipped": lambda: gs.chain(gs.clip_by_global_norm(1e6), gs.sgd(lr=1.0)),
}


def strided():
    """Parameters that no engine can write in one go: the last one is not contiguous."""
    return {"a": np.zeros(5), "b": np.zeros((4, 6))[:, ::2]}


def each_line(make, act):
    """For each line of a step an optimizer that has made two, and was acted on in the third."""
    k = 1
    while True:
        params = strided()
        opt = make(params)
        grads = {name: np.ones_like(x) for name, x in params.items()}
        opt.step(grads)
        opt.step(grads)
        if not at_line(k, lambda opt=opt: act(opt), lambda opt=opt, grads=grads: opt.step(grads)):
            return
        yield opt, grads
        k += 1


@ENGINES
@pytest.mark.parametrize("chain", CHAINS)
def test_a_handler_saves_what_belongs_together_or_is_told(chain, engine, tmp_path):
    path, seen = tmp_path / "at.safetensors", []

    def save(opt):
        try:
            opt.save(path)
        except InUseError as error:
            seen.append(str(error))
        else:
            found = gs.load(path)
            assert found.t in (2, 3)
            assert all((x == -float(found.t)).all() for x in found.params.values())
            seen.append(found.t)

    for opt, _ in each_line(lambda params: gs.Optimizer(params, CHAINS[chain](), engine=engine), save):
        assert opt.t == 3
    texts = {x for x in seen if isinstance(x, str)}
    assert {2, 3} <= set(seen)
    assert len(texts) <= 1
    assert all("being written" in text for text in texts)


@ENGINES
@pytest.mark.parametrize("chain", CHAINS)
def test_a_rate_set_at_any_moment_is_used_from_the_next_step_on(chain, engine):
    def set_rate(opt):
        opt.hyper.replace({**opt.hyper, "lr": 7.0}) if chain == "schedule" else setattr(opt, "lr", 7.0)

    for opt, grads in each_line(lambda params: gs.Optimizer(params, CHAINS[chain](), engine=engine), set_rate):
        before = opt.params["a"][0]
        opt.step(grads)
        assert before - opt.params["a"][0] == 7.0


@ENGINES
@pytest.mark.parametrize("chain", CHAINS)
def test_an_exception_at_any_moment_leaves_one_whole_update(chain, engine):
    """As a handler raises it that ends a step after some time."""

    class Late(Exception):
        pass

    def late(_):
        raise Late

    k, times = 1, set()
    while True:
        params = strided()
        opt = gs.Optimizer(params, CHAINS[chain](), engine=engine)
        grads = {name: np.ones_like(x) for name, x in params.items()}
        opt.step(grads)
        try:
            if not at_line(k, lambda opt=opt: late(opt), lambda opt=opt, grads=grads: opt.step(grads)):
                break
        except Late:
            pass
        assert all((x == -float(opt.t)).all() for x in params.values()), k
        times.add(opt.t)
        opt.step(grads)  # nothing is held
        assert all((x == -float(opt.t)).all() for x in params.values()), k
        k += 1
    assert times == {1, 2}


@ENGINES
def test_a_step_within_a_step_is_refused(engine):
    calls = {
        "opt.step": lambda opt, g: opt.step(g),
        "opt.tell": lambda opt, g: opt.tell(g),
        "opt.reset": lambda opt, _: opt.reset(),
        "opt.rehearse": lambda opt, g: opt.rehearse(g),
    }
    for name, call in calls.items():
        made = []

        def rate(_, call=call, made=made):
            if made:
                call(made[0], np.ones(3))
            return 1.0

        opt = gs.Optimizer(np.zeros(3), "sgd", lr=rate, engine=engine)
        made.append(opt)
        with pytest.raises(InUseError, match=name) as error:
            opt.step(np.ones(3))
        assert clear(error)
        assert opt.t == 0
        assert not opt.params.any()
        made.clear()
        opt.step(np.ones(3))
        assert opt.t == 1


@ENGINES
def test_a_schedule_may_look_and_save(engine, tmp_path):
    def rate(_):
        if made:
            opt = made[0]
            assert opt.t == 0
            opt.save(tmp_path / "within.safetensors")
            assert opt.diagnostics is None
            assert (opt.ask() == 0.0).all()
            assert (opt.averaged() == 0.0).all()
        return 1.0

    made = []
    tx = gs.chain(gs.sgd(lr=rate), gs.ema(decay=0.5))
    made.append(gs.Optimizer(np.zeros(3), tx, engine=engine, diagnostics=True))
    made[0].step(np.ones(3))
    assert gs.load(tmp_path / "within.safetensors").t == 0


def test_a_finalizer_may_save(tmp_path):
    params = [np.zeros(20) for _ in range(50)]
    opt = gs.Optimizer(params, "adam", engine="eager")
    saved = []

    class Circle:
        def __init__(self):
            self.own = self

        def __del__(self):
            try:
                opt.save(tmp_path / "finalizer.safetensors")
            except InUseError:
                return
            saved.append(gs.load(tmp_path / "finalizer.safetensors").t)

    before = gc.get_threshold()
    gc.set_threshold(20, 2, 2)
    try:
        for _ in range(20):
            Circle()
            opt.step([np.ones(20)] * 50)
    finally:
        gc.set_threshold(*before)
    assert saved
    assert opt.t == 20


@pytest.mark.process
@pytest.mark.parametrize("n", [100, 1_000_000])
@pytest.mark.parametrize("engine", ["compiled", "eager"])
def test_sigterm_saves_and_ends(n, engine, tmp_path):
    """As every job does that may be moved to another machine."""
    path = tmp_path / "term.safetensors"
    script(
        f"""
import os, signal, sys, threading, time
import numpy as np, gradstep as gs
w, g = np.zeros({n}), np.ones({n})
opt = gs.Optimizer(w, "sgd", lr=1.0, engine="{engine}")
def handler(*_):
    try:
        opt.save(sys.argv[1])
    except gs.errors.InUseError:
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGTERM)).start()  # at once, it would come within this one
    else:
        sys.exit(0)
signal.signal(signal.SIGTERM, handler)
opt.step(g)
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
while True:
    opt.step(g)
""",
        str(path),
    )
    found = gs.load(path)
    assert found.t > 1
    assert (found.params["params"] == -float(found.t)).all()


class TestCopies:
    @ENGINES
    @pytest.mark.parametrize("rule", ["adam", "nadam"])
    def test_a_deep_copy_goes_on_as_the_one_copied(self, rule, engine):
        rng = np.random.default_rng(0)
        params = {"a": rng.normal(size=5), "b": [rng.normal(size=(2, 3)), np.ones(2)]}
        opt = gs.Optimizer(
            params, rule, lr=lambda t: 0.1 / (t + 1), groups={"b.1": "freeze", "a": {"beta1": 0.5}}, engine=engine
        )
        grads = [{"a": rng.normal(size=5), "b": [rng.normal(size=(2, 3)), None]} for _ in range(6)]
        for g in grads[:3]:
            opt.step(g)
        held = {"params": params, "opt": opt}
        both = copy.deepcopy(held)
        assert both["opt"].params is both["params"]
        assert fingerprint(both["opt"]) == fingerprint(opt)
        for g in grads[3:]:
            opt.step(g)
        assert both["opt"].t == 3
        for g in grads[3:]:
            both["opt"].step(g)
        assert same(both["params"], params)
        assert fingerprint(both["opt"]) == fingerprint(opt)

    @pytest.mark.parametrize("act", [copy.copy, pickle.dumps])
    def test_others_are_refused(self, act):
        opt = gs.Optimizer(np.ones(3), "adam")
        with pytest.raises(GradstepTypeError) as error:
            act(opt)
        assert clear(error)


class TestAttributes:
    @pytest.mark.parametrize(
        ("name", "way"),
        [
            ("beta1", r"opt.hyper\['beta1'\]"),
            ("learning_rate", "opt.lr = 0.5"),
            ("momentum", "has no attribute"),
            ("on_nonfinit", "on_nonfinite"),
            ("params", "new optimizer"),
            ("t", "new optimizer"),
            ("state", "new optimizer"),
        ],
    )
    def test_setting_what_is_not_there_is_refused(self, name, way):
        opt = gs.Optimizer(np.ones(3), "adam")
        before = fingerprint(opt)
        with pytest.raises(GradstepTypeError, match=way) as error:
            setattr(opt, name, 0.5)
        assert isinstance(error.value, AttributeError)
        assert clear(error)
        assert not hasattr(opt, name) or name in ("params", "t", "state")
        assert fingerprint(opt) == before

    def test_a_policy_is_checked(self):
        opt = gs.Optimizer(np.ones(3), "adam")
        with pytest.raises(errors.GradstepValueError, match="on_nonfinite"):
            opt.on_nonfinite = "jump"
        opt.on_nonfinite = "skip"
        opt.step(np.full(3, np.nan))
        assert opt.skipped == 1

    def test_a_class_made_from_it_may_have_its_own(self):
        class Mine(gs.Optimizer):
            pass

        opt = Mine(np.ones(3), "adam")
        opt.log = []
        assert opt.log == []


class TestReplaced:
    """A parameter that is another array than the one that was handed in."""

    @staticmethod
    def nests():
        yield {"w": np.ones(3), "b": np.ones(())}, lambda p: p.update(w=p["w"] * 0.99), "'w'"
        yield {"w": np.ones(3), "b": np.ones(())}, lambda p: p.update(b=p["b"] * np.ones(())), "'b'"
        yield (
            {"l": {"w": np.ones(3)}, "m": [np.ones(2), np.ones((1, 1))]},
            lambda p: p.update(l={"w": np.ones(3)}),
            "l.w",
        )
        yield {"l": {"w": np.ones(3)}, "m": [np.ones(2)]}, lambda p: p["m"].__setitem__(0, p["m"][0] + 0.0), "m.0"
        yield [np.ones(3), np.ones(2)], lambda p: p.__setitem__(1, np.ones(2)), "'1'"
        yield [np.ones(3), np.ones(2)], lambda p: p.__setitem__(1, np.ones(4)), "'1'"
        yield {"w": np.ones(3), "b": np.ones(0)}, lambda p: p.update(b=np.ones(0)), "'b'"

    @ENGINES
    @pytest.mark.parametrize("k", range(7))
    def test_it_is_refused_by_name(self, k, engine, tmp_path):
        params, replace, name = list(self.nests())[k]
        opt = gs.Optimizer(params, "sgd", engine=engine)
        form, leaves = flatten(params)
        grads = form.build([np.ones_like(x) for x in leaves])
        opt.step(grads)
        replace(params)
        before = [x.copy() for x in leaves]
        for act in (lambda: opt.step(grads), lambda: opt.save(tmp_path / "a.safetensors"), opt.ask):
            with pytest.raises(errors.GradstepValueError, match="replaced by another array") as error:
                act()
            assert name.strip("'") in str(error.value)
            assert clear(error)
        assert opt.t == 1
        assert all(np.array_equal(x, y) for x, y in zip(leaves, before, strict=True))

    def test_other_mappings(self):
        from collections import OrderedDict
        from collections.abc import Mapping

        class Views(Mapping):
            """Makes its arrays anew whenever it is asked, over one memory."""

            def __init__(self, memory):
                self.memory = memory

            def __getitem__(self, key):
                return self.memory[key][:]

            def __iter__(self):
                return iter(self.memory)

            def __len__(self):
                return len(self.memory)

        params = OrderedDict(w=np.ones(3))
        opt = gs.Optimizer(params, "sgd", lr=1.0)
        params["w"] = np.ones(3)
        with pytest.raises(errors.GradstepValueError, match="replaced"):
            opt.step({"w": np.ones(3)})
        memory = {"w": np.ones(3)}
        opt = gs.Optimizer(Views(memory), "sgd", lr=1.0)
        opt.step({"w": np.ones(3)})
        assert (memory["w"] == 0.0).all()

    def test_entries_that_come_or_go_are_named(self):
        params = {"w": np.ones(3), "b": np.ones(2)}
        opt = gs.Optimizer(params, "sgd")
        grads = {"w": np.ones(3), "b": np.ones(2)}
        kept = params.pop("w")
        with pytest.raises(errors.GradstepValueError, match="'w' is no longer in the nest"):
            opt.step(grads)
        params["w"], params["c"] = kept, np.ones(1)
        with pytest.raises(errors.GradstepValueError, match=r"'c' belongs to no parameter.*make a new one"):
            opt.step(grads)
        del params["c"]
        opt.step(grads)
        assert opt.t == 1


def test_gradients_that_nobody_has_written_are_refused():
    opt = gs.Optimizer(np.ones(3), "adam")
    with pytest.raises(errors.GradstepValueError, match=r"opt\.step\(grads\)") as error:
        opt.step()
    assert clear(error)
    assert opt.t == 0
    opt.grads[...] = 1.0
    opt.step()
    assert opt.t == 1


FIRST = """
import sys
import numpy as np
import gradstep as gs

opt = gs.Optimizer({"w": np.zeros(3)}, "adam")
opt.step({"w": np.ones(3)})
seen, within = [], []

def handler(frame, event, _):
    if event == "call" and frame.f_code.co_name == "<module>" and not within:
        within.append(True)
        opt.save(sys.argv[1])
        seen.append(frame.f_code.co_filename)
        within.clear()

sys.settrace(handler)
opt.save(sys.argv[1] + ".first")
opt.restore(sys.argv[1] + ".first")
gs.Run, gs.layers
sys.settrace(None)
print(len(seen) > 3, gs.load(sys.argv[1]).t, gs.load(sys.argv[1] + ".first").t)
"""


@pytest.mark.process
def test_a_handler_saves_within_the_first_save_and_within_any_import(tmp_path):
    """A module that is being imported is half there for a handler."""
    assert script(FIRST, str(tmp_path / "a")) == "True 1 1\n"
