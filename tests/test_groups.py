"""Groups by name pattern: who matches, what wins, factors and schedules, and what is refused."""

import copy

import numpy as np
import pytest

import gradstep as gs
from gradstep.form.chain import program
from gradstep.step.groups import assign
from support import clear, same

NAMES = ["embed.w", "layer1.w", "layer1.b", "layer2.w", "layer2.b", "Head"]


def assigned(groups, tx=None):
    return assign(groups, NAMES, program(tx or gs.adamw()))


def values(groups, name, t=0, tx=None):
    made = program(tx or gs.adamw())
    found = assign(groups, NAMES, made)
    return found.values(made.hyper)(t)[found.of[NAMES.index(name)]]


def nest(rng):
    return {
        "embed": {"w": rng.normal(size=(5, 3))},
        "layer": [{"w": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}, {"w": rng.normal(size=2)}],
    }


def trained(groups=None, rule="adamw", steps=4, engine="auto", **hyper):
    rng = np.random.default_rng(0)
    params = nest(rng)
    opt = gs.Optimizer(params, rule, groups=groups, engine=engine, **hyper)
    for _ in range(steps):
        opt.step(nest(rng))
    return opt


class TestMatching:
    def test_shell_patterns_with_case(self):
        assert assigned({"*.b": {"lr": 0.1}}).of == (0, 0, 1, 0, 1, 0)
        assert assigned({"layer?.w": {"lr": 0.1}}).of == (0, 1, 0, 1, 0, 0)
        assert assigned({"[Hh]ead": {"lr": 0.1}}).of[-1] == 1
        with pytest.raises(gs.GradstepValueError, match="'head' matches no parameter"):
            assigned({"head": {"lr": 0.1}})

    def test_without_groups_all_are_one(self):
        assert assigned(None).of == assigned({}).of == (0,) * 6
        assert assigned(None).labels == [""]

    def test_each_combination_is_a_group(self):
        found = assigned({"*.b": {"lr": 0.1}, "layer1.*": {"eps": 0.2}})
        assert len(found.labels) == 4
        assert "*.b & layer1.*" in found.labels
        assert found.of == (0, 1, 2, 0, 3, 0)

    def test_later_patterns_win(self):
        groups = {"layer*": {"lr": 0.1, "eps": 0.2}, "*.b": {"lr": 0.3}}
        assert values(groups, "layer1.b") == {**values(None, "Head"), "lr": 0.3, "eps": 0.2}
        assert values(groups, "layer1.w") == {**values(None, "Head"), "lr": 0.1, "eps": 0.2}
        assert values(dict(reversed(groups.items())), "layer1.b")["lr"] == 0.1

    def test_frozen_stays_frozen(self):
        for groups in ({"layer*": "freeze", "*.b": {"lr": 0.1}}, {"*.b": {"lr": 0.1}, "layer*": "freeze"}):
            assert assigned(groups).of == (0, None, None, None, None, 0)

    def test_all_may_be_frozen(self):
        opt = trained({"*": "freeze"}, steps=2)
        assert same(opt.params, nest(np.random.default_rng(0)))
        assert opt.t == 2
        assert opt.state == {}


class TestValues:
    def test_times_follows_what_is_shared(self):
        groups = {"*.b": {"lr": gs.times(0.5)}}
        tx = gs.adamw(lr=lambda t: 0.1 / (1 + t))
        assert [values(groups, "layer1.b", t, tx)["lr"] for t in range(3)] == [0.5 * (0.1 / (1 + t)) for t in range(3)]

    def test_a_group_may_have_its_own_schedule(self):
        groups = {"*.b": {"weight_decay": lambda t: float(t)}}
        assert [values(groups, "layer1.b", t)["weight_decay"] for t in range(3)] == [0.0, 1.0, 2.0]
        assert values(groups, "Head", 2)["weight_decay"] == 0.01

    def test_named_hyperparameters(self):
        tx = gs.chain(gs.l2(0.1, name="pull"), gs.sgd(lr=0.5))
        assert values({"*.b": {"pull.weight_decay": 0.0}}, "layer1.b", tx=tx) == {"pull.weight_decay": 0.0, "lr": 0.5}
        with pytest.raises(gs.GradstepValueError, match="unknown hyperparameter 'weight_decay'; did you mean pull"):
            values({"*.b": {"weight_decay": 0.0}}, "layer1.b", tx=tx)

    def test_changing_the_shared_value_reaches_times(self):
        opt = trained({"layer.*": {"lr": gs.times(0.0)}}, rule="sgd", lr=0.1)
        before = opt.params["layer"][0]["w"].copy(), opt.params["embed"]["w"].copy()
        opt.lr = 0.2
        rng = np.random.default_rng(9)
        grads = nest(rng)
        opt.step(grads)
        assert same(opt.params["layer"][0]["w"], before[0])
        assert same(opt.params["embed"]["w"], before[1] - 0.2 * grads["embed"]["w"])


