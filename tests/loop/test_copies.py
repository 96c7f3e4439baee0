"""What is copied and pickled, and what is refused in a sentence; attributes that are not there."""

import copy
import pickle

import numpy as np
import pytest

import gradstep as gs
from gradstep import interop, layers, loggers, nn
from gradstep.loop.step import Step
from loop.cases import bowl
from support import clear

WAYS = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda x: pickle.loads(pickle.dumps(x))}  # noqa: S301


class Writer:
    def __init__(self):
        self.rows = []

    def add_scalar(self, *row):
        self.rows.append(row)


@pytest.fixture(params=WAYS)
def again(request):
    return WAYS[request.param]


def run(**options):
    return gs.Run(bowl, np.zeros(3), "adam", max_steps=3, **options)


def test_a_run_is_refused_and_the_sentence_says_what_to_do(again):
    one = run()
    with pytest.raises(
        gs.GradstepTypeError, match=r"Run can be neither copied nor pickled: .* run\.save\(path\)"
    ) as error:
        again(one)
    assert clear(error)
    assert len(list(one)) == 3


@pytest.mark.parametrize("data", [6, np.arange(6.0), {"x": np.arange(12.0).reshape(6, 2), "y": np.arange(6)}])
def test_batches(again, data):
    batches = gs.Batches(data, size=2, seed=3)
    batches(4)
    other = again(batches)
    for k in range(7):
        for x, y in zip(
            *(list(b(k).values()) if isinstance(data, dict) else [b(k)] for b in (batches, other)), strict=True
        ):
            assert (x == y).all()


@pytest.mark.parametrize("rule", [gs.stop.steps(3) | gs.stop.plateau(4), gs.stop.signals() & gs.stop.target(0.1)])
def test_stops(again, rule):
    assert again(rule) == rule


def test_loggers_go_on_by_themselves(again):
    log = loggers.tensorboard(Writer(), every=2)
    for step in run():
        log(step)
    other = again(log)
    other(Step(t=4, value=1.0, evaluations=9))
    assert other.last.t == 4
    assert log.last.t == 2


def test_steps_history_results_and_reasons(again):
    one = run()
    list(one)
    assert again(one.history) == one.history
    assert again(one.reason) == one.reason


def test_a_checkpoint(again, tmp_path):
    run().save(tmp_path / "x")
    found = gs.load(tmp_path / "x")
    other = again(found)
    assert other.metadata == found.metadata
    assert all((other.arrays[name] == x).all() for name, x in found.arrays.items())


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh", "sigmoid", "softmax"])
def test_a_network_before_it_is_compiled(again, activation):
    model = nn.Sequential([nn.Dense(2, 3, activation=activation)])
    x = np.ones((4, 2), "f4")
    assert (again(model).predict(x) == model.predict(x)).all()


def test_a_copy_of_a_compiled_network_learns_alike_and_alone():
    x, y = np.random.default_rng(0).normal(size=(8, 2)), np.ones((8, 1))
    model = nn.Sequential([nn.Dense(2, 3, activation="tanh"), nn.Dense(3, 1)]).compile("adam", loss="mse")
    model.fit(x, y, 1, batch_size=3, progress=False)
    other = copy.deepcopy(model)
    before = model.predict(x)
    other.fit(x, y, 2, batch_size=3, progress=False)
    assert (model.predict(x) == before).all()
    model.fit(x, y, 2, batch_size=3, progress=False)
    assert (model.predict(x) == other.predict(x)).all()
    assert not (model.predict(x) == before).all()


class TestAttributesThatAreNotThere:
    """``run.lr = 0.1`` made an attribute that nothing read."""

    @pytest.mark.parametrize("name", ["lr", "beta1", "averaged", "grads"])
    def test_of_a_run_s_optimizer(self, name):
        one = run()
        with pytest.raises(
            gs.GradstepAttributeError, match=rf"Run has no attribute '{name}' to set; write run\.opt\.{name}"
        ):
            setattr(one, name, 0.5)
        assert not hasattr(one, name)

    def test_of_nobody(self):
        with pytest.raises(gs.GradstepAttributeError, match="Run has no attribute 'callback'; did you mean callbacks"):
            run().callback = print
        with pytest.raises(AttributeError):
            run().t = 3

    @pytest.mark.parametrize("name", ["params", "opt"])
    def test_those_with_which_the_run_would_not_go_on(self, name):
        one = run()
        before = getattr(one, name)
        with pytest.raises(gs.GradstepAttributeError, match=rf"Run\.{name} cannot be set; .*make a new run"):
            setattr(one, name, None)
        assert getattr(one, name) is before

    def test_those_that_are_there_can_be_set(self):
        one = run()
        one.callbacks = []
        one.stop |= gs.stop.steps(2)
        assert len(list(one)) == 2

    def test_of_a_network(self):
        model = nn.Sequential([nn.Dense(2, 3)])
        with pytest.raises(gs.GradstepAttributeError, match="Sequential has no attribute 'lr'; known: dtype, layers"):
            model.lr = 0.5
        model.compile("adam", loss="mse")
        with pytest.raises(gs.GradstepAttributeError, match=r"write model\.optimizer\.lr = \.\.\."):
            model.lr = 0.5

    def test_of_an_optimizer_of_layers(self):
        opt = layers.Optimizer([])
        opt.learning_rate = 0.5
        with pytest.raises(
            gs.GradstepAttributeError, match=r"Optimizer has no attribute 'lr' to set; write opt\.learning_rate"
        ):
            opt.lr = 0.5

    def test_of_a_server_s_optimizer(self):
        server = interop.flower.ServerOptimizer("adam", lr=0.1)
        with pytest.raises(gs.GradstepAttributeError, match="ServerOptimizer has no attribute 'lr'"):
            server.lr = 0.5
        server.step({"w": np.ones(3)}, {"w": np.zeros(3)})
        with pytest.raises(gs.GradstepAttributeError, match=r"write server\.optimizer\.hyper\['lr'\] = \.\.\."):
            server.lr = 0.5
