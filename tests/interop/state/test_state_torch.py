"""State from and to torch.optim: the training goes on as if it had never moved, and what does not fit is refused."""

import copy
import threading

import numpy as np
import pytest
from moving import AFTER, BEFORE, NAMES, close, gradients, of_vectors, optimizer, snapshot, start

import gradstep as gs
from gradstep.errors import GradstepError, GradstepTypeError, GradstepValueError
from gradstep.rule import registry

torch = pytest.importorskip("torch")
state = pytest.importorskip("gradstep.interop.state.torch")

CASES = {  # constructor and arguments, torch's and ours alike
    "SGD": {"lr": 0.1},
    "SGD momentum": {"lr": 0.1, "momentum": 0.9},
    "SGD dampened": {"lr": 0.1, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01},
    "SGD nesterov": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True},
    "Adagrad": {"lr": 0.1},
    "Adagrad decaying": {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.2},
    "Adadelta": {"rho": 0.8},
    "RMSprop": {"lr": 0.01},
    "RMSprop momentum": {"lr": 0.01, "momentum": 0.7},
    "RMSprop centered": {"lr": 0.01, "centered": True, "alpha": 0.9},
    "RMSprop both": {"lr": 0.01, "centered": True, "momentum": 0.7, "weight_decay": 0.1},
    "Adam": {"lr": 0.01},
    "Adam amsgrad": {"lr": 0.01, "amsgrad": True, "betas": (0.8, 0.9), "weight_decay": 0.1},
    "AdamW": {"lr": 0.01},
    "AdamW amsgrad": {"lr": 0.01, "amsgrad": True, "weight_decay": 0.3},
    "Adamax": {"lr": 0.01},
    "NAdam": {"lr": 0.01, "betas": (0.8, 0.99)},
    "RAdam": {"lr": 0.01, "betas": (0.8, 0.99)},
    "RAdam decoupled": {"lr": 0.01, "decoupled_weight_decay": True, "weight_decay": 0.1},
    "Rprop": {"etas": (0.6, 1.1)},
    "ASGD": {"lr": 0.1, "lambd": 0.1, "t0": 2.0, "weight_decay": 0.1},
    "Adafactor": {"lr": 0.1, "beta2_decay": -0.5},
    "Adafactor floor": {"lr": 0.1, "eps": (0.1, 0.1), "maximize": True},
}