@pytest.mark.parametrize("engine", ["auto", "eager"])
class TestTraining:
    def test_equal_groups_are_no_groups(self, engine):
        groups = {"embed*": {"lr": 1e-3}, "*.b": {"lr": gs.times(1.0)}, "layer.1*": {"eps": lambda t: 1e-8}}
        assert same(trained(groups, engine=engine).params, trained(engine=engine).params)

    def test_each_group_is_an_optimizer_of_its_own(self, engine):
        opt = trained({"embed*": {"lr": 0.5}, "layer.0.b": {"beta1": 0.3, "weight_decay": 0.0}}, engine=engine)
        slow, fast, bias = (
            trained(engine=engine, **own) for own in ({}, {"lr": 0.5}, {"beta1": 0.3, "weight_decay": 0.0})
        )
        assert same(opt.params["embed"], fast.params["embed"])
        assert same(opt.params["layer"][0]["b"], bias.params["layer"][0]["b"])
        assert same(opt.params["layer"][0]["w"], slow.params["layer"][0]["w"])
        assert same(opt.params["layer"][1], slow.params["layer"][1])

    def test_memory_of_each_group(self, engine):
        opt = trained({"embed*": {"beta1": 0.5}}, rule="nadam", engine=engine)
        assert same(opt.params["embed"], trained(rule="nadam", beta1=0.5, engine=engine).params["embed"])
        assert same(opt.params["layer"], trained(rule="nadam", engine=engine).params["layer"])
        assert [set(own) for own in opt.parts().memory] == [{"nadam.product"}] * 2
        assert opt.parts().memory[0] != opt.parts().memory[1]

    @pytest.mark.parametrize("clip", [gs.clip_by_norm, gs.clip_by_global_norm])
    def test_with_sums(self, engine, clip):
        tx = gs.chain(clip(1.5), gs.nadam(lr=0.1))
        plain = trained(rule=tx, engine=engine)
        grouped = trained({"embed*": {"lr": gs.times(1.0)}}, rule=tx, engine=engine)
        assert same(plain.params, grouped.params)
        other = trained({"embed*": {"lr": 0.2}}, rule=tx, engine=engine)
        assert same(plain.params["layer"], other.params["layer"])
        assert not same(plain.params["embed"], other.params["embed"])

    def test_a_frozen_array_does_not_count_in_a_norm(self, engine):
        tx = gs.chain(gs.clip_by_global_norm(1.0), gs.sgd(lr=1.0))
        params = {"a": np.zeros(1), "b": np.zeros(1)}
        opt = gs.Optimizer(params, tx, groups={"b": "freeze"}, engine=engine)
        opt.step({"a": np.array([2.0]), "b": np.array([100.0])})
        assert params["a"][0] == -1.0
        assert params["b"][0] == 0.0


@pytest.mark.parametrize(
    ("groups", "kind", "text"),
    [
        ({"*.bias": {"lr": 0.1}}, ValueError, "groups: '*.bias' matches no parameter; there are embed.w"),
        ({"*.b": {"rho": 0.1}}, ValueError, "groups: '*.b' has the unknown hyperparameter 'rho'"),
        ({"*.b": {"leraning": 0.1}}, ValueError, "unknown hyperparameter 'leraning'"),
        ({"*.b": {"lr": -0.1}}, ValueError, "groups: '*.b': lr must be finite and >= 0"),
        ({"*.b": {"lr": "0.1"}}, TypeError, "groups: '*.b': lr must be a number or a schedule"),
        ({"*.b": 0.1}, TypeError, "groups: '*.b' must be a dict of hyperparameters, a rule such as gs.sgd(lr=0.1) or"),
        ({"*.b": "frozen"}, TypeError, "must be a dict of hyperparameters"),
        ({"*.b": None}, TypeError, "must be a dict of hyperparameters"),
        ({"*.b": np.ones(3)}, TypeError, "must be a dict of hyperparameters"),
        ({3: {"lr": 0.1}}, TypeError, "a pattern of dotted names is a str, not 3"),
        ([("*.b", {"lr": 0.1})], TypeError, "groups must be a dict by name pattern"),
        ("freeze", TypeError, "groups must be a dict by name pattern"),
        ({"*.b": {3: 0.1}}, ValueError, "unknown hyperparameter '3'"),
    ],
)
def test_what_is_refused(groups, kind, text):
    with pytest.raises(kind) as error:
        assigned(groups)
    assert isinstance(error.value, gs.GradstepError)
    assert text in str(error.value)
    assert clear(error)


