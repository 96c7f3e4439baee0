"""Federated rounds: by hand with NumPy clients, and through Flower's own records where flwr can be imported."""

import re
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs
from gradstep.interop import flower
from gradstep.interop.flower import ServerOptimizer
from gradstep.rule import registry
from support import bits, clear, fingerprint, same, script

PAGE = Path(__file__).parents[2] / "docs/migrating/flower.md"
TABLE = re.findall(r"^\| `(.*?)`.*? \| (?:`(.*?)`)?", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
RULES = ["sgd", "momentum", "adagrad", "rmsprop", "adam", "adamax", "adadelta", "nadam", "amsgrad"]


def model(dtype="float32"):
    """Matrices, vectors and a 0-d array, among them a counter and a mask, as real models have them."""
    rng = np.random.default_rng(0)
    return {
        "layer1.weight": rng.standard_normal((4, 3)).astype(dtype),
        "layer1.bias": np.zeros(3, dtype),
        "scale": np.array(1.0, dtype),
        "batches": np.array(7),
        "mask": np.array([True, False]),
    }


FLOATING = ("layer1.weight", "layer1.bias", "scale")


def floating(layers):
    return {name: layers[name] for name in FLOATING}


def moved(layers, k):
    """What a round of clients may have sent back on average."""
    rng = np.random.default_rng(k)
    return {name: x + rng.standard_normal(x.shape).astype(x.dtype) for name, x in floating(layers).items()} | {
        "batches": layers["batches"] + 10,
        "mask": ~layers["mask"],
    }


# A federation by hand: three clients, logistic regression, local gradient descent.


class Client:
    def __init__(self, k):
        rng = np.random.default_rng(100 + k)
        self.x = rng.standard_normal((20 + 10 * k, 3)).astype(np.float32)
        self.y = (self.x @ np.array([1.0, -2.0, 0.5], np.float32) + 0.3 > 0).astype(np.float32)

    def loss(self, layers):
        z = (self.x @ layers["w"] + layers["b"]).astype(np.float64)
        return float(np.mean(np.logaddexp(0.0, z) - self.y * z))

    def train(self, layers):
        w, b = layers["w"].copy(), layers["b"].copy()
        for _ in range(5):
            d = (1 / (1 + np.exp(-(self.x @ w + b))) - self.y) / np.float32(len(self.y))
            w, b = w - np.float32(0.5) * (d @ self.x), b - np.float32(0.5) * d.sum()
        return {"w": w, "b": np.asarray(b), "seen": layers["seen"] + len(self.y)}


CLIENTS = [Client(k) for k in range(3)]
START = {"w": np.zeros(3, np.float32), "b": np.array(0.0, np.float32), "seen": np.array(0)}


def average(sent):
    """FedAvg: weighted by the clients' numbers of examples."""
    weights = [len(c.y) / sum(len(c.y) for c in CLIENTS) for c in CLIENTS]
    return {name: sum(w * x[name] for w, x in zip(weights, sent, strict=True)) for name in START}


def loss(layers):
    return sum(client.loss(layers) for client in CLIENTS)


@pytest.mark.parametrize("rule", RULES)
def test_a_federation_by_hand_is_the_rule_fed_the_pseudo_gradients(rule):
    server, now = ServerOptimizer(rule), START
    plain = {name: START[name].copy() for name in ("w", "b")}
    opt = gs.Optimizer(plain, rule)
    for k in range(6):
        mean = None if k == 2 else average([client.train(now) for client in CLIENTS])  # in one round nobody answers
        before, now = now, server.step(now, mean)
        if mean is None:
            assert same(now, before)
        else:
            opt.step({name: np.asarray(before[name] - mean[name]) for name in plain})
        assert same({name: now[name] for name in plain}, plain)
    assert server.t == opt.t == 5
    assert loss(now) < loss(START)
    assert now["seen"].dtype == START["seen"].dtype


def test_sgd_with_rate_1_is_federated_averaging():
    now = {"w": np.array([1.0, 2.0, -4.0], np.float32)}
    mean = {"w": np.array([1.5, 1.0, -8.0], np.float32)}  # short binary fractions: no rounding anywhere
    assert same(ServerOptimizer("sgd", lr=1.0).step(now, mean), mean)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "float16", "bfloat16"])