@pytest.fixture(autouse=True)
def double():
    """torch keeps the product of NAdam in the default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def stage(case):
    return getattr(gs.conventions.torch, case.split()[0])(**CASES[case])


def theirs(case, params, **other):
    tensors = [torch.nn.Parameter(torch.tensor(x)) for x in params.values()]
    return tensors, getattr(torch.optim, case.split()[0])(tensors, **{**CASES[case], **other})


def go(optim, tensors, grads):
    for own in grads:
        for p, g in zip(tensors, own.values(), strict=True):
            p.grad = torch.tensor(g)
        optim.step()


def values(tensors):
    return {name: p.detach().numpy().copy() for name, p in zip(NAMES, tensors, strict=True)}


@pytest.mark.parametrize("engine", ["compiled", "eager"])
@pytest.mark.parametrize("case", CASES)
class TestGoesOn:
    def test_from_torch(self, case, engine):
        tensors, optim = theirs(case, start())
        grads = gradients(BEFORE + AFTER)
        go(optim, tensors, grads[:BEFORE])
        opt = optimizer(stage(case), values(tensors), engine)
        state.load_state(opt, optim.state_dict(), t=BEFORE)
        assert opt.t == BEFORE
        for own in grads[BEFORE:]:
            opt.step(own)
        go(optim, tensors, grads[BEFORE:])
        close(opt.params, values(tensors), 1e-12)

    @pytest.mark.parametrize("steps", [0, 3])
    def test_to_torch(self, case, engine, steps):
        """Into an optimizer that has made no step, and into one that has."""
        grads = gradients(BEFORE + AFTER)
        opt = optimizer(stage(case), start(), engine)
        for own in grads[:BEFORE]:
            opt.step(own)
        tensors, optim = theirs(case, start())
        go(optim, tensors, gradients(steps, seed=9))
        optim.load_state_dict(state.dump_state(opt, optim.state_dict()))
        with torch.no_grad():
            for p, x in zip(tensors, opt.params.values(), strict=True):
                p.copy_(torch.tensor(x))
        go(optim, tensors, grads[BEFORE:])
        for own in grads[BEFORE:]:
            opt.step(own)
        close(opt.params, values(tensors), 1e-12)

    def test_there_and_back_keeps_every_bit(self, case, engine):
        opt = optimizer(stage(case), start(), engine)
        for own in gradients(BEFORE):
            opt.step(own)
        _, optim = theirs(case, start())
        optim.load_state_dict(state.dump_state(opt, optim.state_dict()))
        other = optimizer(stage(case), opt.params, engine)
        state.load_state(other, optim.state_dict(), t=BEFORE)
        assert of_vectors(other, snapshot(other)) == of_vectors(opt, snapshot(opt))


@pytest.mark.parametrize("case", CASES)
def test_a_dump_is_what_torch_itself_has(case):
    """The same keys in the same order, of the same kinds."""
    tensors, optim = theirs(case, start())
    empty = optim.state_dict()
    go(optim, tensors, gradients(1))
    opt = optimizer(stage(case), start())
    opt.step(gradients(1)[0])
    made, usual = state.dump_state(opt, empty), optim.state_dict()
    assert made["param_groups"] == usual["param_groups"]
    assert {k: {key: (x.dtype, x.shape) for key, x in own.items()} for k, own in made["state"].items()} == {
        k: {key: (x.dtype, x.shape) for key, x in own.items()} for k, own in usual["state"].items()
    }


def test_the_step_is_float32_by_default():
    torch.set_default_dtype(torch.float32)
    opt = optimizer(gs.conventions.torch.Adam(), start())
    opt.step(gradients(1)[0])
    _, optim = theirs("Adam", start())
    made = state.dump_state(opt, optim.state_dict())["state"][0]["step"]
    assert made.dtype == torch.float32
    assert made == 1.0


def test_before_the_first_step():
    """torch's own first step is not dampened."""
    opt = optimizer(stage("SGD dampened"), start())
    tensors, optim = theirs("SGD dampened", start())
    assert state.dump_state(opt, optim.state_dict())["state"] == {}
    adam = optimizer(stage("Adam"), start())
    tensors, optim = theirs("Adam", start())
    optim.load_state_dict(state.dump_state(adam, optim.state_dict()))
    go(optim, tensors, gradients(2))
    for own in gradients(2):
        adam.step(own)
    close(adam.params, values(tensors), 1e-12)


