"""Gradients that lie in what a step writes: the numbers are those of copies."""

import copy

import numpy as np
import pytest

import gradstep as gs
from gradstep.engine.cpu.gather import SMALL
from support import (
    engines,
    mapped,
    numbers,
    same,
    states,
)


def aliases():
    """Gradients that lie in what a step writes: the optimizer -> its next gradients."""
    yield "a parameter itself", lambda opt: opt.params
    yield "another parameter", lambda opt: {"a": opt.params["b"], "b": opt.params["a"]}
    yield "a slot", lambda opt: {k: opt.state[k]["adam.m"] for k in "ab"}
    yield "a slot of another", lambda opt: {"a": opt.state["b"]["adam.v"], "b": opt.state["a"]["adam.m"]}
    yield "one array for all", lambda opt: dict.fromkeys("ab", opt.state["a"]["adam.m"])
    yield "turned round", lambda opt: {k: x[::-1] for k, x in opt.params.items()}
    yield "transposed", lambda opt: {k: x.T.reshape(x.shape) for k, x in opt.params.items()}


@engines
@pytest.mark.parametrize("kind", ["small", "large", "strided"])
@pytest.mark.parametrize("case", [name for name, _ in aliases()])
def test_gradients_that_alias(case, kind, engine):
    def build():
        if kind == "strided":
            x = numbers((SMALL + 9, 3), "f4")
            return {"a": x[:, 0], "b": x[:, 2]}
        size = 50 if kind == "small" else SMALL + 5
        return {"a": numbers(size, "f4"), "b": numbers(size, "f4", 1)}

    pick = dict(aliases())[case]
    seen = []
    for copied in (False, True):
        params = build()
        opt = gs.Optimizer(params, gs.adam(lr=0.1), engine=engine)
        opt.step(mapped(params, lambda x: np.ones(x.shape, x.dtype)))
        for _ in range(3):
            g = pick(opt)
            opt.step(copy.deepcopy(g) if copied else g)
        seen.append({**params, **states(opt)})
    assert same(*seen)


@engines
def test_a_gradient_across_dtypes_and_strides(engine):
    """Written by one kernel, read by another; and between the elements of a strided parameter."""

    def run(copied):
        n = 2 * SMALL + 4
        memory = numbers(4 * n, "f4")
        a, b, c = memory[:n], memory[n : 2 * n].view("f8"), memory[2 * n :].view("f8")[::2]
        opt = gs.Optimizer({"a": a, "b": b, "c": c}, "momentum", lr=0.1, engine=engine)
        for _ in range(3):
            g = {"a": np.ones_like(a), "b": a.view("f8"), "c": memory[2 * n :].view("f8")[: c.size]}
            opt.step(copy.deepcopy(g) if copied else g)
        return memory

    assert same(run(False), run(True))
