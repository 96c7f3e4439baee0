"""Host numbers that a rule keeps for each array: ``memory=`` together with ``over="tensor"``."""

import math
from copy import deepcopy

import numpy as np
import pytest
from mpmath import mpf, sqrt

import gradstep as gs
from gradstep import vocabulary
from gradstep.form.equation import equation
from gradstep.rule import NonNegative, Positive, rule
from gradstep.testing import check_rule
from papers.exact import exact
from support import bits, engines

pytestmark = pytest.mark.usefixtures("own_registry")

NOVOGRAD = {"lr": 0.01, "beta1": 0.95, "beta2": 0.98, "eps": 1e-8, "weight_decay": 0.0}
LDOG = {"lr": 1.0, "relative": 1e-6, "eps": 1e-8}


def novograd():
    """Declare NovoGrad, whose second moment is one number for each layer."""

    def scalars(t, moment, length, lr=0.01, beta1=0.95, beta2=0.98, eps=1e-8, weight_decay=0.0):
        moment = beta2 * moment + (1 - beta2) * length if t > 1 else length
        share = 1 / (vocabulary.sqrt(moment) + eps)
        return {"moment": moment, "share": share, "lr": lr, "beta1": beta1, "decay": weight_decay}

    def own_novograd(theta, g, m, share, lr, beta1, decay):
        m = beta1 * m + (share * g + decay * theta)
        theta = theta - lr * m
        return theta, g, m

    return rule(
        scalars,
        state="m",
        memory={"moment": 0.0},
        reduce={"length": lambda g: g * g},
        over="tensor",
        power=2,
        units={"lr": "theta", "eps": "g", "weight_decay": "1/theta"},
        exceptions={"first_step_descends": "the decay pulls towards zero, whatever the gradient"},
    )(own_novograd)


@exact(NOVOGRAD)
def novograd_of_the_paper(theta0, gradients, *, lr, beta1, beta2, eps, weight_decay):
    """Ginsburg et al. 2019, arXiv:1905.11286, Algorithm 1, for one layer: an array is a list of numbers.

    v_1 = ||g_1||^2;  m_1 = g_1/||g_1|| + d w_1
    v_t = beta2 v_{t-1} + (1 - beta2) ||g_t||^2
    m_t = beta1 m_{t-1} + (g_t/(sqrt(v_t) + eps) + d w_t)
    w_{t+1} = w_t - lambda_t m_t

    Named difference: eps stands beside the root in the first step too, where the paper would divide by a norm of zero.
    """
    w, m, v = theta0, [mpf(0)] * len(theta0), None
    for g in gradients:
        square = sum(x**2 for x in g)
        v = square if v is None else beta2 * v + (1 - beta2) * square
        m = [beta1 * a + (b / (sqrt(v) + eps) + weight_decay * c) for a, b, c in zip(m, g, w, strict=True)]
        w = [a - lr * b for a, b in zip(w, m, strict=True)]
        yield w


def ldog():
    """Declare L-DoG: the rate of each layer is the way that it has come, over the root of its squared gradients."""

    def scalars(
        t, way, total, size, moved, length, lr: NonNegative = 1.0, relative: Positive = 1e-6, eps: Positive = 1e-8
    ):
        way = relative * (1 + vocabulary.sqrt(size)) if t == 1 else max(way, vocabulary.sqrt(moved))
        total = total + length
        return {"way": way, "total": total, "rate": lr * way / vocabulary.sqrt(total + eps)}

    def own_ldog(theta, g, first, rate):
        theta = theta - rate * g
        return theta, g, first

    return rule(
        scalars,
        state="first",
        start={"first": "theta"},
        memory={"way": 0.0, "total": 0.0},
        reduce={
            "size": lambda theta: theta * theta,
            "moved": lambda theta, first: (theta - first) * (theta - first),
            "length": lambda g: g * g,
        },
        over="tensor",
        power=2,
        finds_scale=True,
        units={"lr": "1", "relative": "1", "eps": "g*g"},
        exceptions={"units": "the first way is relative * (1 + the parameters' norm), and 1 has no unit"},
    )(own_ldog)


