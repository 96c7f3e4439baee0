"""Hyperparameters: what values are taken, schedules, and factors."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradstep as gs
from gradstep.form.chain import program
from gradstep.form.hyper import DOMAINS, Domain, at, checked, in_domain, times
from gradstep.rule import Positive, registry, rule
from support import case, clear


@given(low=st.floats(-10, 10), width=st.floats(0, 10), x=st.floats(allow_nan=True), a=st.booleans(), b=st.booleans())
def test_domains(low, width, x, a, b):
    high = low + width
    inside = not math.isnan(x) and low <= x <= high and not (a and x == low) and not (b and x == high)
    assert (x in Domain(low, high, open_low=a, open_high=b)) == inside


def test_domains_hold_finite_numbers_alone():
    assert math.inf not in Domain(0.0)
    assert math.nan not in Domain(0.0)
    assert str(Domain(0.0)) == ">= 0"
    assert str(Domain(0.0, 1.0, open_low=True, open_high=True)) == "> 0 and < 1"


def test_every_hyperparameter_of_every_rule_has_a_domain():
    for name, made in registry(None).items():
        if made.update.__module__.startswith("gradstep."):
            assert made.defaults.keys() == made.domains.keys(), name
    for name in DOMAINS:
        assert any(name in made.defaults for made in registry(None).values()), name


def test_common_is_what_is_in_both():
    assert Domain(0.0) & Domain(0.0, 1.0, open_low=True) == Domain(0.0, 1.0, open_low=True)
    assert Domain(-1.0, 1.0, open_high=True) & Domain(0.5, 1.0) == Domain(0.5, 1.0, open_high=True)


class TestDeclaredDomains:
    """A domain stands where its hyperparameter is declared, and is asked wherever the value comes from."""

    @pytest.fixture
    def kept(self, monkeypatch):
        monkeypatch.setattr("gradstep.form.rule._REGISTRY", registry(None))

        def kept(theta, g, kappa):
            return theta - kappa * g, g

        return rule(with_domain)(kept)

    def test_of_what_is_given_with_the_rule(self, kept):
        assert kept.domains == {"kappa": Domain(1.0, 2.0)}
        with pytest.raises(gs.GradstepValueError, match="kept: kappa must be finite and >= 1 and <= 2, not 3"):
            kept(kappa=3.0)

    def test_of_what_is_set_in_groups_and_scheduled(self, kept):
        wrong = "kappa must be finite and >= 1 and <= 2, not 3"
        w = np.ones(3)
        opt = gs.Optimizer({"w": w}, kept(name="mine", kappa=1.0))
        with pytest.raises(gs.GradstepValueError, match=f"mine.{wrong}"):
            opt.hyper["mine.kappa"] = 3.0
        for groups in ({"w": {"kappa": 3.0}}, {"w": {"kappa": gs.times(3.0)}}):
            with pytest.raises(gs.GradstepValueError, match=wrong):
                gs.Optimizer({"w": w}, kept(kappa=1.0), groups=groups).step({"w": w.copy()})
        with pytest.raises(gs.GradstepValueError, match=wrong):
            gs.Optimizer({"w": w}, kept(kappa=lambda t: 3.0)).step({"w": w.copy()})
        assert (w == 1.0).all()

    def test_a_shared_name_obeys_all_that_share_it(self, kept):
        def also(theta, g, kappa):
            return theta - kappa * g, g

        other = rule(narrow)(also)
        assert program(gs.chain(kept, other)).domains == {"kappa": Domain(1.25, 2.0)}

    def test_a_default_outside_is_refused(self):
        def kept(theta, g, kappa):
            return theta - kappa * g, g

        with pytest.raises(gs.GradstepValueError, match="kept, default: kappa must be finite and > 0, not 0"):
            rule(zero)(kept)


def with_domain(kappa: Annotated[float, Domain(1.0, 2.0)] = 1.5):
    return {"kappa": kappa}


def narrow(kappa: Annotated[float, Domain(1.25)] = 1.5):
    return {"kappa": kappa}


def zero(kappa: Positive = 0.0):
    return {"kappa": kappa}


def test_checked_gives_floats_and_keeps_schedules():
    assert type(checked("lr", np.float32(0.5), "x")) is float
    cosine = gs.schedules.cosine(0.1, 10)
    assert checked("lr", cosine, "x") is cosine
    assert checked("anything", -5, "x") == -5.0


@pytest.mark.parametrize("value", ["0.1", None, True, 1j, [0.1], np.array(0.1), np.array([0.1]), Decimal("0.1"), {}])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(gs.GradstepTypeError, match="adam: lr must be a number or a schedule") as error:
        checked("lr", value, "adam")
    assert type(value).__name__ in str(error.value)
    assert clear(error)


def test_what_is_not_finite_is_refused():
    for name in [*DOMAINS, "stage.lr", "unheard_of"]:
        for value in [math.nan, math.inf, -math.inf, 10**400, -(10**400), Fraction(10**400, 3)]:
            with case(name, value):
                with pytest.raises(gs.GradstepValueError, match="must be finite") as error:
                    checked(name, value, "adam")
                assert clear(error)


def test_a_flat_name_has_the_domain_of_its_last_word():
    with pytest.raises(gs.GradstepValueError, match=r"slow\.lr must be finite and >= 0, not -1"):
        in_domain("slow.lr", -1.0, "opt")


class TestSchedules:
    def test_called_with_the_updates_made(self):
        asked = []
        assert at(lambda t: asked.append(t) or 0.5, "lr", 7, "opt") == 0.5
        assert asked == [7]
        assert at(0.25, "lr", 7, "opt") == 0.25

    @pytest.mark.parametrize("value", ["0.1", None, True, np.array(0.1), 1j])
    def test_must_give_numbers(self, value):
        with pytest.raises(
            gs.GradstepTypeError, match=r"opt: the schedule of lr gave .* at t = 3; it must give"
        ) as error:
            at(lambda t: value, "lr", 3, "opt")
        assert clear(error)

    @pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, 10**400])
    def test_must_stay_in_the_domain(self, value):
        with pytest.raises(gs.GradstepValueError, match="opt, schedule at t = 3: lr must be finite and >= 0") as error:
            at(lambda t: value, "lr", 3, "opt")
        assert clear(error)

    def test_may_give_any_real_type(self):
        assert type(at(lambda t: np.float32(0.5), "lr", 0, "opt")) is float
        assert at(lambda t: t, "weight_decay", 3, "opt") == 3.0


def test_times():
    assert times(0.1) == times(0.1)
    for x in ("2", None, True, math.nan, math.inf, 1j, 10**400):
        with pytest.raises(gs.GradstepValueError, match="times: the factor must be a finite number"):
            times(x)
