"""The guest in torch with rules that keep a number of each array, and with those that take the loss."""

import copy

import numpy as np
import pytest

import gradstep as gs
from support import bits

torch = pytest.importorskip("torch")
from gradstep.interop.torch import Optimizer  # noqa: E402 - needs torch

SHAPES = {"w": (3, 2), "b": (4,)}
OF_EACH = {"novograd": {"lr": 0.1}, "ldog": {"lr": 0.5}, "timm.NvNovoGrad": {"lr": 0.1}}
OF_LOSS = {"polyak": {}, "momo": {"lr": 0.5}}


def drawn(seed):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape) for name, shape in SHAPES.items()}


def pair(rule, options):
    """The same parameters in torch, with the guest, and in NumPy, with an optimizer of ours."""
    params = drawn(0)
    tensors = [torch.nn.Parameter(torch.tensor(x)) for x in params.values()]
    return tensors, Optimizer(tensors, rule, **options), gs.Optimizer(params, rule, **options)


def give(tensors, grads):
    for p, g in zip(tensors, grads.values(), strict=True):
        p.grad = torch.tensor(g)


def same(tensors, opt):
    return all(bits(p.detach().numpy()) == bits(x) for p, x in zip(tensors, opt.params.values(), strict=True))


@pytest.mark.parametrize("rule", OF_EACH)
class TestNumbersOfEach:
    def test_a_step_is_ours(self, rule):
        tensors, guest, opt = pair(rule, OF_EACH[rule])
        for k in range(1, 8):
            give(tensors, drawn(k))
            guest.step()
            opt.step(drawn(k))
            assert same(tensors, opt), k
        own = opt.parts().own
        for p, name in zip(tensors, opt.params, strict=True):
            for key, x in own[name].memory.items():
                assert guest.state[p][key.rpartition(".")[2]] == x

    def test_a_state_dict_brings_them_along(self, rule):
        tensors, guest, opt = pair(rule, OF_EACH[rule])
        for k in range(1, 4):
            give(tensors, drawn(k))
            guest.step()
            opt.step(drawn(k))
        saved = copy.deepcopy(guest.state_dict())
        others = [torch.nn.Parameter(p.detach().clone()) for p in tensors]
        other = Optimizer(others, rule, **OF_EACH[rule])
        other.load_state_dict(saved)
        for k in range(4, 8):
            give(others, drawn(k))
            other.step()
            opt.step(drawn(k))
            assert same(others, opt), k

    def test_a_late_parameter_begins_by_itself(self, rule):
        """Its numbers are those of an optimizer that has it alone."""
        tensors, guest, _ = pair(rule, OF_EACH[rule])
        alone = gs.Optimizer({"b": drawn(0)["b"]}, rule, **OF_EACH[rule])
        for k in range(1, 7):
            give(tensors, drawn(k))
            if k < 4:
                tensors[1].grad = None
            else:
                alone.step({"b": drawn(k)["b"]})
            guest.step()
        assert bits(tensors[1].detach().numpy()) == bits(alone.params["b"])


@pytest.mark.parametrize("rule", OF_LOSS)
class TestLoss:
    def test_a_closure_hands_it_over(self, rule):
        tensors, guest, opt = pair(rule, OF_LOSS[rule])
        for k in range(1, 8):
            loss = 5.0 / k

            def closure(k=k, loss=loss):
                give(tensors, drawn(k))
                return torch.tensor(loss, dtype=torch.float64, requires_grad=True)

            assert guest.step(closure).item() == loss
            opt.step(drawn(k), loss=loss)
            assert same(tensors, opt), k

    def test_without_one(self, rule):
        tensors, guest, _ = pair(rule, OF_LOSS[rule])
        give(tensors, drawn(1))
        before = [p.detach().clone() for p in tensors]
        for step in (guest.step, lambda: guest.step(lambda: None)):
            with pytest.raises(gs.GradstepTypeError, match=rf"{rule} takes the loss of each step: call opt.step\(clos"):
                step()
        with pytest.raises(gs.GradstepTypeError, match="loss must be one number"):
            guest.step(lambda: torch.ones(2))
        with pytest.raises(gs.NonFiniteError, match="loss is nan"):
            guest.step(lambda: float("nan"))
        assert all(torch.equal(p, x) for p, x in zip(tensors, before, strict=True))

    def test_one_that_is_not_finite_is_left_out_where_asked(self, rule):
        tensors, _, opt = pair(rule, OF_LOSS[rule])
        guest = Optimizer(tensors, rule, on_nonfinite="skip", **OF_LOSS[rule])
        give(tensors, drawn(1))
        guest.step(lambda: float("inf"))
        assert guest.skipped == 1
        assert same(tensors, opt)


def test_who_takes_none_gets_none():
    """A closure that returns anything at all is no affair of other rules."""
    tensors, guest, opt = pair("adam", {"lr": 0.1})
    give(tensors, drawn(1))
    assert guest.step(lambda: "what") == "what"
    opt.step(drawn(1))
    assert same(tensors, opt)