@pytest.mark.parametrize("rule", RULES)
def test_a_dtype_and_a_shape_never_change(rule, dtype):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    server, now = ServerOptimizer(rule), model(dtype)
    for k in range(3):
        after = server.step(now, moved(now, k))
        assert [(x.dtype, x.shape) for x in after.values()] == [(x.dtype, x.shape) for x in now.values()]
        assert all(isinstance(x, np.ndarray) and not np.shares_memory(x, now[name]) for name, x in after.items())
        now = after


def test_the_model_is_the_one_that_is_handed_over():
    """Also where it is not what the server gave last: somebody may have changed it since."""
    server = ServerOptimizer("sgd", lr=1.0)
    server.step({"w": np.zeros(2)}, {"w": np.ones(2)})
    assert same(server.step({"w": np.array([8.0, 4.0])}, {"w": np.array([6.0, 5.0])}), {"w": np.array([6.0, 5.0])})


def test_an_average_in_more_bits_is_rounded_once():
    now, mean = {"w": np.array([1.0], np.float32)}, {"w": np.array([1.0 + 2.0**-30])}
    after = ServerOptimizer("sgd", lr=1024.0).step(now, mean)
    assert bits(after["w"]) == bits(np.array([1.0 + 2.0**-20], np.float32))


def test_counters_and_masks_take_the_average():
    now = model()
    mean = moved(now, 0) | {"batches": np.array(16.5), "mask": np.array([2 / 3, 1 / 3])}  # floating, as FedAvg has it
    after = ServerOptimizer("adam").step(now, mean)
    assert bits(after["batches"]) == bits(np.array(16))
    assert bits(after["mask"]) == bits(np.array([True, False]))
    exact = ServerOptimizer("adam").step(now, moved(now, 0) | {"batches": np.array(2**62 + 1)})
    assert exact["batches"] == 2**62 + 1


class TestBuffers:
    """Floating layers that clients compute: the average is right, a rule's step from the old one is not."""

    @pytest.mark.parametrize("rule", RULES)
    @pytest.mark.parametrize(
        "name", ["bn.running_var", "running_mean", "bn/moving_variance", "moving_mean", "batch_stats.b.var"]
    )
    def test_of_known_names_take_the_average(self, rule, name):
        server = ServerOptimizer(rule)
        now = {"w": np.ones(3, "f4"), name: np.ones(3, "f4"), "n": np.array(3)}
        for k in range(30):
            mean = {"w": now["w"] - np.float32(0.1), name: np.full(3, 0.02 + k / 100, "f4"), "n": np.array(4.4)}
            now = server.step(now, mean)
            assert bits(now[name]) == bits(mean[name])
            assert now["n"] == 4
        assert set(server.optimizer.params) == {"w"}

    def test_by_pattern(self):
        now = {"0": np.ones(3, "f4"), "1": np.ones(3, "f4")}
        mean = {"0": np.full(3, 0.5, "f4"), "1": np.full(3, 0.25, "f8")}
        for buffers in ("1", ["1"], ["[1-9]"]):
            after = ServerOptimizer("adam", lr=0.01, buffers=buffers).step(now, mean | {"1": mean["1"].astype("f4")})
            assert (after["1"].tolist(), after["1"].dtype) == ([0.25] * 3, "float32")
            assert after["0"][0] > 0.9
        optimized = ServerOptimizer("sgd", lr=0.5, buffers=()).step({"running_var": np.ones(1)}, {"running_var": [0.0]})
        assert optimized["running_var"] == 0.5

    def test_complex_ones_and_an_average_that_is_not_finite(self):
        now = {"w": np.ones(2), "z": np.ones(2, "c8")}
        server = ServerOptimizer("adam", buffers="z")
        with pytest.raises(gs.NonFiniteError, match="layer 'z' holds NaN"):
            server.step(now, now | {"z": np.full(2, np.nan, "c8")})
        assert server.t == 0
        assert server.step(now, now | {"z": np.full(2, 2j, "c8")})["z"].tolist() == [2j, 2j]

    def test_what_matches_nothing_is_refused(self):
        with pytest.raises(gs.GradstepValueError, match=r"buffers: 'bn\.\*' matches no layer; there are w"):
            ServerOptimizer("adam", buffers="bn.*").step({"w": np.ones(2)}, {"w": np.zeros(2)})
        with pytest.raises(gs.GradstepTypeError, match="buffers must be patterns of layers' names, not 3"):
            ServerOptimizer("adam", buffers=[3])

    def test_of_flower_s_strategy(self, flwr):
        strategy = flower.Strategy("adam", buffers="b")
        now = {"w": np.ones(2, np.float32), "b": np.ones(2, np.float32)}
        answers = [reply(flwr, m, {"w": now["w"], "b": 0 * now["b"]}, 1) for m in sent(flwr, strategy, 1, now)]
        assert not strategy.aggregate_train(1, answers)[0]["b"].numpy().any()


