"""What each stage does to the gradient or the parameters, on both engines, against numbers worked out apart."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep.rule import registry
from support import OF_GRADIENTS, bits, same, wide

ENGINES = ["compiled", "eager"] if gs.Optimizer(np.ones(1), "sgd").engine == "compiled" else ["eager"]
engines = pytest.mark.parametrize("engine", ENGINES)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def left(stage, grads, params=None, engine="auto"):
    """The gradients that ``stage`` leaves, seen as the step that plain descent from zero makes of them."""
    params = {k: np.zeros_like(g) for k, g in grads.items()} if params is None else params
    before = {k: x.copy() for k, x in params.items()}
    gs.Optimizer(params, gs.chain(stage, gs.maximize, gs.sgd(lr=1.0)), engine=engine).step(grads)
    return {k: x - before[k] for k, x in params.items()}


@engines
@dtypes
class TestClipByValue:
    def test_elements(self, dtype, engine):
        g = np.array([-9.0, -0.5, -0.1, 0.0, 0.25, 0.5, 7.0], dtype)
        out = left(gs.clip_by_value(0.5), {"a": g}, engine=engine)["a"]
        assert out.tolist() == np.array([-0.5, -0.5, -0.1, 0.0, 0.25, 0.5, 0.5], dtype).tolist()

    def test_it_admits_what_a_rule_would_refuse(self, dtype, engine):
        w = np.zeros(2, dtype)
        huge = np.array([np.finfo(dtype).max, -1.0], dtype)
        gs.Optimizer(w, gs.chain(gs.clip_by_value(1.0), gs.sgd(lr=1.0)), engine=engine).step(huge)
        assert w.tolist() == [-1.0, 1.0]


def root_of_squares(arrays):
    """The norm, exactly: a sum of fractions and one root."""
    parts = [x.reshape(-1).view(f"f{x.itemsize // 2}") if x.dtype.kind == "c" else x.reshape(-1) for x in arrays]
    return math.sqrt(sum(Fraction(float(v)) ** 2 for x in parts for v in x))


@engines
class TestNorms:
    @dtypes
    def test_within_the_bound_nothing_changes(self, dtype, engine):
        rng = np.random.default_rng(0)
        grads = {"a": rng.normal(size=50).astype(dtype), "b": np.array([-0.0, 1e-40, 3.0], dtype)}
        for clip in (gs.clip_by_norm, gs.clip_by_global_norm):
            assert same(left(clip(100.0), grads, engine=engine), {k: 0.0 + x for k, x in grads.items()})

    @dtypes
    def test_exactly_on_the_bound(self, dtype, engine):
        grads = {"a": np.array([3.0, 4.0], dtype)}
        assert left(gs.clip_by_norm(5.0), grads, engine=engine)["a"].tolist() == [3.0, 4.0]
        assert left(gs.clip_by_norm(2.5), grads, engine=engine)["a"].tolist() == [1.5, 2.0]

    @dtypes
    def test_each_array_alone_or_all_together(self, dtype, engine):
        grads = {"a": np.array([3.0, 4.0], dtype), "b": np.array([[12.0]], dtype), "c": np.zeros((0, 2), dtype)}
        alone = left(gs.clip_by_norm(2.5), grads, engine=engine)
        assert alone["a"].tolist() == [1.5, 2.0]
        assert alone["b"].tolist() == [[dtype_of(12.0 * dtype_of(2.5 / 12.0, dtype), dtype)]]
        together = left(gs.clip_by_global_norm(6.5), grads, engine=engine)
        assert together["a"].tolist() == [1.5, 2.0]
        assert together["b"].tolist() == [[6.0]]

    def test_all_dtypes_count_in_one_norm(self, engine):
        grads = {"a": np.array([2.0], "f4"), "b": np.array([4.0]), "c": np.array([3 - 4j], "c8"), "d": np.array(6 + 0j)}
        # the root of 4 + 16 + 25 + 36 is 9
        out = left(gs.clip_by_global_norm(4.5), grads, engine=engine)
        assert {k: x.item() for k, x in out.items() if k != "d"} == {"a": 1.0, "b": 2.0, "c": 1.5 - 2j}
        assert out["d"] == 3.0

    @pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e-5, 1.0, 1e5, 1e30, 1e150])
    def test_against_an_exact_norm(self, scale, engine):
        rng = np.random.default_rng(1)
        dtype = "f4" if 1e-31 < scale < 1e31 else "f8"
        grads = {k: (rng.normal(size=n) * scale).astype(dtype) for k, n in {"a": 10_000, "b": 77}.items()}
        norm = root_of_squares(grads.values())
        out = left(gs.clip_by_global_norm(norm / 8), grads, engine=engine)
        unit = np.finfo(dtype).eps
        for k, x in out.items():
            # one rounding of the factor, one of the product, and in float64 a few of the sum
            np.testing.assert_allclose(x, grads[k] / 8, rtol=(2 if dtype == "f4" else 8) * unit, atol=0)

    @pytest.mark.parametrize("clip", [gs.clip_by_norm, gs.clip_by_global_norm])
    def test_beyond_what_has_a_square_is_refused_by_name(self, clip, engine):
        params = {"a": np.zeros(3), "b": np.zeros(2)}
        opt = gs.Optimizer(params, gs.chain(clip(1.0), gs.sgd(lr=1.0)), engine=engine)
        largest = 1e151
        opt.step({"a": np.full(3, largest), "b": np.zeros(2)})
        norm = math.hypot(*params["a"])
        assert norm == pytest.approx(1.0)
        with pytest.raises(
            gs.NonFiniteError, match=r"gradient 'b' is too large for this rule in float64 .*\[1\] = 1e\+200"
        ):
            opt.step({"a": np.zeros(3), "b": np.array([0.0, 1e200])})
        assert math.hypot(*params["a"]) == norm
        with pytest.raises(gs.GradstepValueError, match="max_norm must be finite and >= 1e-150, not 1e-201"):
            clip(1e-201)

    @pytest.mark.parametrize("clip", [gs.clip_by_norm, gs.clip_by_global_norm])
    @pytest.mark.parametrize("size", [1e-148, 1e-100, 1e100, 1e150])
    def test_far_from_one(self, size, clip, engine):
        out = left(clip(size / 8), {"a": np.array([3 * size, -4 * size])}, engine=engine)["a"]
        assert out == pytest.approx(np.array([3, -4]) * size / 40, rel=1e-14)

    @pytest.mark.parametrize("clip", [gs.clip_by_norm, gs.clip_by_global_norm])
    def test_nothing_at_all(self, clip, engine):
        out = left(clip(1.0), {"a": np.zeros(3), "b": np.zeros(0, "f4")}, engine=engine)
        assert out["a"].tolist() == [0.0] * 3
        assert out["b"].shape == (0,)

    def test_after_another_stage(self, engine):
        """The norm is that of what the stages before leave: g + weight_decay * theta = (3, 4)."""
        params = {"a": np.array([2.0, 4.0])}
        stage = gs.chain(gs.l2(0.5), gs.clip_by_norm(2.5))
        assert left(stage, {"a": np.array([2.0, 2.0])}, params, engine)["a"].tolist() == [1.5, 2.0]

    def test_two_norms_in_one_chain(self, engine):
        stage = gs.chain(gs.clip_by_norm(2.5, name="each"), gs.clip_by_global_norm(1.25, name="all"))
        out = left(stage, {"a": np.array([3.0, 4.0]), "b": np.zeros(2)}, engine=engine)
        assert out["a"].tolist() == [0.75, 1.0]

    def test_a_norm_may_follow_a_schedule(self, engine):
        w = np.zeros(2)
        tx = gs.chain(gs.clip_by_norm(lambda t: 5.0 / 2**t), gs.sgd(lr=1.0))
        opt = gs.Optimizer(w, tx, engine=engine)
        for _ in range(3):
            opt.step(np.array([-3.0, -4.0]))
        assert w.tolist() == [3.0 + 1.5 + 0.75, 4.0 + 2.0 + 1.0]


def dtype_of(x, dtype):
    return float(np.dtype(dtype).type(x))


@engines
@dtypes
class TestDecay:
    def test_coupled(self, dtype, engine):
        params = {"a": np.array([2.0, -4.0], dtype)}
        assert left(gs.l2(0.5), {"a": np.ones(2, dtype)}, params, engine)["a"].tolist() == [2.0, -1.0]

    def test_decoupled(self, dtype, engine):
        w = np.array([2.0, -4.0], dtype)
        gs.Optimizer(w, gs.chain(gs.sgd(lr=0.5), gs.decay(weight_decay=0.25)), engine=engine).step(np.ones(2, dtype))
        assert w.tolist() == [1.5 * 0.875, -4.5 * 0.875]

    def test_with_sgd_both_are_one_when_nothing_rounds(self, dtype, engine):
        g = np.array([0.5, 0.25], dtype)
        w, v = np.array([2.0, -4.0], dtype), np.array([2.0, -4.0], dtype)
        gs.Optimizer(w, gs.chain(gs.l2(0.25), gs.sgd(lr=0.5)), engine=engine).step(g)
        gs.Optimizer(v, gs.chain(gs.decay(weight_decay=0.25), gs.sgd(lr=0.5)), engine=engine).step(g)
        assert w.tolist() == v.tolist()

    def test_adamw_is_adam_after_decay(self, dtype, engine):
        rng = np.random.default_rng(0)
        w = rng.normal(size=20).astype(dtype)
        v = w.copy()
        a = gs.Optimizer(w, gs.adamw(lr=0.1, weight_decay=0.3), engine=engine)
        b = gs.Optimizer(v, gs.chain(gs.decay(weight_decay=0.3), gs.adam(lr=0.1)), engine=engine)
        for _ in range(4):
            g = rng.normal(size=20).astype(dtype)
            a.step(g)
            b.step(g)
        assert bits(w) == bits(v)


@engines
class TestEma:
    def test_weights(self, engine):
        w = np.array([1.0])
        opt = gs.Optimizer(w, gs.chain(gs.sgd(lr=1.0), gs.ema(decay=0.5)), engine=engine)
        seen = []
        for _ in range(3):
            opt.step(np.array([1.0]))
            seen.append(opt.averaged().item())
        assert seen == [0.5 * 1 + 0.5 * 0, 0.5 * 0.5 + 0.5 * -1, 0.5 * -0.25 + 0.5 * -2]

    def test_it_starts_at_the_parameters(self, engine):
        w = np.array([3.0, -2.0], "f4")
        opt = gs.Optimizer(w, gs.chain(gs.sgd, gs.ema), engine=engine)
        assert opt.averaged().tolist() == [3.0, -2.0]

    @pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
    @pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.999, 0.99999])
    def test_what_stands_still_is_its_own_average(self, decay, dtype, engine):
        w = np.random.default_rng(0).normal(size=300).astype(dtype)
        opt = gs.Optimizer(w, gs.chain(gs.sgd(lr=0.0), gs.ema(decay=decay)), engine=engine)
        for _ in range(200):
            opt.step(np.zeros_like(w))
        assert bits(opt.averaged()) == bits(w)

    def test_without_decay_it_is_the_parameters(self, engine):
        rng, w = np.random.default_rng(0), np.zeros(300, "f4")
        opt = gs.Optimizer(w, gs.chain(gs.sgd(lr=1.0), gs.ema(decay=0.0)), engine=engine)
        for _ in range(3):
            opt.step((rng.normal(size=300) * 10.0 ** rng.integers(-9, 9, 300)).astype("f4"))
            assert bits(opt.averaged()) == bits(w)

    @pytest.mark.parametrize("decay", [0.9, 0.999, 0.9999])
    def test_in_float32_it_is_near_the_exact_average(self, decay, engine):
        """Within some units of the last digit for each update that it remembers; it was off by ten times as much."""
        rng, w = np.random.default_rng(0), np.ones(300, "f4")
        opt = gs.Optimizer(w, gs.chain(gs.sgd(lr=0.0), gs.ema(decay=decay)), engine=engine)
        exact = np.ones(300)
        for _ in range(400):
            w[...] = 1 + 0.1 * rng.normal(size=300)
            opt.step(np.zeros_like(w))
            exact = decay * exact + (1 - decay) * w
        assert np.abs(opt.averaged() - exact).max() < 2e-6

    def test_it_leaves_parameters_alone(self, engine):
        w, v = np.ones(5), np.ones(5)
        a = gs.Optimizer(w, gs.chain(gs.adam, gs.ema(decay=0.9)), engine=engine)
        b = gs.Optimizer(v, "adam", engine=engine)
        for _ in range(3):
            a.step(np.arange(5.0))
            b.step(np.arange(5.0))
        assert bits(w) == bits(v)


@engines
@pytest.mark.parametrize("name", wide(name for name in OF_GRADIENTS if registry()[name].random is None))
def test_maximize_is_descent_of_the_negative(name, engine):
    rng = np.random.default_rng(0)
    w = rng.normal(size=9)
    v = w.copy()
    up = gs.Optimizer(w, gs.chain(gs.maximize, registry()[name]), engine=engine)
    down = gs.Optimizer(v, name, engine=engine)
    for _ in range(3):
        g = rng.normal(size=9)
        up.step(g)
        down.step(-g)
    assert bits(w) == bits(v)


@pytest.mark.parametrize("clip", [gs.clip_by_norm, gs.clip_by_global_norm])
@settings(max_examples=60)
@given(st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=40), st.floats(1e-3, 1e3))
def test_no_norm_is_longer_than_it_may(clip, values, bound):
    g = np.array(values)
    out = left(clip(bound), {"a": g})["a"]
    assert root_of_squares([out]) <= bound * (1 + 1e-14)
    assert np.all(np.sign(out) * np.sign(g) >= 0)
    if root_of_squares([g]) <= bound * (1 - 1e-14):
        assert out.tolist() == (0.0 + g).tolist()