def test_a_factor_that_leaves_the_domain_is_refused_at_once():
    with pytest.raises(gs.GradstepValueError, match=r"groups: 'a': beta1 must be finite and >= 0 and < 1, not 1.8"):
        gs.Optimizer({"a": np.ones(1)}, "adam", groups={"a": {"beta1": gs.times(2.0)}})


class TestSetInMidRun:
    @pytest.mark.parametrize("engine", ["auto", "eager"])
    def test_a_group_is_then_an_optimizer_with_that_value(self, engine):
        opts = {
            name: gs.Optimizer({"a": np.ones(2), "b": np.ones(2)}, "adamw", engine=engine, groups={"b": {"lr": lr}})
            for name, lr in {"set": 0.5, "schedule": lambda t: 0.5 if t < 2 else 0.25}.items()
        }
        for k in range(4):
            if k == 2:
                opts["set"].groups["b"]["lr"] = 0.25
            for opt in opts.values():
                opt.step({"a": np.ones(2) / (k + 1), "b": np.ones(2) / (k + 1)})
        assert opts["set"].groups["b"]["lr"] == 0.25
        assert same(opts["set"].params, opts["schedule"].params)

    def test_a_value_that_it_had_not_and_one_taken_back(self):
        opt = gs.Optimizer({"a": np.zeros(1), "b": np.zeros(1)}, "sgd", lr=1.0, groups={"b": {}})
        ones = {"a": np.ones(1), "b": np.ones(1)}
        opt.groups["b"]["lr"] = gs.times(0.5)
        opt.step(ones)
        assert [x[0] for x in opt.params.values()] == [-1.0, -0.5]
        del opt.groups["b"]["lr"]
        opt.step(ones)
        assert [x[0] for x in opt.params.values()] == [-2.0, -1.5]

    def test_later_patterns_still_win(self):
        groups = {"*": {"lr": 0.5}, "b": {"lr": 0.25}, "frozen": "freeze"}
        opt = gs.Optimizer({k: np.zeros(1) for k in ("a", "b", "frozen")}, "sgd", groups=groups)
        opt.groups["*"]["lr"] = 2.0
        opt.step({k: np.ones(1) for k in ("a", "b", "frozen")})
        assert [x[0] for x in opt.params.values()] == [-2.0, -0.25, 0.0]
        assert {pattern: dict(own) for pattern, own in opt.groups.items()} == {"*": {"lr": 2.0}, "b": {"lr": 0.25}}
        assert groups["*"] == {"lr": 0.5}  # the caller's own

    def test_copies_and_files_have_it(self, tmp_path):
        def made(lr):
            return gs.Optimizer({"a": np.zeros(1), "b": np.zeros(1)}, "sgd", groups={"b": {"lr": lr}})

        opt, ones = made(0.5), {"a": np.ones(1), "b": np.ones(1)}
        opt.groups["b"]["lr"] = 0.25
        twin = copy.deepcopy(opt)
        opt.groups["b"]["lr"] = 8.0
        twin.step(ones)
        assert twin.params["b"][0] == -0.25
        twin.save(tmp_path / "a.safetensors")
        again = made(0.5)
        again.restore(tmp_path / "a.safetensors")
        again.step(ones)
        assert again.params["b"][0] == -0.5

    @pytest.mark.parametrize(
        ("change", "kind", "text"),
        [
            (lambda opt: opt.groups["*.bais"], ValueError, "groups: there is no '*.bais'; did you mean *.bias?"),
            (lambda opt: opt.groups["c"], ValueError, "groups: there is no 'c'; known: *.bias."),
            (lambda opt: opt.groups["*.bias"].__setitem__("rho", 1), ValueError, "unknown hyperparameter 'rho'"),
            (lambda opt: opt.groups["*.bias"].__setitem__("lr", -1), ValueError, "lr must be finite and >= 0"),
            (lambda opt: opt.groups["*.bias"].__setitem__("lr", "1"), TypeError, "lr must be a number or a schedule"),
            (lambda opt: opt.groups["*.bias"].__setitem__("eps", 1.0), ValueError, "eps follows the schedule"),
            (lambda opt: setattr(opt, "groups", {}), AttributeError, "opt.groups cannot be set"),
        ],
    )
    def test_what_is_refused(self, change, kind, text):
        groups = {"*.bias": {"lr": 0.5, "eps": gs.schedules.constant(0.1)}, "c": "freeze"}
        opt = gs.Optimizer({"a.bias": np.zeros(1), "c": np.zeros(1)}, "adam", groups=groups)
        with pytest.raises(kind) as error:
            change(opt)
        assert isinstance(error.value, gs.GradstepError)
        assert text in str(error.value)
        assert dict(opt.groups["*.bias"]) == groups["*.bias"]
