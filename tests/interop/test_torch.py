"""The guest in torch: what ``torch.optim.Optimizer`` promises, kept, with torch's own optimizers beside it."""

import copy
import io
import math
import pickle

import numpy as np
import pytest

import gradstep as gs
from support import at_line, clear

torch = pytest.importorskip("torch")
from gradstep.interop.torch import (  # noqa: E402 - need torch
    Optimizer,
    bucket,
    buckets,
)

SAME = {"rtol": 0.0, "atol": 1e-12}


def network(dtype=None, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
    return net.to(dtype or torch.float64)


DATA = torch.from_numpy(np.random.default_rng(0).standard_normal((16, 4)))


def backward(net, opt=None):
    for p in net.parameters():
        p.grad = None
    x = DATA.to(next(net.parameters()).dtype)
    loss = (net(x) - x.sum(dim=1, keepdim=True)).square().mean()
    loss.backward()
    return loss


def train(net, opt, steps, scheduler=None):
    lrs = []
    for _ in range(steps):
        loss = backward(net)
        opt.step()
        if scheduler is not None:
            plateau = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
            scheduler.step(loss.item()) if plateau else scheduler.step()
            lrs.append([group["lr"] for group in opt.param_groups])
    return lrs


def assert_alike(net, other, exact=False):
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, **({"rtol": 0.0, "atol": 0.0} if exact else SAME))


def saved(thing):
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def tensor(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype, requires_grad=True)


class TestParity:
    """torch's own numbers, within rounding."""

    CASES = (
        ("Adam", {"lr": 0.01}),
        ("Adam", {"lr": 0.01, "betas": (0.8, 0.9), "weight_decay": 0.1, "maximize": True}),
        ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
        ("SGD", {"lr": 0.01, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1}),
        ("RMSprop", {"lr": 0.01, "momentum": 0.9, "centered": True}),
    )

    @pytest.mark.parametrize(("name", "hyper"), CASES)
    def test_optimizers(self, name, hyper):
        net, other = network(), network()
        train(net, Optimizer(net.parameters(), f"torch.{name}", **hyper), 20)
        train(other, getattr(torch.optim, name)(other.parameters(), **hyper), 20)
        assert_alike(net, other)

    @pytest.mark.parametrize("name", ["Adam", "AdamW"])
    def test_groups_with_other_values(self, name):
        def groups(net):
            weights, biases = ([p for p in net.parameters() if (p.ndim > 1) is wide] for wide in (True, False))
            return [
                {"params": weights, "weight_decay": 0.1},
                {"params": biases[:1], "weight_decay": 0.0, "betas": (0.5, 0.9)},
                {"params": biases[1:], "lr": 0.05},
            ]

        net, other = network(), network()
        opt = Optimizer(groups(net), f"torch.{name}", lr=0.01)
        train(net, opt, 20)
        train(other, getattr(torch.optim, name)(groups(other), lr=0.01), 20)
        assert_alike(net, other)
        assert len(opt._buckets.each) == 1  # decayed or not, all go in one pass

    def test_a_rule_of_our_own(self):
        net, other = network(), network()
        train(net, Optimizer(net.parameters(), "adam", lr=0.01, beta1=0.8), 20)
        train(other, torch.optim.Adam(other.parameters(), lr=0.01, betas=(0.8, 0.999)), 20)
        assert_alike(net, other)

    def test_without_a_gradient_a_parameter_stays_and_its_steps_are_not_counted(self):
        def run(make):
            a, b, c = tensor(1.0, 2.0), tensor(3.0), tensor(4.0)
            opt = make([{"params": [a, b]}, {"params": [c], "weight_decay": 0.1}])
            for has in ((1, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 0)):
                for p, own in zip((a, b, c), has, strict=True):
                    p.grad = p.detach().clone() if own else None
                opt.step()
            return opt, a, b, c

        opt, *ours = run(lambda params: Optimizer(params, "torch.AdamW", lr=0.1))
        other, *theirs = run(lambda params: torch.optim.AdamW(params, lr=0.1))
        torch.testing.assert_close(ours, theirs, **SAME)
        assert [int(opt.state[p]["step"]) for p in ours] == [int(other.state[p]["step"]) for p in theirs] == [4, 3, 4]

    @pytest.mark.parametrize("name", ["NAdam", "RAdam"])
    def test_numbers_on_the_host_are_kept_for_each_parameter(self, name):
        def run(make):
            a, b = tensor(1.0), tensor(3.0)
            opt = make([a, b])
            for k in range(9):
                a.grad = a.detach().clone() if k % 2 else None
                b.grad = b.detach().clone() if k != 4 else None
                opt.step()
            return a, b

        ours = run(lambda params: Optimizer(params, f"torch.{name}", lr=0.1))
        theirs = run(lambda params: getattr(torch.optim, name)(params, lr=0.1))
        torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-7 if name == "NAdam" else 1e-12)  # float32 there