def test_what_comes_in_is_left_alone():
    now = model()
    mean = moved(now, 0)
    before = {name: x.copy() for name, x in (now | mean).items()}
    kept = {name: x.copy() for name, x in now.items()}
    ServerOptimizer("adam").step(now, mean)
    assert same(now | mean, before)
    assert same(now, kept)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["layer1.weight", "scale", "batches"])
def test_a_round_that_is_not_finite_changes_nothing(name, bad):
    server, now = ServerOptimizer("adam", lr=0.1), model()
    now = server.step(now, moved(now, 0))
    before = fingerprint(server.optimizer)
    mean = moved(now, 1)
    mean[name] = np.full(now[name].shape, bad)
    with pytest.raises(gs.NonFiniteError, match=name) as error:
        server.step(now, mean)
    assert clear(error)
    assert fingerprint(server.optimizer) == before
    twin = ServerOptimizer("adam", lr=0.1)
    twin.step(model(), moved(model(), 0))
    assert same(server.step(now, moved(now, 1)), twin.step(now, moved(now, 1)))


def test_a_first_round_that_fails_is_none():
    server, now = ServerOptimizer("adam"), model()
    for mean in (None, {}):
        assert same(server.step(now, mean), now)
    with pytest.raises(gs.NonFiniteError):
        server.step(now, moved(now, 0) | {"scale": np.array(np.nan)})
    assert (server.t, server.optimizer) == (0, None)
    lenient = ServerOptimizer("adam", on_nonfinite="skip")
    assert same(lenient.step(now, moved(now, 0) | {"scale": np.array(np.nan)}), now)
    assert (lenient.t, lenient.optimizer.skipped) == (0, 1)


@pytest.mark.parametrize(
    ("current", "mean", "said"),
    [
        ({}, {"new": np.zeros(2, "f4")}, "layer 'new' is in the aggregate alone"),
        ({"new": np.zeros(2, "f4")}, {}, "layer 'new' is in the current model alone"),
        ({"new": np.zeros(2, "f4")}, {"new": np.zeros(2, "f4")}, "layer 'new' is new"),
        ({}, {"scale": np.zeros(2, "f4")}, r"layer 'scale' has shape \(\), but \(2,\) in the aggregate"),
        ({}, {"scale": np.array(1j)}, "layer 'scale' is float32, but complex128 in the aggregate"),
        ({}, {"scale": np.array("x")}, "layer 'scale' is float32, but <U1 in the aggregate"),
        ({"scale": np.array(1.0)}, {}, r"layer 'scale' is float64 of shape \(\), but was float32 of shape \(\)"),
        ({"scale": np.array(1)}, {}, "layer 'scale' was optimized in the rounds before, and is not now"),
    ],
)
def test_other_layers_are_refused_by_name(current, mean, said):
    server, now = ServerOptimizer("adam"), model()
    now = server.step(now, moved(now, 0))
    before = fingerprint(server.optimizer)
    with pytest.raises((gs.GradstepValueError, gs.GradstepTypeError), match=said) as error:
        server.step(now | current, moved(now, 1) | mean)
    assert clear(error)
    assert fingerprint(server.optimizer) == before


