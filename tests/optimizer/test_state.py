"""State by name, reset, averages."""

import copy
import pickle

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.tree import flatten
from gradstep.rule import registry
from support import LONG, OF_GRADIENTS, clear, engines, fingerprint, mapped, normal, numbers, same


class TestState:
    def test_names_shapes_and_dtypes(self):
        params = {"l": [np.ones((2, 3), "f4"), np.array(1j)], "e": np.ones((0, 2)), "b": np.ones(3, ">f8")}
        opt = gs.Optimizer(params, gs.chain(gs.adam, gs.ema(decay=0.9, name="avg")))
        assert set(opt.state) == {"l.0", "l.1", "e", "b"}
        for name, x in zip(*(lambda f: (f[0].names, f[1]))(flatten(params)), strict=True):
            assert list(opt.state[name]) == ["adam.m", "adam.v", "avg.average"]
            for y in opt.state[name].values():
                assert y.shape == x.shape
                assert y.dtype == x.dtype.newbyteorder("=")
                assert y.flags.c_contiguous
                assert not np.shares_memory(x, y)

    def test_is_read_by_name_and_not_replaced(self):
        opt = gs.Optimizer({"w": np.ones(2)}, "adam")
        with pytest.raises(TypeError):
            opt.state["w"]["adam.m"] = np.ones(2)
        with pytest.raises(TypeError):
            opt.state["x"] = {}

    @engines
    @pytest.mark.parametrize("tx", [*map(registry().get, OF_GRADIENTS), LONG], ids=lambda x: getattr(x, "name", "long"))
    def test_reset_is_a_fresh_start(self, tx, engine):
        is_whole = getattr(tx, "whole", False)  # which is for real matrices
        params = {"a": numbers(5, "f4"), "b": numbers((2, 3), "f8" if is_whole else "c16"), "s": numbers(())}
        opt = gs.Optimizer(params, tx, groups={"a": {"lr": gs.times(0.5)}}, engine=engine)
        grads = mapped(params, lambda x: np.full_like(x, 0.3))
        for _ in range(3):
            opt.step(grads)
        opt.reset()
        fresh = gs.Optimizer(mapped(params, np.copy), tx, groups={"a": {"lr": gs.times(0.5)}}, engine=engine)
        assert fingerprint(opt) == fingerprint(fresh)
        for x in (opt, fresh, opt, fresh):
            x.step(grads)
        assert fingerprint(opt) == fingerprint(fresh)

    @engines
    def test_averaged(self, engine):
        params = {"a": numbers(4, "f4"), "b": [numbers((2, 2), "c8"), numbers(3, ">f8")], "f": np.arange(3)}
        tx = gs.chain(gs.sgd(lr=0.5), gs.ema(decay=0.75))
        opt = gs.Optimizer(params, tx, groups={"f": "freeze"}, engine=engine)
        track = {"a": params["a"].copy(), "b": [x.astype(x.dtype.newbyteorder("=")) for x in params["b"]]}
        rng = np.random.default_rng(0)
        for _ in range(3):
            opt.step({"a": normal(rng, params["a"]), "b": [normal(rng, x) for x in params["b"]]})
            track["a"] += np.float32(0.25) * (params["a"] - track["a"])
            track["b"] = [x + x.dtype.type(0.25) * (y - x) for x, y in zip(track["b"], params["b"], strict=True)]
        out = opt.averaged()
        assert same({k: out[k] for k in "ab"}, track)
        assert out["f"].tolist() == [0, 1, 2]
        assert type(out["b"]) is list
        before = fingerprint(opt)
        for x in flatten(out)[1]:
            x[...] = 0
        assert fingerprint(opt) == before

    def test_averaged_without_an_average(self):
        with pytest.raises(gs.GradstepValueError, match=r"keeps no average; add one: gs\.chain") as error:
            gs.Optimizer(np.ones(2), "sgd").averaged()
        assert clear(error)

    def test_the_last_average_is_read(self):
        tx = gs.chain(gs.sgd(lr=1.0), gs.ema(decay=0.5, name="fast"), gs.ema(decay=0.0, name="none"))
        opt = gs.Optimizer(np.zeros(1), tx)
        opt.step(np.ones(1))
        assert opt.averaged().tolist() == [-1.0]
        assert opt.state["params"]["fast.average"].tolist() == [-0.5]

    def test_repr(self):
        opt = gs.Optimizer([np.ones(2), np.ones(3)], "adam", lr=0.1, engine="eager")
        opt.step([np.ones(2), np.ones(3)])
        assert repr(opt) == "<Optimizer adam(lr=0.1) of 2 arrays, t=1, eager>"


def test_copies_of_the_state_are_dicts_of_copies():
    opt = gs.Optimizer({"w": np.ones(3), "b": np.ones(2)}, "adam")
    opt.step({"w": np.ones(3), "b": np.ones(2)})
    kept = {name: {key: x.copy() for key, x in own.items()} for name, own in opt.state.items()}
    copies = [copy.deepcopy(opt.state), pickle.loads(pickle.dumps(opt.state)), {"w": copy.deepcopy(opt.state["w"])}]  # noqa: S301
    opt.step({"w": np.ones(3), "b": np.ones(2)})
    for made in copies:
        assert type(made) is type(made["w"]) is dict
        assert same(made, {name: kept[name] for name in made})
        made["w"]["adam.m"][...] = 5.0  # their owner's
    assert opt.state["w"]["adam.m"][0] != 5.0
    with pytest.raises(TypeError, match="does not support item assignment"):
        opt.state["w"] = {}
    with pytest.raises(TypeError, match="does not support item assignment"):
        opt.state["w"]["adam.m"] = np.zeros(3)
    assert repr(opt.state["w"]).startswith("{'adam.m': array(")