SCHEDULES = {
    "OneCycleLR": lambda opt: torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.05, total_steps=40),
    "CosineAnnealingWarmRestarts": lambda opt: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, T_0=7),
    "ReduceLROnPlateau": lambda opt: torch.optim.lr_scheduler.ReduceLROnPlateau(
        opt, patience=1, threshold=0.1, cooldown=1
    ),
}


class TestSchedulers:
    @pytest.mark.parametrize("name", ["Adam", "SGD"])
    @pytest.mark.parametrize("schedule", SCHEDULES)
    @pytest.mark.parametrize("stop", [None, 13])
    def test_like_torch(self, name, schedule, stop):
        hyper = dict(lr=0.01, **({"momentum": 0.9} if name == "SGD" else {}))
        net, other = network(), network()
        opt = Optimizer(net.parameters(), f"torch.{name}", **hyper)
        peer = getattr(torch.optim, name)(other.parameters(), **hyper)
        scheduler, theirs = SCHEDULES[schedule](opt), SCHEDULES[schedule](peer)
        lrs = train(net, opt, stop or 40, scheduler)
        if stop:
            kept = saved([net.state_dict(), opt.state_dict(), scheduler.state_dict()])
            net = network(seed=1)
            opt = Optimizer(net.parameters(), f"torch.{name}", **hyper)
            scheduler = SCHEDULES[schedule](opt)
            for x, own in zip((net, opt, scheduler), kept, strict=True):
                x.load_state_dict(own)
            lrs += train(net, opt, 40 - stop, scheduler)
        assert lrs == train(other, peer, 40, theirs)
        assert len({lr for (lr,) in lrs}) > 3
        assert_alike(net, other)

    @pytest.mark.parametrize(
        "rule",
        [
            "keras.Adam",
            "optax.adam",
            "mlx.Adam",
            "tf1.AdamOptimizer",
            "torch.Adam",
            "timm.NAdamW",
            "pytorch_optimizer.Lion",
            "adam",
            "keras.SGD",
        ],
    )
    def test_the_learning_rate_is_lr_whatever_its_constructor_calls_it(self, rule):
        name = gs.conventions.rate_name(rule)
        net, other = network(), network()
        opt = Optimizer(net.parameters(), rule, **{name: 0.01})
        scheduler = torch.optim.lr_scheduler.StepLR(opt, 1, 0.5)
        assert [group["lr"] for group in opt.param_groups] == [0.01]
        lrs = train(net, opt, 3, scheduler)
        assert lrs == [[0.005], [0.0025], [0.00125]]
        last = Optimizer(other.parameters(), rule, **{name: 1.0})
        for lr in (0.01, 0.005, 0.0025):
            last.param_groups[0]["lr"] = lr
            train(other, last, 1)
        assert_alike(net, other, exact=True)
        copied = copy.deepcopy(opt)
        assert copied.param_groups[0]["lr"] == opt.param_groups[0]["lr"]
        again = Optimizer(net.parameters(), rule, **{name: 1.0})
        again.load_state_dict(opt.state_dict())
        assert again.param_groups[0]["lr"] == opt.param_groups[0]["lr"]

    def test_a_group_may_have_it_by_either_name(self):
        a, b, c = (tensor(1.0) for _ in "abc")
        groups = [{"params": [a], "learning_rate": 0.5}, {"params": [b], "lr": 0.25}]
        opt = Optimizer(groups, "keras.SGD")
        opt.add_param_group({"params": [c], "learning_rate": 0.125})
        for p in (a, b, c):
            p.grad = torch.ones(1).double()
        opt.step()
        assert [p.item() for p in (a, b, c)] == [0.5, 0.75, 0.875]
        opt.param_groups[1]["learning_rate"] = 2.0
        with pytest.raises(gs.GradstepValueError, match=r"a group has learning_rate = 2\.0; in groups it is lr"):
            opt.step()

    def test_cycling_a_momentum_that_is_called_otherwise_is_refused_by_torch(self):
        opt = Optimizer([tensor(1.0)], "adam")
        with pytest.raises(ValueError, match="must support momentum or beta1"):
            torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.05, total_steps=40)
        torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.05, total_steps=40, cycle_momentum=False)

    def test_a_learning_rate_that_is_a_tensor(self):
        net, other = network(), network()
        for own, make in ((net, lambda p, **h: Optimizer(p, "torch.Adam", **h)), (other, torch.optim.Adam)):
            opt = make(own.parameters(), lr=torch.tensor(0.1, dtype=torch.float64))
            train(own, opt, 5, torch.optim.lr_scheduler.ExponentialLR(opt, 0.5))
        assert_alike(net, other)

    def test_a_value_that_brings_a_stage(self):
        net, other = network(), network()
        opt, peer = (
            Optimizer(net.parameters(), "torch.AdamW", weight_decay=0.0),
            torch.optim.AdamW(other.parameters(), weight_decay=0.0),
        )
        for own, made in ((net, opt), (other, peer)):
            train(own, made, 3)
            made.param_groups[0]["weight_decay"] = 0.5
            train(own, made, 3)
        assert_alike(net, other)


