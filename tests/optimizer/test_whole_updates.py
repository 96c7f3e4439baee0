"""An update is whole: gathered gradients, inputs, whole arrays, other arrays, forks."""

import copy
import os

import numpy as np
import pytest

import gradstep as gs
from gradstep.errors import InUseError
from gradstep.form.chain import program
from gradstep.rule import rule
from gradstep.step import Step
from gradstep.step.precision import Precision
from gradstep.vocabulary import shaped_as, transpose, wide
from support import at_line, same, states

ENGINES = pytest.mark.parametrize("engine", ["compiled", "eager"])


@ENGINES
@pytest.mark.parametrize("act", ["save", "raise"])
def test_what_is_gathered_and_its_count_belong_together(act, engine):
    """At each line of a call that makes no update."""

    class Late(Exception):
        pass

    k, seen = 1, set()
    while True:
        params = {"a": np.zeros(5), "b": np.zeros((4, 6))[:, ::2]}
        opt = gs.Optimizer(params, gs.chain(gs.accumulate(k=10.0), gs.sgd(lr=1.0)), engine=engine)
        grads = {name: np.full_like(x, 10.0) for name, x in params.items()}
        opt.step(grads)

        def handler(opt=opt):
            if act == "raise":
                raise Late
            try:
                calls = opt.parts().memory[0]["accumulate.calls"]
            except InUseError:
                return
            seen.add(calls)
            assert all((x == calls).all() for x in states(opt).values())

        try:
            if not at_line(k, handler, lambda opt=opt, grads=grads: opt.step(grads)):
                break
        except Late:
            pass
        calls = opt.parts().memory[0]["accumulate.calls"]
        seen.add(calls)
        assert all((x == calls).all() for x in states(opt).values()), k
        opt.step(grads)
        assert all((x == calls + 1).all() for x in states(opt).values()), k
        k += 1
    assert seen >= {1.0, 2.0}


def test_the_pure_pair_gathers_in_front_of_a_rule_with_sums_of_each_array():
    params = {"a": np.ones(3), "b": np.ones(2)}
    tx = gs.chain(gs.accumulate(k=2.0), gs.lamb(lr=0.1))
    opt, state = gs.Optimizer({name: x.copy() for name, x in params.items()}, tx), gs.init(tx, params)
    for k in range(4):
        grads = {name: np.full_like(x, k + 1.0) for name, x in params.items()}
        params, state = gs.update(tx, params, grads, state)
        opt.step(grads)
    assert state.t == opt.t == 2
    assert same(params, opt.params)


def test_nothing_that_moves_parameters_stands_in_front_of_what_gathers():
    with pytest.raises(gs.GradstepValueError, match="decay in front of it would move the parameters"):
        gs.Optimizer(np.ones(2), gs.chain(gs.decay(weight_decay=0.1), gs.accumulate(), gs.sgd(lr=1.0)))


@pytest.mark.usefixtures("own_registry")
class TestViews:
    """Rules of whole arrays whose results are views of what they were handed, or of one another."""

    @staticmethod
    def swapped():
        @rule(lambda lr=1.0: {"rate": lr}, state="a b", start={"a": 1.0, "b": 2.0}, whole=True)
        def swapped(theta, g, a, b, rate):
            return theta - rate * g, g, b, a

        return swapped

    @staticmethod
    def turned():
        @rule(lambda lr=1.0: {"rate": lr}, state="a b", start={"a": 1.0, "b": 2.0}, whole=True)
        def turned(theta, g, a, b, rate):
            return theta - rate * g, g, transpose(transpose(b)), transpose(transpose(a))

        return turned

    @staticmethod
    def remembering():
        @rule(lambda lr=1.0: {"rate": lr}, state="a b", start={"a": 1.0, "b": 2.0}, whole=True)
        def remembering(theta, g, a, b, rate):
            old, c = shaped_as(wide(theta), theta), 2.0 * g
            return theta - rate * g, g, old, c

        return remembering

    @ENGINES
    @pytest.mark.parametrize("shape", [(3,), (4, 2), (2, 4)])
    @pytest.mark.parametrize(
        ("name", "a", "b"), [("swapped", 2.0, 1.0), ("turned", 2.0, 1.0), ("remembering", 5.0, 6.0)]
    )
    def test_each_has_its_numbers(self, name, a, b, shape, engine):
        tx = getattr(self, name)()()
        w, g = np.full(shape, 5.0), np.full(shape, 3.0)
        opt = gs.Optimizer(w, tx, engine=engine)
        opt.step(g)
        own = opt.state["params"]
        assert (own[f"{name}.a"] == a).all()
        assert (own[f"{name}.b"] == b).all()
        assert (w == 2.0).all()
        params = np.full(shape, 5.0)
        state = gs.init(tx, params)
        params, state = gs.update(tx, params, g, state)
        every = [params, g, *state.slots["params"].values()]
        for k, x in enumerate(every):
            assert not any(np.shares_memory(x, y) for y in every[:k])


