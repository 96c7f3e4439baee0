"""In which forms gradients come, and what frozen parameters need."""

import copy

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.tree import flatten
from support import (
    LONG,
    engines,
    mapped,
    numbers,
    same,
)


class TestGradients:
    params = staticmethod(lambda: {"layer": {"w": numbers((3, 2)), "b": numbers(2)}, "head": [numbers(4, "f4")]})

    @engines
    def test_forms(self, engine):
        grads = mapped(self.params(), lambda x: np.full_like(x, 0.5))
        flat = {"head.0": grads["head"][0], "layer.b": grads["layer"]["b"], "layer.w": grads["layer"]["w"]}
        order = {"head": tuple(grads["head"]), "layer": dict(reversed(grads["layer"].items()))}
        seen = []
        for form in (grads, flat, order):
            params = self.params()
            opt = gs.Optimizer(params, "adam", engine=engine)
            opt.step(form)
            opt.step(form)
            seen.append(params)
        assert same(seen[0], seen[1])
        assert same(seen[0], seen[2])

    @engines
    def test_a_bare_array_by_its_name(self, engine):
        a, b = numbers(3), numbers(3)
        gs.Optimizer(a, "sgd", engine=engine).step({"params": np.ones(3)})
        gs.Optimizer(b, "sgd", engine=engine).step(np.ones(3))
        assert same(a, b)

    @engines
    def test_scalars_of_numpy_for_zero_dimensions(self, engine):
        a, b = np.array(2.0, "f4"), np.array(2.0, "f4")
        gs.Optimizer(a, "adam", engine=engine).step(np.float32(0.5))
        gs.Optimizer(b, "adam", engine=engine).step(np.array(0.5, "f4"))
        assert same(a, b)
        with pytest.raises(gs.GradstepTypeError, match="gradient 'params' has dtype float64, its parameter float32"):
            gs.Optimizer(a, "adam", engine=engine).step(np.float64(0.5))

    @engines
    def test_gradients_are_left_as_they_are(self, engine):
        params = self.params()
        opt = gs.Optimizer(params, LONG, engine=engine)
        grads = mapped(params, np.ones_like)
        before = copy.deepcopy(grads)
        for x in flatten(grads)[1]:
            x.flags.writeable = False
        opt.step(grads)
        assert same(grads, before)

    @engines
    def test_frozen_parameters_need_none(self, engine):
        groups = {"layer.*": "freeze"}
        head = [np.ones(4, "f4")]
        forms = [
            {"layer": {"w": None, "b": None}, "head": head},
            {"layer": None, "head": head},
            {"head": head},
            {"head.0": head[0]},
            {"layer": {"w": np.full((3, 2), np.nan), "b": "nothing"}, "head": head},
            {"layer": {"w": np.ones(9, "i1")}, "head": head},
        ]
        seen = []
        for form in forms:
            params = self.params()
            opt = gs.Optimizer(params, LONG, groups=groups, engine=engine)
            opt.step(form)
            assert same(params["layer"], self.params()["layer"])
            assert opt.state.keys() == {"head.0"}
            seen.append(params)
        assert all(same(x, seen[0]) for x in seen)

    @engines
    def test_frozen_parameters_may_be_anything_that_is_an_array(self, engine):
        x = np.ones(3)
        x.flags.writeable = False
        params = {"w": np.ones(2), "ids": np.arange(3), "nan": np.array([np.nan]), "view": x, "mask": np.ma.ones(2)}
        opt = gs.Optimizer(params, "sgd", groups={k: "freeze" for k in params if k != "w"}, engine=engine)
        opt.step({"w": np.ones(2)})
        assert params["w"].tolist() == [0.99, 0.99]