class TestOurSide:
    def test_names_in_another_order(self):
        tensors, optim = theirs("Adam", start())
        go(optim, tensors, gradients(2))
        turned = dict(reversed(values(tensors).items()))
        opt = optimizer(stage("Adam"), turned)
        state.load_state(opt, optim.state_dict(), NAMES)
        for name, p in zip(NAMES, tensors, strict=True):
            np.testing.assert_array_equal(opt.state[name]["adam.m"], optim.state[p]["exp_avg"].numpy())
        back = state.dump_state(opt, optim.state_dict(), iter(NAMES))
        torch.testing.assert_close(back, optim.state_dict(), rtol=0, atol=0)

    @pytest.mark.parametrize("names", [None, NAMES])
    def test_frozen_parameters_are_left_out(self, names):
        tensors, optim = theirs("Adam", start())
        go(optim, tensors, gradients(2))
        opt = optimizer(stage("Adam"), values(tensors), groups={"scale": "freeze"})
        state.load_state(opt, optim.state_dict(), names)
        assert (opt.t, list(opt.state)) == (2, NAMES[:2])
        opt.step(gradients(1)[0])
        back = state.dump_state(opt, optim.state_dict(), names)["state"]
        assert [own["step"].item() for own in back.values()] == [3, 3, 2]

    def test_fewer_there_than_here_where_the_others_are_frozen(self):
        params = start()
        tensors = [torch.nn.Parameter(torch.tensor(params[name])) for name in NAMES[:2]]
        optim = torch.optim.Adam(tensors)
        go(optim, tensors, [{name: own[name] for name in NAMES[:2]} for own in gradients(2)])
        opt = optimizer("adam", params, groups={"scale": "freeze"})
        state.load_state(opt, optim.state_dict())
        assert opt.t == 2

    @pytest.mark.parametrize("case", ["RAdam", "NAdam"])
    def test_memory_of_every_group(self, case):
        tensors, optim = theirs(case, start())
        go(optim, tensors, gradients(BEFORE))
        groups = {"layer.*": {"lr": 0.5}, "scale": {"lr": 0.1}}
        opt = optimizer(stage(case), start(), groups=groups)
        state.load_state(opt, optim.state_dict())
        usual = optimizer(stage(case), start(), groups=groups)
        for own in gradients(BEFORE):
            usual.step(own)
        assert len(opt.parts().memory) == 2
        assert opt.parts().memory == usual.parts().memory

    def test_groups_there(self):
        params = [torch.nn.Parameter(torch.tensor(x)) for x in start().values()]
        optim = torch.optim.Adam([{"params": params[:1], "lr": 0.5}, {"params": params[1:]}])
        go(optim, params, gradients(3))
        opt = optimizer("adam", start())
        state.load_state(opt, optim.state_dict())
        assert opt.t == 3

    def test_hyperparameters_and_skipped_steps_stay(self):
        tensors, optim = theirs("Adam", start())
        go(optim, tensors, gradients(1))
        opt = optimizer("adam", start(), lr=0.7, on_nonfinite="skip")
        opt.step({name: x * np.nan for name, x in gradients(1)[0].items()})
        state.load_state(opt, optim.state_dict())
        assert (opt.lr, opt.skipped, opt.t) == (0.7, 1, 1)

    def test_parameters_that_are_tensors(self):
        tensors, optim = theirs("Adam", start())
        go(optim, tensors, gradients(2))
        own = dict(zip(["a", "b", "c"], (p.detach().clone() for p in tensors), strict=True))
        opt = gs.Optimizer(own, "adam", lr=0.01)
        state.load_state(opt, optim.state_dict())
        grads = gradients(3, seed=5)
        go(optim, tensors, grads)
        for each in grads:
            opt.step(dict(zip("abc", map(torch.tensor, each.values()), strict=True)))
        close({n: x.numpy() for n, x in zip(NAMES, own.values(), strict=True)}, values(tensors), 1e-12)

    def test_complex_parameters(self):
        rng = np.random.default_rng(0)
        x, grads = (rng.normal(size=(k, 4, 2)) @ [1, 1j] for k in (1, 9))
        tensor = torch.nn.Parameter(torch.tensor(x[0]))
        optim = torch.optim.Adam([tensor], lr=0.01)
        for g in grads[:5]:
            tensor.grad = torch.tensor(g)
            optim.step()
        opt = optimizer("adam", {"z": tensor.detach().numpy()}, lr=0.01)
        state.load_state(opt, optim.state_dict())
        for g in grads[5:]:
            tensor.grad = torch.tensor(g)
            optim.step()
            opt.step({"z": g})
        np.testing.assert_allclose(opt.params["z"], tensor.detach().numpy(), rtol=1e-12)
        back = state.dump_state(opt, optim.state_dict())["state"][0]
        np.testing.assert_allclose(back["exp_avg"].numpy(), optim.state[tensor]["exp_avg"].numpy(), rtol=1e-12)

    def test_complex_signs(self):
        """Rprop compares those of real and imaginary parts."""
        rng = np.random.default_rng(0)
        x, grads = (rng.normal(size=(k, 4, 2)) @ [1, 1j] for k in (1, 9))
        tensor = torch.nn.Parameter(torch.tensor(x[0]))
        optim = torch.optim.Rprop([tensor])
        go(optim, [tensor], [{"z": g} for g in grads[:5]])
        opt = optimizer("rprop", {"z": tensor.detach().numpy()})
        state.load_state(opt, optim.state_dict())
        for g in grads[5:]:
            opt.step({"z": g})
        go(optim, [tensor], [{"z": g} for g in grads[5:]])
        np.testing.assert_array_equal(opt.params["z"], tensor.detach().numpy())

    @pytest.mark.parametrize("given", [{}, {"nesterov": False, "adjust_lr_fn": "match_rms_adamw"}])
    def test_muon_takes_matrices_alone(self, given, monkeypatch):
        monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
        rng = np.random.default_rng(0)
        x, grads = rng.normal(size=(3, 2)), [{"w": g} for g in rng.normal(size=(9, 3, 2))]
        tensor = torch.nn.Parameter(torch.tensor(x))
        optim = torch.optim.Muon([tensor], **given)
        go(optim, [tensor], grads[:4])
        opt = optimizer(gs.conventions.torch.Muon(**given), {"w": tensor.detach().numpy()})
        state.load_state(opt, optim.state_dict(), t=4)
        for g in grads[4:]:
            opt.step(g)
        go(optim, [tensor], grads[4:])
        np.testing.assert_allclose(opt.params["w"], tensor.detach().numpy(), rtol=1e-12)
        back = state.dump_state(opt, optim.state_dict())["state"][0]
        np.testing.assert_allclose(back["momentum_buffer"].numpy(), optim.state[tensor]["momentum_buffer"].numpy())
        assert list(back) == ["momentum_buffer"]

    def test_16_bits_there_are_widened_and_nothing_is_rounded_back(self):
        pytest.importorskip("ml_dtypes")
        tensors = [torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))]
        optim = torch.optim.Adam(tensors)
        tensors[0].grad = torch.full((3,), 0.1, dtype=torch.bfloat16)
        optim.step()
        opt = optimizer("adam", {"w": np.ones(3, np.float32)})
        state.load_state(opt, optim.state_dict())
        np.testing.assert_array_equal(opt.state["w"]["adam.m"], optim.state[tensors[0]]["exp_avg"].float().numpy())
        torch.testing.assert_close(state.dump_state(opt, optim.state_dict()), optim.state_dict(), rtol=0, atol=0)
        opt.step({"w": np.full(3, 0.1, np.float32)})
        with pytest.raises(GradstepValueError, match=r"adam.m of 'w' is float32 here and would be rounded to bfloat16"):
            state.dump_state(opt, optim.state_dict())

    def test_a_dump_shares_nothing(self):
        opt = optimizer("adam", start())
        opt.step(gradients(1)[0])
        _, optim = theirs("Adam", start())
        made = state.dump_state(opt, optim.state_dict())
        before = snapshot(opt)
        for own in made["state"].values():
            for x in own.values():
                x.fill_(7)
        assert snapshot(opt) == before