@exact(LDOG)
def ldog_of_the_paper(theta0, gradients, *, lr, relative, eps):
    """Ivgi, Hinder & Carmon 2023, arXiv:2302.12022, equation (DoG) applied to a layer (L-DoG, section 3.3).

    x_{t+1} = x_t - eta_t g_t;  eta_t = max_{i <= t} ||x_i - x_0|| / sqrt(sum_{i <= t} ||g_i||^2 + eps), where the
    distance at first is r_eps = relative (1 + ||x_0||).
    """
    x, far, total = theta0, relative * (1 + sqrt(sum(a**2 for a in theta0))), mpf(0)
    for g in gradients:
        far = max(far, sqrt(sum((a - b) ** 2 for a, b in zip(x, theta0, strict=True))))
        total += sum(b**2 for b in g)
        x = [a - lr * far / sqrt(total + eps) * b for a, b in zip(x, g, strict=True)]
        yield x


# The way is the norm of differences between numbers near 1 that begins at 1e-6: ten of its sixteen digits are there.
RULES = [(novograd, novograd_of_the_paper, NOVOGRAD, 1e-14), (ldog, ldog_of_the_paper, LDOG, 1e-10)]


@pytest.mark.parametrize(("make", "oracle", "defaults", "bound"), RULES, ids=["novograd", "ldog"])
def test_all_laws_and_the_paper(make, oracle, defaults, bound):
    report = check_rule(make(), oracle=oracle, defaults=defaults, bound=bound)
    assert report["oracle"] == report["compiled_equals_eager"] == "obeyed"


def data(steps=6):
    rng = np.random.default_rng(0)
    params = {"a": rng.normal(size=(3, 2)), "b": rng.normal(size=5), "c": rng.normal(size=())}
    return params, [{key: np.asarray(rng.normal(size=x.shape)) for key, x in params.items()} for _ in range(steps)]


@pytest.mark.parametrize("make", [novograd, ldog])
@engines
def test_each_array_has_numbers_as_if_it_were_alone(make, engine):
    """In one group, in several, in a chain with a rule that keeps numbers for all."""
    tx = gs.chain(gs.clip_by_value(1e9), make()())
    params, grads = data()
    alone = {key: gs.Optimizer({key: x.copy()}, tx, engine=engine) for key, x in params.items()}
    for groups in (None, {"b": {"lr": 0.5}, "c": {"lr": 0.5}}):
        opt = gs.Optimizer(deepcopy(params), tx, engine=engine, groups=groups)
        for opt_alone in alone.values():
            opt_alone.reset()
        for key, one in alone.items():
            one.params[key][...] = params[key]
            one.reset()
            one.hyper["lr"] = opt.hyper["lr"] if groups is None or key == "a" else 0.5
            for g in grads:
                one.step({key: g[key]})
        for g in grads:
            opt.step(g)
        for key, one in alone.items():
            assert bits(opt.params[key]) == bits(one.params[key]), key