class TestGroups:
    def test_defaults(self):
        p = tensor(1.0)
        assert Optimizer([p], "adam", lr=0.1).defaults == {"lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
        tx = gs.chain(gs.clip_by_norm(2.0), gs.sgd(lr=0.5, name="mine"))
        assert Optimizer([p], tx).defaults == {"max_norm": 2.0, "mine.lr": 0.5}
        theirs = torch.optim.SGD([p], lr=0.1).defaults
        assert Optimizer([p], "torch.SGD", lr=0.1).defaults == theirs

    def test_a_stage_with_a_norm_over_all_groups(self):
        tx = gs.chain(gs.clip_by_global_norm(1.0), gs.sgd(lr=1.0))
        a, b = tensor(0.0), tensor(0.0)
        opt = Optimizer([{"params": [a]}, {"params": [b], "lr": 2.0}], tx)
        a.grad, b.grad = torch.tensor([3.0]).double(), torch.tensor([4.0]).double()
        opt.step()
        torch.testing.assert_close([a.item(), b.item()], [-0.6, -1.6], **SAME)

    def test_a_norm_over_parameters_that_go_apart(self):
        opt = Optimizer([a := tensor(1.0), b := tensor(1.0)], gs.chain(gs.clip_by_global_norm(1.0), gs.sgd(lr=1.0)))
        a.grad = torch.ones(1).double()
        opt.step()
        b.grad = torch.ones(1).double()
        with pytest.raises(gs.GradstepValueError, match="norm over all parameters, and these go in 2 passes"):
            opt.step()
        assert (a.item(), b.item()) == (0.0, 1.0)

    def test_a_slot_that_starts_at_a_hyperparameter(self):
        def run(make):
            params = [tensor(1.0), tensor(2.0)]
            opt = make([{"params": params[:1]}, {"params": params[1:], "initial_accumulator_value": 0.5}])
            for p in params:
                p.grad = torch.ones(1).double()
            opt.step()
            return params

        ours = run(lambda params: Optimizer(params, "torch.Adagrad", initial_accumulator_value=0.1))
        params = [tensor(1.0), tensor(2.0)]
        theirs = [
            torch.optim.Adagrad([p], initial_accumulator_value=x) for p, x in zip(params, (0.1, 0.5), strict=True)
        ]
        for p, opt in zip(params, theirs, strict=True):
            p.grad = torch.ones(1).double()
            opt.step()
        torch.testing.assert_close(ours, params, **SAME)

    def test_the_same_of_a_rule_of_our_own(self):
        opt = Optimizer([{"params": [p := tensor(1.0)], "initial_accumulator": 0.5}], "adagrad_decaying")
        assert opt.state[p]["s"].item() == 0.5

    def test_added_in_the_midst(self):
        def run(make):
            net = network()
            opt = make(net[0].parameters())
            train(net, opt, 3)
            opt.add_param_group({"params": net[2].parameters(), "lr": 0.05})
            train(net, opt, 3)
            return net, opt

        net, opt = run(lambda params: Optimizer(params, "torch.Adam", lr=0.01))
        assert_alike(net, run(lambda params: torch.optim.Adam(params, lr=0.01))[0])
        assert [int(opt.state[p]["step"]) for p in net.parameters()] == [6, 6, 3, 3]

    def test_an_added_group_that_is_refused_is_not_there(self):
        opt = Optimizer([tensor(1.0)], "adam")
        with pytest.raises(gs.GradstepTypeError, match=r"parameter '1\.0' has dtype int64"):
            opt.add_param_group({"params": [torch.tensor([1])]})
        with pytest.raises(gs.GradstepValueError, match=r"group 1: betas is no hyperparameter of 'adam'"):
            opt.add_param_group({"params": [tensor(1.0)], "betas": (0.1, 0.2)})
        assert len(opt.param_groups) == 1

    def test_names_of_parameters_are_in_messages(self):
        net = network()
        opt = Optimizer(net.named_parameters(), "sgd")
        backward(net)
        net[2].bias.grad.fill_(math.nan)
        with pytest.raises(gs.NonFiniteError, match=r"'0\.2\.bias' is not finite"):
            opt.step()


class TestSteps:
    def test_a_closure(self):
        net, other = network(), network()
        opt, peer = Optimizer(net.parameters(), "torch.SGD", lr=0.1), torch.optim.SGD(other.parameters(), lr=0.1)
        with torch.no_grad():
            for _ in range(3):
                assert opt.step(lambda: backward(net)).item() == peer.step(lambda: backward(other)).item()
        assert_alike(net, other, exact=False)

    def test_hooks(self):
        net, seen = network(), []
        opt = Optimizer(net.parameters(), "sgd")
        for register in (opt.register_step_pre_hook, opt.register_step_post_hook):
            register(lambda o, args, kwargs, n=register.__name__: seen.append((n, net[2].bias.item())))
        opt.register_state_dict_pre_hook(lambda o: seen.append("save"))
        opt.register_state_dict_post_hook(lambda o, d: d | {"mine": 1})
        opt.register_load_state_dict_pre_hook(lambda o, d: seen.append(d["state"][0]["step"].item()))
        opt.register_load_state_dict_post_hook(lambda o: seen.append(len(o.state)))
        train(net, opt, 1)
        (before, first), (after, second) = seen
        assert "pre" in before
        assert "post" in after
        assert first != second
        kept = opt.state_dict()
        assert kept["mine"] == 1
        opt.load_state_dict(kept)
        assert seen[2:] == ["save", 1, 4]

    def test_autograd_sees_the_change(self):
        p = tensor(1.0, 2.0)
        view, opt = p.detach()[:1], Optimizer([p], "sgd")
        loss = (p * p).sum()
        p.grad, versions = torch.ones(2).double(), (p._version, view._version)
        opt.step()
        assert p._version > versions[0]
        assert view._version == p._version
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()

    @pytest.mark.parametrize("policy", ["raise", "skip"])
    def test_all_or_nothing_where_parameters_go_apart(self, policy):
        a, b = tensor(1.0), tensor(1.0)
        opt = Optimizer([a, b], "torch.SGD", lr=0.1, on_nonfinite=policy)
        a.grad = torch.ones(1).double()
        opt.step()
        b.grad = torch.full((1,), math.inf).double()
        before = [x.item() for x in (a, b)], [x._version for x in (a, b)]
        if policy == "raise":
            with pytest.raises(gs.NonFiniteError, match=r"gradient '0\.1' is not finite"):
                opt.step()
        else:
            opt.step()
        assert opt.skipped == (policy == "skip")
        assert before == ([x.item() for x in (a, b)], [x._version for x in (a, b)])
        assert [int(opt.state[p]["step"]) for p in (a, b)] == [1, 0]

    @pytest.mark.parametrize("rule", ["torch.Adam", gs.chain(gs.clip_by_norm(1.0), gs.adam)])
    @pytest.mark.parametrize("policy", ["raise", "skip", "ignore"])
    def test_all_or_nothing_where_a_later_one_has_no_scalars(self, policy, rule):
        """A learning rate that float32 cannot hold, in a group that joined later."""
        a, b = (tensor(1.0, dtype=torch.float32) for _ in "ab")
        opt = Optimizer([{"params": [a]}, {"params": [b]}], rule, on_nonfinite=policy)
        a.grad = torch.ones(1)
        opt.step()
        b.grad = torch.ones(1)
        opt.param_groups[1]["lr"] = 1e39
        before = [x.item() for x in (a, b)], [x._version for x in (a, b)]
        with pytest.raises(gs.NonFiniteError, match=r"the scalar .* nothing was changed"):
            opt.step()
        assert before == ([x.item() for x in (a, b)], [x._version for x in (a, b)])
        assert [int(opt.state[p]["step"]) for p in (a, b)] == [1, 0]
        opt.param_groups[1]["lr"] = 0.1
        opt.step()
        assert [int(opt.state[p]["step"]) for p in (a, b)] == [2, 1]
        assert opt.skipped == 0

    @pytest.mark.parametrize("policy", ["raise", "skip", "ignore"])
    def test_gradients_that_are_not_finite(self, policy):
        p = tensor(1.0)
        opt = Optimizer([p], "sgd", on_nonfinite=policy)
        p.grad = torch.full((1,), math.nan).double()
        if policy == "raise":
            with pytest.raises(gs.NonFiniteError, match=r"gradient '0\.0' is not finite"):
                opt.step()
        else:
            opt.step()
        assert math.isnan(p.item()) is (policy == "ignore")
        assert opt.skipped == (policy == "skip")
        assert opt.state[p]["step"].item() == (policy == "ignore")

    @pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
    def test_a_gradient_scaler(self, low):
        net, other = network(torch.float32), network(torch.float32)
        made = Optimizer(net.parameters(), "torch.SGD", lr=0.1), torch.optim.SGD(other.parameters(), lr=0.1)
        scales = []
        for own, opt in zip((net, other), made, strict=True):
            scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
            for k in range(6):
                opt.zero_grad()
                with torch.autocast("cpu", dtype=low):
                    loss = own(DATA.float()).float().square().mean()
                scaler.scale(loss * (math.inf if k == 2 else 1.0)).backward()
                scaler.unscale_(opt)
                torch.nn.utils.clip_grad_norm_(own.parameters(), 1.0)
                scaler.step(opt)
                scaler.update()
            scales.append(scaler.get_scale())
        assert scales[0] == scales[1] == 32.0
        assert int(made[0].state[net[0].bias]["step"]) == 5
        for p, q in zip(net.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p, q)

    def test_zero_grad(self):
        net = network()
        opt = Optimizer(net.parameters(), "sgd")
        backward(net)
        opt.zero_grad(set_to_none=False)
        assert net[0].bias.grad.tolist() == [0.0] * 5
        opt.zero_grad()
        assert net[0].bias.grad is None


class TestMemory:
    def test_tensors_that_numpy_cannot_see(self, monkeypatch):
        """As on an accelerator: the rule in torch's own operations."""
        for module in (bucket, buckets):
            monkeypatch.setattr(module, "in_numpy", lambda _: False)
        net, other = network(), network()
        opt = Optimizer(net.parameters(), "torch.NAdam", lr=0.01)
        train(net, opt, 5)
        opt.load_state_dict(saved(opt.state_dict()))
        train(net, opt, 5)
        assert opt._buckets.each[0].step.kind == "eager"
        train(other, torch.optim.NAdam(other.parameters(), lr=0.01), 10)
        for p, q in zip(net.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0.0, atol=1e-7)  # torch's product is float32

    def test_state_is_the_engines(self):
        p = tensor(1.0, 2.0)
        opt = Optimizer([p], "adam", lr=0.1)
        (own,) = opt._buckets.each
        assert own.step.kind in ("compiled", "eager")
        m = opt.state[p]["m"]
        p.grad = torch.ones(2).double()
        opt.step()
        assert opt.state[p]["m"] is m
        assert m.tolist() == own.step.slots["0.0"]["adam.m"].tolist() != [0.0, 0.0]
        assert set(opt.state[p]) == {"m", "v", "step"}

    def test_names_where_several_stages_keep_something(self):
        p = tensor(1.0)
        opt = Optimizer([p], gs.chain(gs.nadam(lr=0.1), gs.ema(decay=0.5)))
        assert set(opt.state[p]) == {"nadam.m", "nadam.v", "nadam.product", "ema.average", "step"}

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"])
    def test_dtypes(self, dtype):
        kind = getattr(torch, dtype)
        p = tensor(1.0, -2.0, 3.0, dtype=kind)
        opt = Optimizer([p], "torch.Adam", lr=0.1)
        peer = tensor(1.0, -2.0, 3.0, dtype=torch.float32 if dtype.endswith("16") else kind)
        other = torch.optim.Adam([peer], lr=0.1)
        for _ in range(3):
            p.grad, peer.grad = p.detach() * 2, peer.detach() * 2
            opt.step()
            other.step()
        assert p.dtype == kind
        wide = {"float16": "float32", "bfloat16": "float32"}.get(dtype, dtype)
        assert opt.state[p]["m"].dtype == getattr(torch, wide)
        torch.testing.assert_close(p, peer.to(kind))

    def test_bfloat16_shares_memory_and_is_compiled(self):
        pytest.importorskip("ml_dtypes")
        p = tensor(1.0, 2.0, dtype=torch.bfloat16)
        (own,) = Optimizer([p], "adam")._buckets.each
        p.data.mul_(2)
        assert np.asarray(own.step.params[0], np.float32).tolist() == [2.0, 4.0]
        pytest.importorskip("llvmlite")
        assert own.step.kind == "compiled"

    def test_layouts(self):
        def run(make):
            base = torch.arange(24.0).double()
            params = [
                base[:12].view(3, 4).t().requires_grad_(),
                base[12::2].requires_grad_(),
                tensor(1.0)[0].detach().requires_grad_(),
                torch.zeros(0, 3).double().requires_grad_(),
                torch.ones(2, 3, 2, 2).double().to(memory_format=torch.channels_last).requires_grad_(),
            ]
            opt = make(params)
            for k in range(3):
                for p in params:
                    p.grad = (p.detach() * (k + 1)).contiguous()
                opt.step()
            return params, base

        ours, theirs = run(lambda p: Optimizer(p, "torch.Adam")), run(lambda p: torch.optim.Adam(p))
        torch.testing.assert_close(ours, theirs, **SAME)

    def test_a_conjugate_gradient(self):
        p, q = (tensor(1 + 2j, dtype=torch.complex128) for _ in range(2))
        p.grad = q.grad = torch.tensor([3 + 4j]).to(torch.complex128).conj()
        Optimizer([p], "torch.SGD", lr=0.1).step()
        torch.optim.SGD([q], lr=0.1).step()
        torch.testing.assert_close(p, q, **SAME)

    def test_a_gradient_with_a_graph(self):
        p = tensor(1.0, 2.0)
        opt = Optimizer([p], "sgd", lr=0.5)
        (p.grad,) = torch.autograd.grad(p.square().sum(), p, create_graph=True)
        opt.step()
        assert p.tolist() == [0.0, 0.0]
        p.grad = None  # which held p, and p it

    def test_changes_in_place_between_steps(self):
        p = tensor(1.0, 2.0)
        opt = Optimizer([p], "sgd", lr=1.0)
        p.data.mul_(10)
        p.grad = torch.ones(2).double()
        opt.step()
        assert p.tolist() == [9.0, 19.0]

    @pytest.mark.parametrize("how", ["clone", "turned"])
    def test_a_parameter_with_other_memory(self, how):
        def run(make):
            p = torch.arange(4.0).reshape(2, 2).requires_grad_()
            opt = make([p])
            p.grad = torch.ones(2, 2)
            opt.step()
            p.data = {"clone": p.data.clone(), "turned": p.data.t()}[how]
            p.grad = torch.arange(4.0).reshape(2, 2)
            opt.step()
            return p

        torch.testing.assert_close(
            run(lambda p: Optimizer(p, "torch.Adam", lr=0.1)), run(lambda p: torch.optim.Adam(p, lr=0.1))
        )

    def test_state_with_other_memory(self):
        p = tensor(1.0)
        opt = Optimizer([p], "adam", lr=0.1)
        p.grad = torch.ones(1).double()
        opt.step()
        opt.state[p]["m"] = torch.full((1,), 5.0).double()
        opt.state[p]["step"].fill_(10)
        opt.step()
        assert opt.state[p]["m"].item() == 0.9 * 5.0 + (1 - 0.9) * 1.0
        opt.state.clear()
        opt.step()
        assert int(opt.state[p]["step"]) == 1
        opt.state[p] = {"m": torch.zeros(1)}
        with pytest.raises(gs.GradstepValueError, match=r"state of '0\.0' is m; this optimizer keeps m, step, v"):
            opt.step()


class TestSaving:
    RULES = ("torch.Adam", "torch.NAdam", "torch.RAdam", "torch.SGD", "nadam", "radam", "adadelta")

    def run(self, rule, dtype, way, steps=4):
        net = network(dtype)
        opt = Optimizer([{"params": net[0].parameters()}, {"params": net[2].parameters(), "lr": 0.05}], rule, lr=0.01)
        for k in range(2 * steps):
            if k == steps and way is not None:
                net, opt = way(net, opt, rule)
            backward(net)
            if k < 2:
                net[0].bias.grad = None
            opt.step()
        return net, opt

    def by_state(self, net, opt, rule):
        kept = saved([net.state_dict(), opt.state_dict()])
        other = network(next(net.parameters()).dtype, seed=1)
        groups = [{"params": other[0].parameters()}, {"params": other[2].parameters()}]
        made = Optimizer(groups, rule, lr=0.5)
        other.load_state_dict(kept[0])
        made.load_state_dict(kept[1])
        return other, made

    def by_copy(self, net, opt, rule):
        return copy.deepcopy((net, opt))

    def by_pickle(self, net, opt, rule):
        return pickle.loads(pickle.dumps((net, opt)))  # noqa: S301 - our own

    @pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
    @pytest.mark.parametrize("way", ["by_state", "by_copy", "by_pickle"])
    @pytest.mark.parametrize("rule", RULES)
    def test_going_on_is_exact(self, rule, way, dtype):
        kind = getattr(torch, dtype)
        (net, opt), (other, made) = (self.run(rule, kind, x) for x in (None, getattr(self, way)))
        assert made is not opt
        assert_alike(net, other, exact=True)
        for p, q in zip(net.parameters(), other.parameters(), strict=True):
            assert set(opt.state[p]) == set(made.state[q])
            for key, x in opt.state[p].items():
                assert x.dtype == made.state[q][key].dtype
                assert torch.equal(x, made.state[q][key])

    @pytest.mark.parametrize("reloads", [False, True])
    def test_as_many_steps_with_other_numbers_on_the_host(self, reloads):
        a, b = tensor(1.0), tensor(1.0)
        opt = Optimizer([a, b], "nadam", lr=0.1)
        for beta1, some in ((0.9, [a]), (0.5, [a, b]), (0.7, [b]), (0.6, [a, b])):
            opt.param_groups[0]["beta1"] = beta1
            for p in (a, b):
                p.grad = p.detach().clone() if any(p is x for x in some) else None
            if reloads:
                opt.load_state_dict(saved(opt.state_dict()))
            opt.step()
        for p, betas in ((a, (0.9, 0.5, 0.6)), (b, (0.5, 0.7, 0.6))):
            x = np.ones(1)
            alone = gs.Optimizer(x, "nadam", lr=0.1)
            for beta1 in betas:
                alone.hyper["beta1"] = beta1
                alone.step(x.copy())
            assert p.item() == x[0]

    def test_a_chain_is_copied(self):
        p = tensor(1.0)
        opt = Optimizer([p], gs.chain(gs.clip_by_norm(1.0, name="each"), gs.adam(lr=0.1)), on_nonfinite="skip")
        q, made = copy.deepcopy((p, opt))
        for x, own in ((p, opt), (q, made)):
            x.grad = torch.full((1,), 3.0).double()
            own.step()
        assert p.item() == q.item() != 1.0
        x.grad.fill_(math.nan)
        made.step()
        assert made.skipped == 1
        assert made.state[q]["m"].data_ptr() != opt.state[p]["m"].data_ptr()

    def test_what_is_not_this_optimizers_is_refused(self):
        net = network()
        opt = Optimizer(net.parameters(), "torch.Adam", lr=0.1)
        train(net, opt, 2)
        before = saved(opt.state_dict())
        peer = torch.optim.Adam(net.parameters())
        train(net, peer, 1)
        cases = [
            (
                peer.state_dict(),
                gs.GradstepValueError,
                r"'0\.0' is exp_avg, exp_avg_sq, step; .*torch\.load_state",
            ),
            (
                Optimizer(net.parameters(), "adam").state_dict(),
                gs.GradstepValueError,
                "the state is one of adam, and this optimizer is torch.Adam",
            ),
            (before | {"state": {9: before["state"][0]}}, gs.GradstepValueError, "an entry 9, which is none of"),
            (
                before | {"state": {0: before["state"][0] | {"m": torch.zeros(2)}}},
                gs.GradstepValueError,
                r"m is torch\.float32\[2\], and must be torch\.float64\[5, 4\]",
            ),
            (
                before | {"state": {0: before["state"][0] | {"step": torch.tensor(1.5)}}},
                gs.GradstepValueError,
                r"step is torch\.float32\[\]",
            ),
            (before | {"param_groups": []}, ValueError, "different number of parameter groups"),
        ]
        for kept, kind, text in cases:
            with pytest.raises(kind, match=text):
                opt.load_state_dict(kept)
        after = opt.state_dict()
        assert after["param_groups"] == before["param_groups"]
        for k, own in before["state"].items():
            assert all(torch.equal(x, after["state"][k][key]) for key, x in own.items())


class TestRefusals:
    def test_at_the_start(self):
        p = tensor(1.0)
        for args, hyper, text in [
            (([p], "adm"), {}, "did you mean adam"),
            (([p], "adam"), {"betas": (0.9, 0.99)}, "unknown hyperparameter 'betas'"),
            (([p], "adam"), {"lr": -1.0}, "lr must be finite and >= 0"),
            (([p], "adam"), {"lr": gs.schedules.cosine(0.1, 9)}, "lr is a schedule, .*; give a number"),
            (([p], "adam"), {"on_nonfinite": "never"}, "on_nonfinite must be"),
            (([p], gs.adam(lr=0.1)), {"lr": 0.1}, "given beside a stage"),
            (([torch.ones(2).int()], "adam"), {}, r"parameter '0\.0' has dtype int32"),
            (([tensor(math.nan)], "adam"), {}, r"parameter '0\.0' has an element that is not finite"),
            (([{"params": [p], "lr": "fast"}], "adam"), {}, "group 0: lr must be a number"),
            (([{"params": [p], "weight_decay": 0.1}], "adam"), {}, "group 0: weight_decay is no hyperparameter"),
        ]:
            with pytest.raises(gs.GradstepError, match=text):
                Optimizer(*args, **hyper)
        shared = torch.ones(2)
        with pytest.raises(gs.GradstepValueError, match=r"'0\.0' and '0\.1' share memory"):
            Optimizer([shared.requires_grad_(), shared.detach().requires_grad_()], "adam")
        with pytest.raises(ValueError, match="can't optimize a non-leaf"):
            Optimizer([tensor(1.0) * 2], "adam")

    def test_in_a_step(self):
        net = torch.nn.Embedding(4, 2, sparse=True)
        opt = Optimizer(net.parameters(), "adam")
        net(torch.tensor([1])).sum().backward()
        with pytest.raises(gs.GradstepTypeError, match=r"gradient '0\.0' is sparse, .*to_dense"):
            opt.step()
        opt.param_groups[0]["lr"] = -1.0
        with pytest.raises(gs.GradstepValueError, match="group 0: lr must be finite and >= 0, not -1"):
            opt.step()
        assert int(opt.state[net.weight]["step"]) == 0


class TestWithin:
    """A guest used within its own step, as by a signal handler, which may run before any line."""

    def make(self, late=False):
        """A guest at t = 2 of which each parameter is minus its updates; with ``late`` it takes two passes."""
        params = [tensor(0.0, 0.0), torch.zeros(4, 6).double()[:, ::2].requires_grad_(), tensor(0.0)]
        opt = Optimizer(params, "sgd", lr=1.0)
        for k in range(2):
            for p in params[: 2 if late and k == 0 else 3]:
                p.grad = torch.ones_like(p)
            opt.step()
        for p in params:
            p.grad = torch.ones_like(p)
        return opt, params

    @staticmethod
    def is_whole(opt, params, late):
        counts = [int(own["step"]) for own in opt.state_dict()["state"].values()]
        assert counts[0] == counts[1] == counts[2] + late
        for p, count in zip(params, counts, strict=True):
            assert (p == -float(count)).all()
        return counts[0]

    @pytest.mark.parametrize("late", [False, True])
    def test_the_state_is_whole_or_refused(self, late):
        k, seen = 1, set()
        while True:
            opt, params = self.make(late)

            def look(opt=opt, params=params):
                try:
                    seen.add(self.is_whole(opt, params, late))
                except gs.errors.InUseError:
                    seen.add("refused")

            if not at_line(k, look, opt.step):
                break
            assert self.is_whole(opt, params, late) == 3
            k += 1
        assert seen == {2, 3, "refused"}

    @pytest.mark.parametrize("late", [False, True])
    def test_an_exception_at_any_moment_leaves_a_whole_step(self, late):
        class Late(Exception):
            pass

        def end():
            raise Late

        k, seen = 1, set()
        while True:
            opt, params = self.make(late)
            versions = [p._version for p in params]
            try:
                if not at_line(k, end, opt.step):
                    break
            except Late:
                pass
            count = self.is_whole(opt, params, late)
            assert (params[0]._version > versions[0]) is (count == 3)
            seen.add(count)
            opt.step()
            assert self.is_whole(opt, params, late) == count + 1
            k += 1
        assert seen == {2, 3}

    @pytest.mark.parametrize("name", ["step", "add_param_group", "load_state_dict"])
    def test_a_change_within_a_step_is_refused(self, name, monkeypatch):
        opt, params = self.make()
        kept = opt.state_dict()
        calls = {
            "step": opt.step,
            "add_param_group": lambda: opt.add_param_group({"params": [tensor(1.0)]}),
            "load_state_dict": lambda: opt.load_state_dict(kept),
        }
        said = []

        def act(_):
            with pytest.raises(gs.errors.InUseError, match=name) as error:
                calls[name]()
            said.append(error)

        monkeypatch.setattr(torch.autograd.graph, "increment_version", act)
        opt.step()
        assert clear(*said)
        assert len(opt.param_groups) == 1
        assert self.is_whole(opt, params, False) == 3