def test_lists_are_refused():
    """Flower's own form of a model; the layers have names here."""
    server, now = ServerOptimizer("adam"), model()
    for current, mean, said in [
        (list(now.values()), list(now.values()), "the current model is a list; hand in a dict of its layers' arrays"),
        (now, list(now.values()), "the aggregate is a list; hand in a dict"),
        (None, now, "the current model is a NoneType; hand in a dict"),
    ]:
        with pytest.raises(gs.GradstepTypeError, match=said) as error:
            server.step(current, mean)
        assert clear(error)
    assert server.optimizer is None


def test_what_is_wrong_with_the_rule_is_said_at_once():
    with pytest.raises(gs.GradstepValueError, match="did you mean adam"):
        ServerOptimizer("adm")
    with pytest.raises(gs.GradstepValueError, match="beta"):
        ServerOptimizer("adam", beta1=1.0)
    with pytest.raises(gs.GradstepTypeError, match="beside a stage"):
        ServerOptimizer(gs.adam(), lr=0.1)
    assert repr(ServerOptimizer("adam")) == "<ServerOptimizer 'adam'>"


def test_stages_schedules_and_groups():
    tx = gs.chain(gs.clip_by_global_norm(1.0), gs.adam(lr=gs.schedules.cosine(0.1, 10)))
    server, now = ServerOptimizer(tx, groups={"*bias": "freeze"}), model()
    after = server.step(now, moved(now, 0))
    assert bits(after["layer1.bias"]) == bits(now["layer1.bias"])
    assert "clip_by_global_norm" in repr(server)


@pytest.mark.parametrize("rule", RULES)
def test_a_saved_server_goes_on(rule, tmp_path):
    server, now = ServerOptimizer(rule), model()
    with pytest.raises(gs.GradstepValueError, match="call step first"):
        server.save(tmp_path / "server.safetensors")
    for k in range(3):
        now = server.step(now, moved(now, k))
    server.save(tmp_path / "server.safetensors", extra={"round": 3})
    straight = server.step(now, moved(now, 3))
    fresh, used = ServerOptimizer(rule), ServerOptimizer(rule)
    used.step(model(), moved(model(), 9))
    for other in (fresh, used):
        assert other.restore(tmp_path / "server.safetensors").extra == {"round": 3}
        assert other.t == 3
        assert same(other.step(now, moved(now, 3)), straight)


def test_a_file_of_another_rule_is_refused(tmp_path):
    server = ServerOptimizer("adam")
    server.step(model(), moved(model(), 0))
    server.save(tmp_path / "server.safetensors")
    other = ServerOptimizer("rmsprop")
    with pytest.raises(gs.CheckpointError, match="its rule is adam, and rmsprop here"):
        other.restore(tmp_path / "server.safetensors")
    assert other.t == 0


# Defects of servers that were written by hand: the check, and a few lines of NumPy that fail it.


class NumpyAdam:
    """FedAdam as it is often pasted: a NumPy float64 as rate, and the round number for t."""

    def __init__(self, exponent=lambda server_round: server_round + 1.0, root=np.sqrt):
        self.exponent, self.root, self.m, self.v = exponent, root, None, None

    def round(self, server_round, current, mean):
        delta = {name: mean[name] - x for name, x in current.items()}
        zeros = {name: np.zeros_like(x) for name, x in current.items()}
        self.m, self.v = self.m or zeros, self.v or zeros
        self.m = {name: 0.9 * x + 0.1 * delta[name] for name, x in self.m.items()}
        self.v = {name: 0.99 * x + 0.01 * delta[name] ** 2 for name, x in self.v.items()}
        t = self.exponent(server_round)
        rate = 0.1 * self.root(1 - 0.99**t) / (1 - 0.9**t)
        return {name: x + rate * self.m[name] / (np.sqrt(self.v[name]) + 1e-9) for name, x in current.items()}


class Ours:
    def __init__(self):
        self.server = ServerOptimizer("adam", lr=0.1, beta1=0.9, beta2=0.99, eps=1e-9)

    def round(self, server_round, current, mean):
        return self.server.step(current, mean)


def keeps_float32(server):
    now = {"w": np.ones(3, np.float32)}
    return server.round(1, now, {"w": np.zeros(3, np.float32)})["w"].dtype == np.float32


