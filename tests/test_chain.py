"""Chains: one pass written once, hyperparameters by flat names, scalars and sums on the host."""

import math

import numpy as np
import pytest

import gradstep as gs
from gradstep.form.chain import chain, program, run
from gradstep.rule import rule, stage
from support import clear, same

pytestmark = pytest.mark.usefixtures("own_registry")


def updated(tx, steps=3):
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}
    state = gs.init(tx, params)
    for _ in range(steps):
        params, state = gs.update(tx, params, {k: rng.normal(size=x.shape) for k, x in params.items()}, state)
    return params


class TestComposition:
    def test_is_associative(self):
        a, b, c = gs.clip_by_value(0.5), gs.l2(0.1), gs.adam(lr=0.1)
        flat = chain(a, b, c)
        assert same(updated(flat), updated(chain(chain(a, b), c)))
        assert same(updated(flat), updated(chain(a, chain(b, c))))
        assert chain(a, chain(b, c)).parts == flat.parts

    def test_of_one_is_that_one(self):
        assert same(updated(chain(gs.adam)), updated(gs.adam()))

    def test_order_matters(self):
        l2, clip = gs.l2(0.5), gs.clip_by_value(0.1)
        assert not same(updated(chain(l2, clip, gs.sgd)), updated(chain(clip, l2, gs.sgd)))

    def test_run_hands_on_theta_and_gradient(self):
        rules = program(chain(gs.l2(0.5), gs.sgd(lr=1.0))).rules
        theta, g, state, before = run(rules, 2.0, 1.0, [[], []], [(0.5,), (1.0,)])
        assert (theta, g, state, before) == (0.0, 2.0, [[], []], 2.0)

    @pytest.mark.parametrize(
        ("make", "kind", "text"),
        [
            (lambda: chain(), ValueError, "at least one stage"),
            (lambda: chain("adam"), TypeError, "'adam' is no stage; write for example gs.adam"),
            (lambda: chain(gs.adam, None), TypeError, "None is no stage"),
            (lambda: chain(gs.adam, gs.adam), ValueError, "two stages are called 'adam'; give one of them name="),
            (lambda: chain(gs.l2(0.1), gs.l2(0.2)), ValueError, "two stages are called 'l2'"),
            (lambda: chain(gs.adam(name="x"), gs.sgd(name="x")), ValueError, "two stages are called 'x'"),
            (lambda: chain(gs.decay(lr=0.1), gs.sgd(lr=0.2)), ValueError, "lr is 0.1 in decay and 0.2 in sgd"),
            (lambda: chain(gs.adam, gs.momentum), ValueError, "lr is 0.001 in adam and 0.01 in momentum"),
            (lambda: program(chain(gs.l2(0.1), gs.decay(0.1, 0.2))), ValueError, "weight_decay is 0.1 in l2"),
            (lambda: program(gs.decay()), ValueError, "decay: lr has no value; give it here or in a rule"),
        ],
    )
    def test_what_is_refused(self, make, kind, text):
        with pytest.raises(kind) as error:
            make()
        assert isinstance(error.value, gs.GradstepError)
        assert text in str(error.value)
        assert clear(error)


