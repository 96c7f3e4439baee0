"""Gradients that are not finite: raise, skip or ignore, all or nothing."""

import weakref

import numpy as np
import pytest

import gradstep as gs
from gradstep.engine.cpu.gather import SMALL
from gradstep.errors import ScalarError
from support import LONG, engines, fingerprint, same, states


class TestPolicies:
    bad = staticmethod(lambda: {"a": np.ones(2), "b": np.array([np.nan, 1.0])})
    good = staticmethod(lambda: {"a": np.full(2, 0.5), "b": np.full(2, -2.0)})

    @engines
    @pytest.mark.parametrize("tx", [gs.nadam(), LONG], ids=["nadam", "long"])
    def test_skip(self, tx, engine):
        """As if the bad steps had not been: state, memory and t."""
        opt = gs.Optimizer(self.good(), tx, on_nonfinite="skip", engine=engine)
        twin = gs.Optimizer(self.good(), tx, engine=engine)
        for k in range(5):
            opt.step(self.good() if k % 2 else self.bad())
            if k % 2:
                twin.step(self.good())
        assert (opt.t, opt.skipped) == (2, 3)
        assert same(opt.params, twin.params)
        assert same(states(opt), states(twin))
        assert opt.parts().memory == twin.parts().memory

    @engines
    def test_reset_forgets_what_was_skipped(self, engine):
        opt = gs.Optimizer(self.good(), "adam", on_nonfinite="skip", engine=engine)
        opt.step(self.bad())
        opt.reset()
        assert opt.skipped == 0

    @engines
    def test_skip_of_a_sum_that_overflows(self, engine):
        tx = gs.chain(gs.clip_by_global_norm(1.0), gs.sgd)
        opt = gs.Optimizer(np.ones(4), tx, on_nonfinite="skip", engine=engine)
        opt.step(np.full(4, 1e200))
        assert (opt.t, opt.skipped) == (0, 1)

    @engines
    def test_skip_does_not_hide_what_no_gradient_can_mend(self, engine):
        opt = gs.Optimizer(np.ones(2, "f4"), "adam", lr=1e38, on_nonfinite="skip", engine=engine)
        with pytest.raises(ScalarError, match="adam: the scalar rate is"):
            opt.step(np.ones(2, "f4"))
        assert (opt.t, opt.skipped) == (0, 0)

    @engines
    def test_skip_still_raises_for_what_does_not_fit(self, engine):
        opt = gs.Optimizer(np.ones(2), "adam", on_nonfinite="skip", engine=engine)
        with pytest.raises(gs.GradstepValueError):
            opt.step(np.ones(3))
        assert opt.skipped == 0

    @engines
    def test_ignore(self, engine):
        opt = gs.Optimizer(self.good(), "sgd", lr=1.0, on_nonfinite="ignore", engine=engine)
        opt.step(self.bad())
        assert (opt.t, opt.skipped) == (1, 0)
        assert np.isnan(opt.params["b"]).tolist() == [True, False]
        opt.step(self.good())
        assert opt.params["a"].tolist() == [-1.0, -1.0]

    @engines
    def test_ignore_needs_a_finite_norm_all_the_same(self, engine):
        tx = gs.chain(gs.clip_by_global_norm(1.0), gs.sgd)
        opt = gs.Optimizer(self.good(), tx, on_nonfinite="ignore", engine=engine)
        before = fingerprint(opt)
        with pytest.raises(gs.NonFiniteError, match="the sum over the gradients is not finite"):
            opt.step(self.bad())
        assert fingerprint(opt) == before

    @engines
    def test_refused_gradients_are_let_go(self, engine):

        opt = gs.Optimizer(np.ones(SMALL + 1), "adam", on_nonfinite="skip", engine=engine)
        seen = []
        for _ in range(3):
            g = np.full(SMALL + 1, np.nan)
            seen.append(weakref.ref(g))
            opt.step(g)
        del g
        opt.step(np.ones(SMALL + 1))
        assert [x() for x in seen] == [None] * 3

    @engines
    def test_an_eps_that_vanishes_in_float32_is_refused(self, engine):
        for dtype in ("f4", "f8"):
            w = np.ones(3, dtype)
            opt = gs.Optimizer({"w": w, "x": np.ones(1)}, "adam", eps=1e-50, engine=engine)
            zero = {"w": np.zeros(3, dtype), "x": np.zeros(1)}
            if dtype == "f8":
                opt.step(zero)
            else:
                with pytest.raises(gs.NonFiniteError, match="eps = 1e-50 at update 1 is 0 in the parameters' dtype"):
                    opt.step(zero)
            assert w.tolist() == [1.0] * 3


@engines
@pytest.mark.parametrize("clip", [gs.clip_by_global_norm, gs.clip_by_norm])
def test_where_a_norm_is_taken_bad_gradients_are_named_too(clip, engine):
    """The first reduction looks at the gradients as it sums: the norm alone would not say whose it is."""
    params = {"a": np.ones(3), "b": np.ones(4)}
    opt = gs.Optimizer(params, gs.chain(clip(1.0), gs.adam), engine=engine)
    for value in (np.nan, np.inf):
        with pytest.raises(gs.NonFiniteError, match=r"gradient 'b' is not finite: \[2\] = "):
            opt.step({"a": np.ones(3), "b": np.array([1.0, 0.0, value, 2.0])})
    assert opt.t == 0
    assert (params["b"] == 1.0).all()


@engines
@pytest.mark.parametrize("clip", [gs.clip_by_global_norm, gs.clip_by_norm])
def test_a_norm_behind_the_rule_does_not_hide_a_gradient_that_is_too_large(clip, engine):
    """Its square is no float32, but the float64 sum of squares is finite."""
    params = np.ones(3, "f4")
    opt = gs.Optimizer(params, gs.chain(gs.adam, clip(1.0), gs.adam(name="again")), engine=engine)
    with pytest.raises(gs.NonFiniteError, match=r"gradient 'params' is too large for this rule in float32"):
        opt.step(np.array([0.0, 1e30, 0.0], "f4"))
    assert not opt.state["params"]["adam.v"].any()