def first_step_is_the_rate(server):
    """|step| = lr at t = 1, whatever the gradient: Kingma & Ba 2015, section 2.1."""
    step = server.round(1, {"w": np.zeros(3)}, {"w": np.array([1.0, -2.0, 100.0])})["w"]
    return np.allclose(np.abs(step), 0.1, rtol=1e-6, atol=0.0)


def counts_updates(server):
    """Rounds in which nobody answered leave no trace: 1, 7 is 1, 2."""
    now, mean = {"w": np.zeros(3)}, {"w": np.array([1.0, -2.0, 3.0])}
    late = server.round(7, server.round(1, now, mean), mean)["w"]
    soon = Ours()
    return np.allclose(late, soon.round(2, soon.round(1, now, mean), mean)["w"], rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("law", [keeps_float32, first_step_is_the_rate, counts_updates])
def test_no_defect_of_a_pasted_server(law):
    assert law(Ours())
    assert not law(NumpyAdam())


def test_each_defect_is_one_of_its_own():
    """The pasted server without the two defects passes: what fails it is what is named, and nothing else."""
    for law in (keeps_float32, first_step_is_the_rate):
        assert law(NumpyAdam(exponent=lambda server_round: server_round, root=lambda x: x**0.5))


# Flower's own strategy, by hand: no grid, no simulation engine.


@pytest.mark.process
def test_the_module_needs_no_flower():
    code = """
import sys
sys.modules["flwr"] = None
import gradstep as gs
gs.interop.flower.ServerOptimizer("adam")
try:
    gs.interop.flower.Strategy
except gs.GradstepError as error:
    print(error)
"""
    said = script(code).strip()
    assert "Flower is not installed: pip install 'flwr>=1.42'" in said
    assert "\n" not in said
    with pytest.raises(AttributeError, match="no attribute 'Strat'"):
        flower.Strat  # noqa: B018


class Grid:
    def get_node_ids(self):
        return [0, 1, 2]


@pytest.fixture
def flwr(monkeypatch):
    """Flower's records and messages, in a process that is a task as its runtime would have it."""
    app = pytest.importorskip("flwr.app")
    from flwr.supercore.task_identity import TaskIdentity

    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
    return app


def sent(flwr, strategy, k, layers):
    """The messages that round k begins with."""
    return list(strategy.configure_train(k, record(flwr, layers), flwr.ConfigRecord(), Grid()))


def record(flwr, layers):
    return flwr.ArrayRecord({name: flwr.Array(np.asarray(x)) for name, x in layers.items()})


def reply(flwr, message, layers, weight):
    """What a client answers; ``layers`` None: an error."""
    if layers is None:
        return flwr.Message(flwr.Error(0, "away"), reply_to=message)
    metrics = flwr.MetricRecord({"num-examples": weight, "loss": 1.0})
    return flwr.Message(flwr.RecordDict({"arrays": record(flwr, layers), "metrics": metrics}), reply_to=message)


def arrays(received):
    return {name: array.numpy() for name, array in received.items()}


def test_flowers_strategy_by_hand(flwr):
    strategy = flower.Strategy("adam", lr=0.1, min_train_nodes=3)
    assert strategy.min_train_nodes == 3
    strategy.summary()
    server, now = ServerOptimizer("adam", lr=0.1), START
    early = [reply(flwr, m, now, 1) for m in sent(flwr, flower.Strategy("adam"), 1, now)]
    with pytest.raises(gs.GradstepValueError, match="comes after configure_train"):
        strategy.aggregate_train(1, early)
    for k in range(1, 7):
        messages = sent(flwr, strategy, k, now)
        assert [same(arrays(m.content["arrays"]), now) for m in messages] == [True] * 3
        models = [client.train(now) for client in CLIENTS]
        if k == 3:  # all fail
            models = [None] * 3
        if k == 4:  # one client has diverged
            models[0]["w"] = np.full(3, np.nan, np.float32)
        pairs = zip(messages, models, CLIENTS, strict=True)
        answers = [reply(flwr, m, layers, len(c.y)) for m, layers, c in pairs if k != 2]  # in 2, nobody answers
        moved_to, metrics = strategy.aggregate_train(k, answers)
        if k in (2, 3, 4):
            assert moved_to is None
            assert (metrics is None) == (k != 4)
        else:
            assert set(metrics) == {"loss"}
            now, expected = arrays(moved_to), server.step(now, average(models))
            assert same(now, expected)
            assert now["seen"].dtype == START["seen"].dtype
        assert strategy.server.t == server.t
    assert server.t == 3


def test_flowers_own_adam_has_the_defects(flwr):
    """So that the page on migrating says what is so: the same round of Flower's FedAdam, and here."""
    from flwr.serverapp.strategy import FedAdam

    now, mean = {"w": np.zeros(3, np.float32)}, {"w": np.array([1.0, -2.0, 100.0], np.float32)}
    steps = []
    for strategy in (FedAdam(tau=1e-9), flower.Strategy("adam", lr=0.1, beta2=0.99, eps=1e-9)):
        answers = [reply(flwr, m, mean, 1) for m in sent(flwr, strategy, 1, now)]
        steps.append(arrays(strategy.aggregate_train(1, answers)[0])["w"])
    assert [x.dtype.name for x in steps] == ["float64", "float32"]
    np.testing.assert_allclose(np.abs(steps[1]), 0.1, rtol=1e-6)
    share = np.sqrt((1 - 0.99**2) / (1 - 0.99)) / ((1 - 0.9**2) / (1 - 0.9))  # averages at t = 1, exponents at t = 2
    assert 0.74 < share < 0.75
    np.testing.assert_allclose(np.abs(steps[0]), 0.1 * share, rtol=1e-6)


def rounds(flwr, strategy, first=1):
    """The model after each of four rounds, in which the clients send what does not depend on it."""
    now, out = {"w": np.array([1.0, -2.0, 0.5])}, []
    for k in range(4):
        mean = {"w": np.random.default_rng(k).standard_normal(3)}
        answers = [reply(flwr, m, mean, 1) for m in sent(flwr, strategy, first + k, now)]
        now = arrays(strategy.aggregate_train(first + k, answers)[0])
        out.append(now["w"])
    return out


@pytest.mark.parametrize("line", ["FedAvg()", "FedAvgM(", "FedAdagrad(", "FedAdam("])
def test_the_strategies_of_the_page(flwr, line):
    """Each line as it stands there; FedAdam is told round 0 first, for it adds one."""
    from flwr.serverapp import strategy as theirs

    left, right = next(row for row in TABLE if row[0].startswith(line))
    other = eval(left, vars(theirs))  # noqa: S307 - our own page
    ours = eval(right, {"Strategy": flower.Strategy})  # noqa: S307
    expected = rounds(flwr, other, first=0 if line == "FedAdam(" else 1)
    np.testing.assert_allclose(rounds(flwr, ours), expected, rtol=1e-7 if line == "FedAdam(" else 1e-13)


def test_the_page_names_what_flower_has(flwr):
    import inspect

    from flwr.serverapp import strategy as theirs

    rows = " ".join(left for left, _ in TABLE)
    own = {"self", *inspect.signature(theirs.FedAvg.__init__).parameters}
    for name in ("FedAvgM", "FedAdagrad", "FedAdam"):
        for parameter in inspect.signature(getattr(theirs, name).__init__).parameters:
            assert parameter in own or parameter in rows, (name, parameter)
    assert flower.Strategy("sgd", fraction_train=0.5, min_train_nodes=3).fraction_train == 0.5
    with pytest.raises(gs.GradstepValueError, match="unknown hyperparameter 'eta_l'"):
        flower.Strategy("adam", eta_l=0.1)
    assert "yogi" not in registry()


@pytest.mark.process
def test_the_code_of_the_page_runs(tmp_path):
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    script(f"import os; os.chdir({str(tmp_path)!r})\n" + "\n".join(code))


@pytest.mark.process
def test_flower_is_loaded_when_the_strategy_is_asked_for():
    assert (
        "flwr"
        not in script("import sys, gradstep as gs; gs.interop.flower.ServerOptimizer; print(*sys.modules)").split()
    )