@pytest.mark.parametrize("make", [novograd, ldog])
@engines
def test_checkpoints_copies_and_resets_have_them(make, engine, tmp_path):
    tx = gs.chain(make()(), gs.ema())
    params, grads = data()
    opt = gs.Optimizer(deepcopy(params), tx, engine=engine)
    for g in grads[:3]:
        opt.step(g)
    opt.save(tmp_path / "a.safetensors")
    own = gs.load(tmp_path / "a.safetensors").metadata["optimizer"]["own"]
    keys = [f"{tx.parts[0].label}.{key}" for key in tx.parts[0].rule.memory]
    assert {name: sorted(x["memory"]) for name, x in own.items()} == dict.fromkeys(params, sorted(keys))
    again = gs.Optimizer(dict(reversed(deepcopy(params).items())), tx, engine=engine)
    again.restore(tmp_path / "a.safetensors")
    copy = deepcopy(opt)
    grown = gs.Optimizer(deepcopy(params) | {"new": params["b"].copy()}, tx, engine=engine)
    assert grown.restore(tmp_path / "a.safetensors", strict=False).anew["new"]
    for g in grads[3:]:
        for one in (opt, again, copy):
            one.step(g)
        grown.step(g | {"new": g["b"]})
    for one in (again, copy, grown):
        assert all(bits(one.params[key]) == bits(x) for key, x in opt.params.items())
    fresh = gs.Optimizer({"new": params["b"].copy()}, tx, engine=engine)
    for g in grads[3:]:
        fresh.step({"new": g["b"]})
    assert bits(grown.params["new"]) == bits(fresh.params["new"])
    opt.reset()
    for key, x in params.items():
        opt.params[key][...] = x
    opt.reset()
    start = gs.Optimizer(deepcopy(params), tx, engine=engine)
    for g in grads:
        opt.step(g)
        start.step(g)
    assert all(bits(opt.params[key]) == bits(x) for key, x in start.params.items())


@pytest.mark.parametrize("make", [novograd, ldog])
def test_the_pure_pair(make):
    tx = gs.chain(gs.nadam(lr=2e-3, beta1=0.9, beta2=0.99, eps=1e-8, name="n"), make()(name="own"))
    params, grads = data()
    opt = gs.Optimizer(deepcopy(params), tx, engine="eager")
    state, now = gs.init(tx, params), params
    assert set(state.memory) == {"n.product", *(f"own.{key}" for key in tx.parts[1].rule.memory)}
    for g in grads:
        opt.step(g)
        table, _ = gs.scalars(tx, now, g, state)
        assert set(table) == set(params)
        now, state = gs.update(tx, now, g, state)
    assert all(bits(now[key]) == bits(x) for key, x in opt.params.items())
    key = next(key for key in state.memory if key.startswith("own."))
    assert set(state.memory[key]) == set(params)
    with pytest.raises(gs.GradstepValueError, match=f"memory of {key} must have a number for each"):
        gs.update(tx, now, grads[0], state._replace(memory={**state.memory, key: 1.0}))


def test_gathered_gradients_reach_them():
    tx = gs.chain(gs.accumulate(k=2), novograd()())
    params, grads = data()
    opt, mean = gs.Optimizer(deepcopy(params), tx), gs.Optimizer(deepcopy(params), "own_novograd")
    for one, two in zip(grads[::2], grads[1::2], strict=True):
        opt.step(one)
        opt.step(two)
        mean.step({key: 0.5 * one[key] + 0.5 * two[key] for key in one})
    assert opt.t == mean.t == 3
    for key, x in mean.params.items():
        np.testing.assert_allclose(opt.params[key], x, rtol=1e-12)


def test_a_bad_sum_of_one_array_changes_none():
    opt = gs.Optimizer({"a": np.ones(3), "b": np.ones(2)}, novograd()(), on_nonfinite="ignore")
    opt.step({"a": np.ones(3), "b": np.ones(2)})
    before = {key: bits(x) for key, x in opt.params.items()}
    with pytest.raises(gs.NonFiniteError, match="length"):
        opt.step({"a": np.ones(3), "b": np.array([math.inf, 0.0])})
    assert {key: bits(x) for key, x in opt.params.items()} == before
    assert opt.t == 1


def test_a_guest_that_keeps_numbers_once_refuses():
    keras = pytest.importorskip("gradstep.interop.keras")
    with pytest.raises(gs.GradstepValueError, match=r"own_novograd\.moment is kept for each; step a gs\.Optimizer"):
        keras.Optimizer(novograd()())


def test_it_is_printed():
    assert "mₜ = β₁ mₜ₋₁ + share gₜ + decay θₜ₋₁" in equation(novograd()).text()