def test_inputs_and_updates_belong_together():
    @rule(lambda lr=1.0: {"rate": lr}, inputs="curvature")
    def measured_by(theta, g, curvature, rate):
        return theta - rate * (g / curvature), g

    try:
        k = 1
        while True:
            w = np.zeros(4)
            opt = gs.Optimizer(w, measured_by())
            opt.step(np.ones(4), curvature=np.ones(4))
            slot = next(iter(opt.state["params"].values()))

            def stop():
                raise KeyboardInterrupt

            try:
                if not at_line(k, stop, lambda opt=opt: opt.step(np.ones(4), curvature=np.full(4, 2.0))):
                    break
            except KeyboardInterrupt:
                pass
            assert (w == {1: -1.0, 2: -1.5}[opt.t]).all(), k
            if opt.t == 2:
                assert (slot == 2.0).all(), k
            k += 1
    finally:
        from gradstep.form import rule as module

        module._REGISTRY.pop("measured_by")


@ENGINES
def test_other_arrays_bring_their_own_masters(engine):
    w, g = np.full(4, 1.0, np.float16), np.full(4, 1.0, np.float16)
    step = Step(program(gs.sgd()), {"w": w}, [{"lr": 0.5}], precision=Precision(master=True), engine=engine)
    step((g,), [{"lr": 0.5}])
    other = np.full(4, 10.0, np.float16)
    step.bind([other])
    step((g,), [{"lr": 0.5}])
    assert (other == 9.5).all()
    assert step.t == 2


@ENGINES
def test_an_interrupted_bind_leaves_the_old_arrays_or_the_new_ones(engine):
    class Late(Exception):
        pass

    def late():
        raise Late

    values, k, g = [{"lr": 1.0, "k": 2.0}], 1, np.ones(3)
    while True:
        old, new = np.zeros(3), np.zeros(3)
        step = Step(program(gs.chain(gs.accumulate(), gs.sgd())), {"w": old}, values, engine=engine)
        step((g,), values)
        step((g,), values)
        try:
            if not at_line(k, late, lambda step=step, new=new: step.bind([new])):
                break
        except Late:
            pass
        bound = step.params[0]
        before = bound.copy()
        for _ in range(2):
            step((g,), values)
        assert step.t == 2
        assert (bound == before - 1.0).all(), k
        k += 1


def test_a_copy_has_its_gradients():
    opt = gs.Optimizer(np.ones(3), "sgd", lr=1.0)
    opt.grads[...] = 1.0
    both = copy.deepcopy({"opt": opt, "grads": opt.grads})
    assert both["opt"].grads is both["grads"]
    both["opt"].step()
    assert (both["opt"].params == 0.0).all()
    assert (opt.params == 1.0).all()


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_schedule_may_fork():
    def rate(_):
        if made and not children:
            children.append(os.fork())
        return 1.0

    made, children = [], []
    made.append(gs.Optimizer(np.zeros(3), "sgd", lr=rate))
    made[0].step(np.ones(3))
    right = (made[0].params == -1.0).all() and made[0].t == 1
    if children[0] == 0:
        os._exit(0 if right else 1)
    assert right
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0


@ENGINES
@pytest.mark.parametrize("rule", ["sgd", "clipped"])
def test_two_interrupts_in_a_row(rule, engine, monkeypatch):
    """The second one comes where the first is dealt with: the next call finds out what has been made."""
    plain = Step.recover
    tx = gs.sgd(lr=1.0) if rule == "sgd" else gs.chain(gs.clip_by_global_norm(max_norm=100.0), gs.sgd(lr=1.0))

    def interrupt():
        left.append(True)
        raise KeyboardInterrupt

    def recover(step):
        if left:
            left.clear()
            raise KeyboardInterrupt
        plain(step)

    monkeypatch.setattr(Step, "recover", recover)
    for k in range(1, 2000):
        x, left = np.zeros(3), []
        opt = gs.Optimizer(x, tx, engine=engine)
        opt.step(np.ones(3))
        try:
            if not at_line(k, interrupt, lambda opt=opt: opt.step(np.ones(3))):
                break
        except KeyboardInterrupt:
            pass
        left.clear()
        opt.step(np.ones(3))
        assert (x == -opt.t).all(), k
    assert k > 20
