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
from support import ENGINES, bits, fingerprint, same, script, wide

STAGES = [name for name, rule in registry("stage").items() if rule.module.startswith("gradstep.")]
STEPS, STOP = 8, 3
SHAPES = {"w": (40, 70), "b": (9,), "k": (6, 300)}


def around(name, inside=gs.adam):
    """Adam with the stage where it belongs: behind, where it moves or averages theta, else in front."""
    rule = registry(None)[name]
    missing = {key: x for key, x in {"lr": 0.05, "beta1": 0.9}.items() if key in rule.defaults}
    inside = inside(lr=0.05)
    if rule.wraps or rule.read or rule.moves_theta:
        return gs.chain(inside, rule(**missing))
    return gs.chain(rule(**missing), inside)


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


@pytest.mark.parametrize("name", STAGES)
def test_rows_move_themselves_alone_or_are_refused(name):
    rng = np.random.default_rng(4)
    table = 0.1 * rng.normal(size=(6, 4))
    opt = gs.Optimizer(table, around(name, gs.sgd))
    for t in range(STEPS):
        index, before, own = np.array([t % 3, 4]), table.copy(), fingerprint(opt)
        g = gs.rows(index, rng.normal(size=(2, 4)))
        if name not in BY_ROWS:
            with pytest.raises(gs.GradstepTypeError, match=rf"gs.rows, and {name} .*Nothing was changed\.$"):
                opt.step(g)
            assert fingerprint(opt) == own
            continue
        opt.step(g)
        others = np.setdiff1d(np.arange(6), index)
        assert bits(table[others]) == bits(before[others])
        assert bits(table[index]) != bits(before[index])


# The others see whole arrays or sums of them, or would move rows that have no gradient.
BY_ROWS = {"cautious_decay", "clip_by_global_norm", "clip_by_norm", "clip_by_value", "maximize", "unscale"}
REFUSED = {"accumulate": "gathers the gradients of several calls", "gradient_noise": "draws random numbers by update"}


def plain(name):
    """Parameters after some steps of an optimizer without groups, and each step's gradients."""
    rng = np.random.default_rng(1)
    params = {key: rng.normal(size=shape).astype("f4") for key, shape in SHAPES.items()}
    start, grads = {key: x.copy() for key, x in params.items()}, []
    opt = gs.Optimizer(params, around(name))
    for _ in range(STEPS):
        grads.append({key: rng.normal(size=shape).astype("f4") for key, shape in SHAPES.items()})
        opt.step(grads[-1])
    return start, grads, params


@pytest.mark.parametrize("name", wide(STAGES))
def test_a_guest_in_torch_makes_the_same_steps(name):
    torch = pytest.importorskip("torch")
    from gradstep.interop.torch import Optimizer

    start, grads, wanted = plain(name)
    params = {key: torch.nn.Parameter(torch.from_numpy(x.copy())) for key, x in start.items()}
    if name in REFUSED:
        with pytest.raises(gs.GradstepValueError, match=REFUSED[name]):
            Optimizer(params.values(), around(name))
        return
    opt = Optimizer(params.values(), around(name))
    for g in grads:
        for key, p in params.items():
            p.grad = torch.from_numpy(g[key])
        opt.step()
    for key, x in wanted.items():
        assert np.array_equal(params[key].detach().numpy(), x), key


@pytest.mark.parametrize("name", wide(x for x in STAGES if "centered" not in x))  # a variance there has few digits
def test_a_guest_in_a_jit_makes_the_same_steps(name):
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    from gradstep.interop.optax import transformation

    start, grads, wanted = plain(name)
    if name in REFUSED:
        with pytest.raises(gs.GradstepValueError, match=REFUSED[name]):
            transformation(around(name))
        return
    tx = transformation(around(name))

    @jax.jit
    def step(params, g, state):
        updates, state = tx.update(g, state, params)
        return optax.apply_updates(params, updates), state

    params = {key: jax.numpy.asarray(x) for key, x in start.items()}
    state = tx.init(params)
    for g in grads:
        params, state = step(params, g, state)
    for key, x in wanted.items():
        np.testing.assert_allclose(np.asarray(params[key]), x, rtol=2e-5, atol=2e-5, err_msg=key)


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
