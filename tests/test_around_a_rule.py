"""Every stage in a chain with Adam: engines, groups, state in fewer bits, a new process.

A stage is here by being registered.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs
import gradstep.variants
from gradstep.rule import registry
from gradstep.testing import Case
from support import ENGINES, fingerprint, same, script

STAGES = [name for name, rule in registry("stage").items() if rule.module.startswith("gradstep.")]
STEPS, STOP = 8, 3
SHAPES = {"w": (40, 70), "b": (9,), "k": (6, 300)}


def around(name):
    """Adam with the stage where it belongs: behind, where it moves or averages theta, else in front."""
    rule = registry(None)[name]
    missing = {"lr": 0.05} if "lr" in rule.defaults else {}
    adam = gs.adam(lr=0.05)
    if rule.wraps or rule.read or rule.moves_theta:
        return gs.chain(adam, rule(**missing))
    return gs.chain(rule(**missing), adam)


def optimizer(name, **options):
    rng = np.random.default_rng(1)
    params = {key: rng.normal(size=shape).astype("f4") for key, shape in SHAPES.items()}
    return gs.Optimizer(params, around(name), groups={"b": {"lr": gs.times(0.5)}}, **options)


def go(opt, begin, end):
    """Steps whose gradients are those of their number."""
    for t in range(begin, end):
        rng = np.random.default_rng(100 + t)
        opt.step({key: rng.normal(size=shape).astype("f4") for key, shape in SHAPES.items()})


def options(name):
    """Ordinary state, and that in fewer bits where the stage lets it be."""
    rule = registry(None)[name]
    yield {}
    if not Case(rule).silent("smaller_state") and "smaller_state" not in rule.exceptions:
        yield {"state_dtype": "8bit", "seed": 3}


@pytest.mark.parametrize("name", STAGES)
def test_equal_bits_on_all_engines(name):
    for own in options(name):
        opts = [optimizer(name, **own, engine=engine) for engine in ENGINES]
        for opt in opts:
            go(opt, 0, STEPS)
        assert len(set(map(fingerprint, opts))) == 1
        if registry(None)[name].read is not None:
            assert same(opts[0].averaged(), opts[-1].averaged())


def saved(folder):
    """Every stage stopped amid a run; what each comes to if it goes on, by its name."""
    out = {}
    for name in STAGES:
        for k, own in enumerate(options(name)):
            opt = optimizer(name, **own)
            go(opt, 0, STOP)
            opt.save(f"{folder}/{name}-{k}.safetensors")
            go(opt, STOP, STEPS)
            out[f"{name}-{k}"] = fingerprint(opt)
    return out


RESUME = """
import json, sys
sys.path.insert(0, sys.argv[1])
import test_around_a_rule as around
print(json.dumps(around.resumed(sys.argv[2])))
"""


def resumed(folder):
    out = {}
    for name in STAGES:
        for k, own in enumerate(options(name)):
            opt = optimizer(name, **own)
            opt.restore(f"{folder}/{name}-{k}.safetensors")
            go(opt, STOP, STEPS)
            out[f"{name}-{k}"] = fingerprint(opt)
    return out


@pytest.mark.process
def test_the_same_bits_in_a_new_process(tmp_path):
    whole = saved(tmp_path)
    assert json.loads(script(RESUME, str(Path(__file__).parent), str(tmp_path))) == whole
    assert len(set(whole.values())) > len(STAGES) - 3  # each does something of its own