class TestCount:
    def test_sgd_counts_none(self):
        tensors, optim = theirs("SGD momentum", start())
        go(optim, tensors, gradients(4))
        opt = optimizer(stage("SGD momentum"), start())
        state.load_state(opt, optim.state_dict())
        assert opt.t == 1
        state.load_state(opt, optim.state_dict(), t=4)
        assert opt.t == 4
        state.load_state(opt, optim.state_dict())
        assert opt.t == 4

    def test_a_schedule_needs_it(self):
        tensors, optim = theirs("SGD momentum", start())
        go(optim, tensors, gradients(4))
        opt = optimizer(gs.conventions.torch.SGD(lr=gs.schedules.linear(0.1, 10), momentum=0.9), start())
        refuses(opt, optim.state_dict(), r"counts no updates, and a schedule of this optimizer needs to know: t=")
        state.load_state(opt, optim.state_dict(), t=4)
        assert opt.t == 4

    def test_memory_where_a_hyperparameter_follows_a_schedule(self):
        decaying = gs.schedules.linear(0.99, 10, 0.9)
        usual = optimizer(gs.chain(registry(None)["radam_torch"](beta2=decaying)), start())
        for own in gradients(BEFORE):
            usual.step(own)
        tensors, optim = theirs("RAdam", start())
        go(optim, tensors, gradients(1))
        other = optimizer(usual.stage, start())
        state.load_state(other, state.dump_state(usual, optim.state_dict()))
        assert snapshot(other)[3] == snapshot(usual)[3]

    def test_theirs_where_the_hyperparameters_were_others(self):
        tensors, optim = theirs("NAdam", start())
        go(optim, tensors, gradients(BEFORE))
        opt = optimizer(stage("NAdam"), start(), groups={"scale": {"beta1": 0.3}})
        state.load_state(opt, optim.state_dict())
        assert [own["nadam_torch.product"] for own in opt.parts().memory] == [
            pytest.approx(optim.state[tensors[0]]["mu_product"].item(), rel=1e-15),
            optim.state[tensors[2]]["mu_product"].item(),
        ]


def refuses(opt, state_dict, why, names=None, error=GradstepValueError, **options):
    before = snapshot(opt)
    kept = copy.deepcopy(state_dict)
    with pytest.raises(error, match=why):
        state.load_state(opt, state_dict, names, **options)
    assert snapshot(opt) == before
    torch.testing.assert_close(state_dict, kept, rtol=0, atol=0, equal_nan=True)


def after(case, steps=2, **other):
    tensors, optim = theirs(case, start(), **other)
    go(optim, tensors, gradients(steps))
    return optim.state_dict()


