"""P7: a gradient that is not finite never reaches parameters or state; later steps are as if it had not come."""

import itertools

import numpy as np
import pytest

import gradstep as gs
from gradstep.rule import registry
from support import ENGINES, OF_GRADIENTS, bits

VALUES = (np.nan, np.inf, -np.inf)
PLACES = (0, 150, -1)
SIZE = 301


def grads(t):
    rng = np.random.default_rng(t)
    return {"a": rng.normal(size=3), "b": rng.normal(size=SIZE).astype("f4")}


def optimizer(name, engine, policy):
    rng = np.random.default_rng(99)
    params = {"a": rng.normal(size=3), "b": rng.normal(size=SIZE).astype("f4")}
    return gs.Optimizer(params, name, engine=engine, on_nonfinite=policy)


def all_bits(opt):
    arrays = {**opt.params, **{f"{k}/{slot}": x for k, own in opt.state.items() for slot, x in own.items()}}
    return {name: bits(x) for name, x in arrays.items()}


def good_steps(name, engine):
    """The arrays after one good step, and after two."""
    opt = optimizer(name, engine, "raise")
    out = []
    for t in range(2):
        opt.step(grads(t))
        out.append(all_bits(opt))
    return out


def survives(name, engine, policy, value, place):
    """Whether a bad step between two good ones leaves no trace."""
    first, second = good_steps(name, engine)
    opt = optimizer(name, engine, policy)
    opt.step(grads(0))
    bad = grads(7)
    bad["b"][place] = value
    refused = False
    try:
        opt.step(bad)
    except gs.NonFiniteError as error:
        refused = f"[{place % SIZE}] = {value}" in str(error)
    clean = all_bits(opt) == first and opt.t == 1
    opt.step(grads(1))
    return clean and all_bits(opt) == second and refused == (policy == "raise") and opt.skipped == (policy == "skip")


CASES = list(itertools.product(OF_GRADIENTS, ENGINES, ("raise", "skip"), VALUES, PLACES))


def test_every_rule_value_place_and_policy(figure):
    assert [case for case in CASES if not survives(*case)] == []
    if ENGINES == ["compiled", "eager"]:
        figure("P7", "unchanged, and later steps equal: {n} / {n}", n=len(CASES))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_control_without_the_look_all_is_poisoned(control):
    poisoned = [name for name in OF_GRADIENTS if not survives(name, "eager", "ignore", np.nan, 0)]
    assert poisoned == [name for name in OF_GRADIENTS if not registry()[name].measure]  # a sum refuses by itself
    numbers = {"n": len(poisoned), "rules": len(OF_GRADIENTS)}
    control("P7", "on_nonfinite='ignore': poisoned {n} / {rules} rules", **numbers)
