"""The gradients that an optimizer holds itself: ``opt.grads`` to write into, ``opt.step()`` to use them."""

import threading
import time
from typing import NamedTuple

import numpy as np
import pytest

import gradstep as gs
from gradstep import optimizer
from gradstep.array.tree import flatten
from support import LONG, bits, engines, fingerprint, mapped, normal, numbers, same


class Pair(NamedTuple):
    w: object
    b: object


def nest():
    return {
        "layer": {"w": numbers((3, 4)), "b": numbers(4, "f4")},
        "head": [numbers((2, 2), "c16"), (numbers(()), numbers((0, 3)))],
        "pair": Pair(numbers(3), numbers((1, 5), "f4")),
    }


def asked_at_once(opt):
    """What four threads get for ``opt.grads``."""
    seen, barrier = [], threading.Barrier(4)

    def ask():
        barrier.wait()
        seen.append(opt.grads)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    return seen


class TestForm:
    @engines
    def test_zeros_like_the_parameters(self, engine):
        params = nest()
        opt = gs.Optimizer(params, "adam", engine=engine)
        form, leaves = flatten(opt.grads)
        like, theirs = flatten(params)
        assert form == like
        assert isinstance(opt.grads["pair"], Pair)
        for g, x in zip(leaves, theirs, strict=True):
            assert bits(g) == bits(np.zeros(x.shape, x.dtype))
            assert type(g) is np.ndarray
            assert g.flags.writeable
            assert not np.shares_memory(g, x)
        assert opt.grads is opt.grads

    @engines
    def test_set_to_zero_by_one_call_and_by_no_step(self, engine):
        opt = gs.Optimizer(nest(), "sgd", engine=engine)
        twin = gs.Optimizer(nest(), "sgd", engine=engine)
        for _ in range(3):
            opt.zero_grad()
            for g in flatten(opt.grads)[1]:
                g += 1.0
            opt.step()
            twin.step(mapped(twin.params, np.ones_like))
            assert all((g == 1.0).all() for g in flatten(opt.grads)[1])
        assert same(opt.params, twin.params)

    @engines
    def test_a_bare_array(self, engine):
        w = np.ones(3)
        opt = gs.Optimizer(w, "sgd", lr=0.5, engine=engine)
        opt.grads[...] = [1.0, 2.0, 3.0]
        opt.step()
        assert w.tolist() == [0.5, 0.0, -0.5]

    @engines
    def test_they_are_made_when_asked_for(self, engine):
        opt = gs.Optimizer(np.ones(3), "sgd", engine=engine)
        opt.step(np.ones(3))
        with pytest.raises(gs.GradstepValueError, match="nothing was written there"):
            opt.step()
        assert opt.t == 1
        assert opt.grads.tolist() == [0.0] * 3
        opt.step()
        assert opt.t == 2

    @engines
    def test_they_cannot_be_set(self, engine):
        opt = gs.Optimizer(np.ones(3), "sgd", engine=engine)
        with pytest.raises(AttributeError):
            opt.grads = np.ones(3)

    @engines
    @pytest.mark.parametrize(
        "make",
        [
            lambda: np.asfortranarray(numbers((4, 6))),
            lambda: numbers((4, 12))[:, ::2],
            lambda: numbers((4, 6)).T,
            lambda: numbers((4, 6)).astype(">f8"),
            lambda: np.broadcast_to(np.ones(3), (3,)).copy(),
        ],
    )
    def test_any_layout_of_a_parameter(self, engine, make):
        w, v = make(), make()
        opt, twin = (gs.Optimizer(x, "adam", engine=engine) for x in (w, v))
        g = numbers(w.shape, seed=5)
        for _ in range(3):
            opt.grads[...] = g
            opt.step()
            twin.step(g.astype(w.dtype))
        assert opt.grads.dtype == w.dtype
        assert fingerprint(opt) == fingerprint(twin)