class TestHyperparameters:
    def test_a_bare_name_is_shared(self):
        made = program(chain(gs.decay(weight_decay=0.1), gs.adam(lr=0.3)))
        assert made.hyper == {"lr": 0.3, "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
        assert made.keys[0]["lr"] == made.keys[1]["lr"] == "lr"

    def test_a_value_may_be_given_on_either_side(self):
        assert program(chain(gs.decay(lr=0.3), gs.adam)).hyper["lr"] == 0.3
        assert program(chain(gs.adam(lr=0.3), gs.decay)).hyper["lr"] == 0.3
        assert program(chain(gs.adam(lr=0.3), gs.decay(lr=0.3))).hyper["lr"] == 0.3

    def test_a_given_value_beats_a_default(self):
        assert program(chain(gs.adam, gs.momentum(lr=0.5))).hyper["lr"] == 0.5

    def test_a_named_stage_keeps_what_it_was_given(self):
        made = program(chain(gs.momentum(lr=0.1, name="slow"), gs.adam(lr=0.2)))
        assert made.hyper["slow.lr"] == 0.1
        assert made.hyper["lr"] == 0.2
        assert "slow.momentum" not in made.hyper
        assert made.slots == (("slow.v",), ("adam.m", "adam.v"))

    def test_two_clips_by_name(self):
        made = program(chain(gs.clip_by_value(1.0, name="first"), gs.clip_by_value(2.0, name="second"), gs.sgd))
        assert made.hyper == {"first.max_value": 1.0, "second.max_value": 2.0, "lr": 0.01}

    def test_equal_schedules_agree(self):
        cosine = gs.schedules.cosine
        made = program(chain(gs.decay(lr=cosine(0.1, 10)), gs.adam(lr=cosine(0.1, 10))))
        assert made.hyper["lr"] == cosine(0.1, 10)
        assert made.values(made.hyper, 0)["lr"] == 0.1
        with pytest.raises(gs.GradstepValueError, match=r"lr is .* in decay and .* in adam"):
            chain(gs.decay(lr=cosine(0.1, 10)), gs.adam(lr=cosine(0.2, 10)))

    def test_programs_are_made_once(self):
        tx = gs.adam()
        assert program(tx) is program(tx)


class TestStartAndLimit:
    def test_starts(self):
        def fresh(theta, g, a, b, c, d, lr, floor):
            return theta - lr * g + floor * a, g, a, b, c, d

        made = rule(
            lambda lr=0.5, floor=0.125: {"lr": lr, "floor": floor},
            state="a b c d",
            start={"a": 0.25, "b": "floor", "c": "theta", "d": lambda theta, lr, floor: lr * theta},
        )(fresh)
        x = np.array([2.0, 4.0], np.float32)
        slots = gs.init(made(), x).slots["params"]
        assert {k: y.tolist() for k, y in slots.items()} == {
            "fresh.a": [0.25, 0.25], "fresh.b": [0.125, 0.125], "fresh.c": [2.0, 4.0], "fresh.d": [1.0, 2.0],
        }  # fmt: skip
        assert all(y.dtype == np.float32 and not np.shares_memory(x, y) for y in slots.values())
        opt = gs.Optimizer(x.copy(), made(floor=0.5))
        assert opt.state["params"]["fresh.b"].tolist() == [0.5, 0.5]

    @pytest.mark.parametrize(
        ("start", "text"),
        [
            (
                lambda theta: np.zeros(theta.shape),
                "start of fresh.a for 'params' has dtype float64, its parameter float32",
            ),
            (lambda theta: theta[:1], "start of fresh.a for 'params' has shape (1,), its parameter (2,)"),
            (lambda theta: 0.0, "start of fresh.a for 'params' is of type float, not an array"),
        ],
    )
    def test_a_start_that_does_not_fit(self, start, text):
        def fresh(theta, g, a):
            return theta - a, g, a + g

        made = rule(state="a", start={"a": start})(fresh)
        x = np.ones(2, np.float32)
        for make in (lambda: gs.init(made, x), lambda: gs.Optimizer(x, made)):
            with pytest.raises(gs.GradstepError) as error:
                make()
            assert text in str(error.value)
            assert clear(error)

    def test_a_start_is_copied(self):
        shared = np.ones(2)

        def fresh(theta, g, a, b):
            return theta, g, a + g, b

        made = rule(state="a b", start=dict.fromkeys("ab", lambda theta: shared))(fresh)
        opt = gs.Optimizer({"x": np.zeros(2), "y": np.zeros(2)}, made)
        opt.step({"x": np.ones(2), "y": np.ones(2)})
        assert shared.tolist() == [1.0, 1.0]
        assert {k: own["fresh.a"].tolist() for k, own in opt.state.items()} == {"x": [2.0, 2.0], "y": [2.0, 2.0]}
        assert {k: own["fresh.b"].tolist() for k, own in opt.state.items()} == {"x": [1.0, 1.0], "y": [1.0, 1.0]}

    def test_limit_of_squares(self):
        top = float(np.finfo("float32").max)
        assert program(gs.sgd()).limit(top) == top / 1024
        assert program(gs.adam()).limit(top) == math.sqrt(top) / 1024
        assert program(chain(gs.l2(0.1), gs.adam)).limit(top) == math.sqrt(top) / 1024
        assert program(chain(gs.clip_by_value(1.0), gs.adam)).limit(top) == top
        assert program(chain(gs.adam, gs.clip_by_value(1.0), gs.adam(name="again"))).limit(top) == math.sqrt(top) / 1024
        assert program(gs.ema()).limit(top) == top

    def test_over_tensor(self):
        assert program(chain(gs.clip_by_norm(1.0), gs.sgd)).over_tensor
        assert not program(chain(gs.clip_by_global_norm(1.0), gs.sgd)).over_tensor


def test_a_reduction_after_a_stage_sees_what_it_left():
    def halved(theta, g, half):
        return theta, half * g

    half = stage(lambda: {"half": 0.5})(halved)
    tx = chain(half, gs.clip_by_global_norm(5.0), gs.sgd(lr=1.0))
    w, _ = gs.update(tx, np.zeros(2), np.array([12.0, 16.0]), gs.init(tx, np.zeros(2)))
    assert w.tolist() == [-3.0, -4.0]