class TestRefusals:
    @pytest.mark.parametrize("rule", ["adam_eps_hat", "amsgrad", "momentum", "adam_uncorrected", "nadam"])
    def test_a_rule_that_torch_does_not_have(self, rule):
        why = f"nothing for the {rule} of this optimizer in it; it keeps what adam or adamw or amsgrad_corrected keeps"
        refuses(optimizer(rule, start()), after("Adam"), why)
        with pytest.raises(GradstepValueError, match=why):
            state.dump_state(optimizer(rule, start()), after("Adam"))

    def test_chains_that_torch_does_not_have(self):
        rules, state_dict = registry(None), after("RMSprop both")
        opt = optimizer(gs.chain(rules["rmsprop"], rules["unfolded_momentum"]), start())
        refuses(opt, state_dict, "rmsprop and unfolded_momentum both move the parameters here")
        opt = optimizer(gs.chain(*(rules[name] for name in ("scale_by_rms", "scale_by_centered_rms", "sgd"))), start())
        refuses(opt, state_dict, "scale_by_centered_rms does not stand at this place of a chain there")

    def test_more_there(self):
        refuses(optimizer("sgd", start()), after("SGD momentum"), "keeps momentum_buffer, which nothing in the chain")
        refuses(optimizer("adam", start()), after("Adam amsgrad"), "keeps max_exp_avg_sq, which nothing in the chain")

    def test_less_there(self):
        opt = optimizer(stage("Adam amsgrad"), start())
        refuses(opt, after("Adam"), r"keeps no max_exp_avg_sq, which is amsgrad_corrected.top here")

    def test_no_step_made(self):
        refuses(optimizer("adam", start()), after("Adam", 0), "'layer.w' has no exp_avg there: it has made no step")

    def test_a_missing_array(self):
        state_dict = after("Adam")
        del state_dict["state"][1]["exp_avg_sq"]
        refuses(optimizer("adam", start()), state_dict, r"'layer.b' has no exp_avg_sq there")

    def test_another_shape(self):
        state_dict = after("Adam")
        state_dict["state"][1]["exp_avg"] = torch.zeros(3)
        refuses(
            optimizer("adam", start()), state_dict, r"adam.m of 'layer.b' has the shape \(3,\) there, and \(2,\) here"
        )

    def test_another_dtype(self):
        state_dict = after("Adam")
        state_dict["state"][2]["exp_avg"] = torch.tensor(3)
        refuses(
            optimizer("adam", start()), state_dict, r"adam.m of 'scale' is int64 there, and must be of real or complex"
        )
        state_dict["state"][2]["exp_avg"] = torch.tensor(3j)
        refuses(optimizer("adam", start()), state_dict, r"adam.m of 'scale' is complex128 there, and float64 here")

    def test_digits_that_would_be_lost(self):
        opt = optimizer("adam", start("float32"))
        refuses(opt, after("Adam"), "adam.m of 'layer.w' is float64 there and would be rounded to float32 here")

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_numbers_that_are_not_finite(self, bad):
        state_dict = after("Adam")
        state_dict["state"][1]["exp_avg"][1] = bad
        refuses(optimizer("adam", start()), state_dict, "adam.m of 'layer.b' is not finite there")
        opt = optimizer("adam", start())
        opt.state["scale"]["adam.v"][...] = bad
        with pytest.raises(GradstepValueError, match=r"adam.v of 'scale' is not finite here"):
            state.dump_state(opt, after("Adam"))

    def test_squares_below_zero(self):
        state_dict = after("Adam")
        state_dict["state"][1]["exp_avg_sq"][1] = -1
        refuses(optimizer("adam", start()), state_dict, "adam.v of 'layer.b' is below zero there")

    def test_counts_that_differ(self):
        state_dict = after("Adam")
        state_dict["state"][1]["step"] = torch.tensor(9.0)
        refuses(
            optimizer("adam", start()), state_dict, "step of 'layer.w' says 2 updates, and step of 'layer.b' says 9"
        )
        refuses(optimizer("adam", start()), after("Adam"), "t says 5 updates, and step of 'layer.w' says 2", t=5)

    @pytest.mark.parametrize("bad", [-1.0, 1.5, np.nan, np.inf])
    def test_what_is_no_count(self, bad):
        state_dict = after("Adam")
        state_dict["state"][0]["step"] = torch.tensor(bad)
        refuses(optimizer("adam", start()), state_dict, "step of 'layer.w' is no number of updates")
        refuses(optimizer("adam", start()), after("Adam"), "t must be the number", t=bad, error=GradstepTypeError)

    def test_names(self):
        opt, state_dict = optimizer("adam", start()), after("Adam")
        refuses(opt, state_dict, r"unknown parameter 'layer.v'; did you mean", ["layer.v", "layer.b", "scale"])
        refuses(opt, state_dict, r"'scale' is named twice", ["layer.w", "scale", "scale"])
        refuses(opt, state_dict, r"it has 3 parameters, and there are 2 names", ["layer.w", "scale"])
        refuses(opt, state_dict, r"names must be a list", "layer.w", GradstepTypeError)
        refuses(opt, state_dict, r"names must be a list", [1, 2, 3], GradstepTypeError)
        two = optimizer("adam", {"a": np.ones(2), "b": np.ones(2)})
        refuses(two, state_dict, r"it has 3 parameters, and this optimizer 2; name those that it has")

    def test_one_that_is_optimized_here_alone(self):
        params = [torch.nn.Parameter(torch.tensor(x)) for x in list(start().values())[:2]]
        optim = torch.optim.Adam(params)
        refuses(
            optimizer("adam", start()), optim.state_dict(), "'scale', which is optimized here, is not among", NAMES[:2]
        )

    def test_optimizers_that_are_unknown(self):
        optim = torch.optim.LBFGS([torch.nn.Parameter(torch.ones(2))])
        refuses(
            optimizer("adam", start()), optim.state_dict(), "torch: no optimizer that is known here has the options"
        )
        mixed = after("Adam")
        mixed["param_groups"].append(after("SGD")["param_groups"][0])
        refuses(optimizer("adam", start()), mixed, "its groups are of several kinds, Adam, SGD")

    def test_groups_that_keep_different_things(self):
        params = [torch.nn.Parameter(torch.tensor(x)) for x in start().values()]
        optim = torch.optim.SGD([{"params": params[:1], "momentum": 0.9}, {"params": params[1:]}])
        opt = optimizer(stage("SGD momentum"), start())
        refuses(opt, optim.state_dict(), "it keeps no momentum_buffer, which is unfolded_momentum.b here")

    def test_what_is_no_state_dict_and_no_optimizer(self):
        refuses(
            optimizer("adam", start()),
            {"state": {}},
            "expected what torch_optimizer.state_dict",
            error=GradstepTypeError,
        )
        with pytest.raises(GradstepTypeError, match=r"expected a gradstep.Optimizer, not dict"):
            state.load_state({}, after("Adam"))

    @pytest.mark.parametrize("how", [{"state_dtype": "8bit"}, {"state_dtype": "bfloat16"}, {"master": True}])
    def test_state_in_fewer_bits(self, how):
        ml_dtypes = pytest.importorskip("ml_dtypes")
        dtype = ml_dtypes.bfloat16 if "master" in how else "float32"
        opt = optimizer("adam", start(dtype), **how)
        refuses(
            opt,
            after("Adam"),
            "this optimizer is made with (state_dtype|master)=.*, which no other library's state has",
        )

    def test_a_product_that_is_none(self):
        state_dict = after("NAdam")
        opt = optimizer(stage("NAdam"), start())
        state_dict["state"][0]["mu_product"] = torch.tensor(1.5)
        refuses(opt, state_dict, r"product of 'layer.w' is .*1.5.*, and is a product of numbers from 0 to 1")
        state_dict["state"][0]["mu_product"] = torch.tensor(0.9)
        refuses(opt, state_dict, r"product of 'layer.[wb]' differs from that of others in its group here")

    def test_a_count_that_float32_does_not_have(self):
        torch.set_default_dtype(torch.float32)
        opt = optimizer("adam", start())
        parts = opt.parts()
        parts.take(parts.hyper, parts.memory, 2**24 + 1, 0)
        _, optim = theirs("Adam", start())
        with pytest.raises(GradstepError, match="t = 16777217 is no float32"):
            state.dump_state(opt, optim.state_dict())


def test_every_rule_of_the_table_exists():
    assert {rule for kind in state.KINDS.values() for rule in kind.places} <= registry(None).keys()


@pytest.mark.parametrize("act", [state.load_state, state.dump_state])
def test_it_waits_for_a_step_of_another_thread(act):
    """Without that, arrays of one update stood beside the t of another."""
    opt = optimizer(stage("Adam"), start())
    tensors, optim = theirs("Adam", start())
    go(optim, tensors, gradients(BEFORE))
    other = threading.Thread(target=act, args=(opt, optim.state_dict()))
    with opt.parts().lock:  # as in a step
        other.start()
        other.join(0.2)
        assert other.is_alive()
        assert opt.t == 0
    other.join()
    assert opt.t == (BEFORE if act is state.load_state else 0)