class TestSteps:
    @engines
    @pytest.mark.parametrize("tx", ["adam", LONG], ids=["adam", "long"])
    def test_as_if_they_were_handed_in(self, engine, tx):
        opts = [gs.Optimizer(nest(), tx, engine=engine) for _ in range(3)]
        rng = np.random.default_rng(0)
        for _ in range(4):
            fresh = mapped(opts[0].params, lambda x: normal(rng, x))
            for opt in opts[:2]:
                for mine, new in zip(flatten(opt.grads)[1], flatten(fresh)[1], strict=True):
                    mine[...] = new
            opts[0].step()
            opts[1].step(opts[1].grads)
            opts[2].step(fresh)
        assert len({fingerprint(opt) for opt in opts}) == 1

    @engines
    def test_they_are_left_as_they_are(self, engine):
        opt = gs.Optimizer(nest(), LONG, engine=engine)
        for g in flatten(opt.grads)[1]:
            g[...] = 0.25
        before = mapped(opt.grads, np.copy)
        opt.step()
        opt.step()
        assert same(before, opt.grads)

    @engines
    def test_another_array_in_their_nest(self, engine):
        params, others = nest(), nest()
        opt, twin = gs.Optimizer(params, "adam", engine=engine), gs.Optimizer(others, "adam", engine=engine)
        mine = numbers((3, 4), seed=9)
        opt.grads["layer"]["w"] = mine
        expected = mapped(others, np.zeros_like)
        expected["layer"]["w"] = mine
        for _ in range(2):
            opt.step()
            twin.step(expected)
            mine *= 2.0
        assert fingerprint(opt) == fingerprint(twin)

    @engines
    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda g: g["layer"].__setitem__("w", np.ones((4, 3))), "'layer.w' has shape"),
            (lambda g: g["layer"].__setitem__("w", np.ones((3, 4), "f4")), "'layer.w' has dtype float32"),
            (lambda g: g["layer"].__setitem__("w", None), "'layer.w' is missing"),
            (lambda g: g["layer"].pop("w"), "'layer.w' is missing"),
            (lambda g: g["layer"].__setitem__("v", np.ones(1)), "belongs to no parameter"),
            (lambda g: g["head"].append(np.ones(1)), "3 of 2"),
            (lambda g: g["layer"]["b"].__setitem__(2, np.nan), r"'layer.b' is not finite: \[2\] = nan"),
        ],
    )
    def test_what_does_not_fit_any_more(self, engine, change, text):
        opt = gs.Optimizer(nest(), "adam", engine=engine)
        grads = opt.grads
        opt.step()
        before = fingerprint(opt)
        change(grads)
        for step in (opt.step, lambda: opt.step(opt.grads)):
            with pytest.raises(gs.GradstepError, match=text):
                step()
        assert fingerprint(opt) == before

    @engines
    def test_none_is_not_left_out(self, engine):
        opt = gs.Optimizer(nest(), "adam", engine=engine)
        opt.grads  # noqa: B018 - made
        with pytest.raises(gs.GradstepValueError, match="missing"):
            opt.step(None)
        bare = gs.Optimizer(np.ones(3), "adam", engine=engine)
        with pytest.raises(gs.GradstepValueError, match="missing"):
            bare.step(None)
        assert (opt.t, bare.t) == (0, 0)

    @engines
    def test_frozen_parameters(self, engine):
        params = {"w": numbers(4), "ids": np.arange(3), "nan": np.full(2, np.nan), "b": numbers(2)}
        before = mapped(params, np.copy)
        opt = gs.Optimizer(params, "adam", groups={"ids": "freeze", "nan": "freeze"}, engine=engine)
        assert list(opt.grads) == list(params)
        opt.grads["w"] += 1.0
        opt.grads["ids"] += 7
        opt.grads["nan"] += np.nan
        opt.step()
        opt.grads["ids"] = None
        opt.step()
        assert opt.t == 2
        assert all(bits(params[k]) == bits(before[k]) for k in ("ids", "nan", "b"))
        assert (params["w"] < before["w"]).all()

    @engines
    def test_many_threads_may_ask_at_once(self, engine, monkeypatch):
        make = optimizer._zeros_like
        monkeypatch.setattr(optimizer, "_zeros_like", lambda x: time.sleep(0.001) or make(x))
        opt = gs.Optimizer([np.ones(3) for _ in range(5)], "sgd", engine=engine)
        seen = asked_at_once(opt)
        assert len(seen) == 4
        assert all(x is opt.grads for x in seen)

    def test_no_step_looks_for_them(self, monkeypatch):
        """They stay where they are: the compiled engine reads them by their structs."""
        reader = pytest.importorskip("gradstep.engine.cpu.reader")
        if not reader.is_on():
            pytest.skip("no reader here")
        opt = gs.Optimizer([np.ones(3), np.ones((2, 2), "f4")], "adam", engine="compiled")
        monkeypatch.setattr("gradstep.engine.cpu.compiled.Compiled.load", None)
        opt.grads[0][...] = 1.0
        for _ in range(3):
            opt.step()
        assert opt.t == 3


class TestTorch:
    @pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "bfloat16"])
    def test_tensors(self, dtype):
        torch = pytest.importorskip("torch")
        w = torch.nn.Parameter(torch.ones(4, dtype=getattr(torch, dtype)))
        v = torch.ones(4, dtype=getattr(torch, dtype))
        opt, twin = gs.Optimizer({"w": w}, "adam"), gs.Optimizer({"w": v}, "adam")
        g = opt.grads["w"]
        assert type(g) is torch.Tensor
        assert (g.dtype, g.shape, g.requires_grad) == (w.dtype, w.shape, False)
        assert not g.any()
        for k in range(3):
            g += 0.25 * (k + 1)
            opt.step()
            twin.step({"w": g.clone()})
        assert torch.equal(w.detach(), v)
        assert opt.t == 3

    def test_where_a_module_keeps_its_own(self):
        torch = pytest.importorskip("torch")
        net = torch.nn.Linear(3, 2).double()
        params = dict(net.named_parameters())
        opt = gs.Optimizer(params, "sgd", lr=0.5)
        for name, p in params.items():
            p.grad = opt.grads[name]  # backward writes there
        before = net.bias.detach().clone()
        net(torch.ones(4, 3, dtype=torch.float64)).sum().backward()
        opt.step()
        assert torch.equal(net.bias.detach(), before - 0.5 * 4.0)
