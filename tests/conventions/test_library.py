"""A library of the tests' own: what a declaration can say of an argument, and that all who read it understand."""

import numpy as np
import pytest

import gradstep as gs
from gradstep import conventions, rules, variants
from gradstep.compare.contender import Contender
from gradstep.compare.problems import find_problem
from gradstep.compare.search import SPACES, Range, at, space
from gradstep.compare.show.play import optimizers
from gradstep.conventions.constructor import AsIs, Change
from gradstep.conventions.library import Changed, Library, minus
from gradstep.errors import GradstepError
from gradstep.form.chain import chain, program
from gradstep.text import read_names
from support import case

library = Library(
    "mine",
    becomes={"betas": ("beta1", "beta2"), "decay": "rho"},
    told="momentum",
    refused={"mask": "say it by name", "reduction": "gradients come as they are", "power": "it is part of the formula"},
)


@library
def Plain(
    lr=0.1,
    betas=(0.9, 0.999),
    eps=1e-8,
    mask=None,
    reduction="sum",
    power=-0.5,
    count=1,
    flag=False,
    mixing=(3.4, -4.8),
):
    return rules.adam()


@library(refused={"count": "there is one", "flag": "it is off", "mixing": "they are fixed"})
def Strict(
    lr=0.1,
    betas=(0.9, 0.999),
    eps=1e-8,
    mask=None,
    reduction="sum",
    power=-0.5,
    count=1,
    flag=False,
    mixing=(3.4, -4.8),
):
    return rules.adam()


@library(becomes={"betas": ("beta1", "beta2", "beta3")})
def Adan(lr=0.1, betas=(0.98, 0.92, 0.99)):
    return rules.adan()


@library(becomes={"decay": minus("decay_rate"), "eps": ("eps1", "eps2")})
def Factored(lr=0.1, decay=-0.8, eps=(1e-30, 1e-3)):
    return rules.adafactor()


@library(becomes={"away": (Changed("beta1", one := Change(lambda x: 1 - x, lambda x: 1 - x)), Changed("beta2", one))})
def Away(lr=0.1, away=(0.1, 0.001), eps=1e-8):
    return rules.adam()


@library(told="betas")
def Perhaps(lr=0.1, betas=(0.9, 0.999), eps=1e-8):
    has_mean, _ = betas
    return chain(rules.adam if has_mean else variants.scale_by_rms, *[rules.sgd] * (not has_mean))


@library(becomes={"eps": ("initial_accumulator", "eps")})
def Start(lr=0.1, eps=(None, 1e-8)):
    from_there, always = eps
    assert always
    return variants.adagrad_decaying() if from_there else rules.adagrad()


@library(choices={"scale": (None, "none", "root")}, told="eps")
def Scaled(lr=0.1, eps=1e-8, nesterov=False, scale=None):
    return {None: rules.sgd, "none": rules.sgd, "root": rules.adam}[scale]()


@library(becomes={"most": "max_value"}, optional="most")
def Clipped(lr=0.1, most=1.0):
    return chain(*[gs.clip_by_value] * bool(most), rules.sgd)


class Odd:
    """Cannot be compared with anything."""

    def __eq__(self, other):
        raise ArithmeticError

    __hash__ = None


DEFAULTS = {"mask": None, "reduction": "sum", "power": -0.5, "count": 1, "flag": False, "mixing": (3.4, -4.8)}
AS_GOOD = {"power": np.float64(-0.5), "count": np.array([1.0]), "mixing": [3.4, -4.8]}
OTHERS = [
    False,
    None,
    0,
    2,
    1.5,
    "mean",
    "",
    (),
    (3.4,),
    [3.4, -4.8, 2.0],
    {},
    np.zeros(3),
    np.zeros(0),
    Odd(),
    [Odd()],
]


@pytest.mark.parametrize("key", DEFAULTS)
def test_what_is_refused_is_all_but_the_default(key):
    assert repr(Strict(**{key: DEFAULTS[key]})) == repr(Strict())
    if key in AS_GOOD:
        assert repr(Strict(**{key: AS_GOOD[key]})) == repr(Strict())
    for k, value in enumerate(OTHERS):
        if isinstance(value, np.ndarray | Odd | list) or value not in (DEFAULTS[key],):
            with (
                case(f"{key} = OTHERS[{k}]"),
                pytest.raises(gs.GradstepValueError, match=rf"^mine\.Strict: {key}=.* cannot be had here: "),
            ):
                Strict(**{key: value})


def test_what_a_constructor_says_of_its_arguments_is_beside_what_the_library_says():
    kinds = {key: x.kind for key, x in Plain.takes.items()}
    assert {key for key, kind in kinds.items() if kind == "refused"} == {"mask", "reduction", "power"}
    assert {key for key, x in Strict.takes.items() if x.kind == "refused"} == set(DEFAULTS)
    assert [x.becomes for x in Strict.takes["betas"].items] == [("beta1",), ("beta2",)]
    assert Strict.takes["mask"].reason == "say it by name"

    @library(becomes={"mask": "momentum"}, told="decay", refused={"power": "never"})
    def Own(lr=0.1, mask=0.5, momentum=0.0, decay=0.5, power=1):
        """One of its own."""
        return rules.momentum()

    assert (Own.owner, Own.summary, Own.takes["power"].reason) == ("mine.Own", "One of its own.", "never")
    assert Own.takes["mask"].becomes == ("momentum",)
    assert [key for key, x in Own.takes.items() if x.is_told] == ["momentum", "decay"]


def test_a_tuple_has_as_many_numbers_as_it_is_declared_with():
    assert program(Adan(betas=[0.5, np.array(0.25), 0.125])).hyper == {
        **program(rules.adan(lr=0.1)).hyper,
        "beta1": 0.5,
        "beta2": 0.25,
        "beta3": 0.125,
    }
    assert list(Adan.numbers) == ["lr", "beta1", "beta2", "beta3"]
    assert Adan.arguments({"beta3": 0.5, "lr": 1.0}) == {"betas": (0.98, 0.92, 0.5), "lr": 1.0}
    for wrong in ((0.9, 0.9), (0.9,) * 4, 0.9, "abc", None):
        with pytest.raises(gs.GradstepTypeError, match=r"mine\.Adan: betas must be a tuple of 3 numbers, not "):
            Adan(betas=wrong)
    with pytest.raises(gs.GradstepTypeError, match=r"mine\.Perhaps: betas must be a pair of numbers, not 0\.9"):
        Perhaps(betas=0.9)
    with pytest.raises(gs.GradstepTypeError, match=r"beta2 must be a number or a schedule"):
        Adan(betas=(0.9, None, 0.9))


def test_a_number_of_a_tuple_may_be_a_switch():
    """None, or 0, has a meaning; given or not, where None is its default."""
    assert [part.label for part in Perhaps().parts] == ["adam"]
    for none in (None, 0.0):
        made = Perhaps(betas=(none, 0.9))
        assert [part.label for part in made.parts] == ["scale_by_rms", "sgd"]
    assert Perhaps.form({"betas": (None, 0.9)}).stage is Perhaps.form({"betas": (0, 0.5)}).stage
    assert len({id(x.stage) for x in Perhaps.forms()}) == 4
    assert [part.label for part in Start().parts] == ["adagrad"]
    made = Start(eps=(0.5, 1e-3))
    assert [part.label for part in made.parts] == ["adagrad_decaying"]
    assert (program(made).hyper["initial_accumulator"], program(made).hyper["eps"]) == (0.5, 1e-3)
    assert Start.arguments({"initial_accumulator": 0.25}) == {"eps": (0.25, 1e-8)}
    assert len(Start.forms()) == 2


def test_a_word_chooses_the_chain():
    assert [part.label for x in (None, "none", "root") for part in Scaled(scale=x).parts] == ["sgd", "sgd", "adam"]
    assert Scaled.form({}).stage is Scaled.form({"scale": None, "lr": 2.0}).stage
    assert list(Scaled.numbers) == ["lr", "eps", "nesterov"]
    assert len(Scaled.forms()) == 12
    for wrong in ("roots", 0, np.zeros(2), Odd()):
        with pytest.raises(gs.GradstepValueError, match=r"^mine\.Scaled: scale must be None, 'none' or 'root', not "):
            Scaled(scale=wrong)


def test_a_number_that_is_another_one_here():
    assert program(Factored()).hyper == program(rules.adafactor(lr=0.1)).hyper
    assert program(Factored(decay=-0.5)).hyper["decay_rate"] == 0.5
    assert program(Away(away=(0.25, 0.5))).hyper == {"lr": 0.1, "beta1": 0.75, "beta2": 0.5, "eps": 1e-8}
    assert Factored.values({"decay": np.float32(-0.5)})["decay_rate"] == 0.5
    with pytest.raises(
        gs.GradstepValueError,
        match=r"^mine\.Factored: decay_rate, which decay=0\.8 becomes, must be finite and > 0, not -0\.8\.$",
    ):
        Factored(decay=0.8)
    with pytest.raises(gs.GradstepTypeError, match=r"which decay='fast' becomes, must be a number or a schedule"):
        Factored(decay="fast")


def test_a_schedule_of_a_number_that_is_another_one_here():
    for schedule in (
        lambda t: -0.5 / (t + 1),
        lambda t: np.array([-0.5]) / (t + 1),
        gs.schedules.linear(-0.5, 2, -0.25),
    ):
        made = program(Factored(decay=schedule)).hyper["decay_rate"]
        assert [made(0), made(1)] == [-float(np.squeeze(schedule(k))) for k in (0, 1)]
    made = program(Factored(decay=AsIs(lambda t: -2 * t))).hyper["decay_rate"]
    assert isinstance(made, AsIs)
    assert made(2.0) == 4.0
    w = np.ones((2, 2))
    opt = gs.Optimizer(w, Factored(decay=lambda t: -0.5 / (t + 1)))
    other = gs.Optimizer(v := np.ones((2, 2)), rules.adafactor(lr=0.1, decay_rate=lambda t: 0.5 / (t + 1)))
    for _ in range(3):
        opt.step(w + np.arange(4.0).reshape(2, 2))
        other.step(v + np.arange(4.0).reshape(2, 2))
    assert w.tobytes() == v.tobytes()


@pytest.fixture
def by_name(monkeypatch):
    """The library's constructors are found by their names."""
    known = {f"mine.{x.__name__}": x for x in (Away, Factored, Adan)}
    for module in ("gradstep.compare.contender", "gradstep.compare.show.play.optimizers"):
        monkeypatch.setattr(f"{module}.described", known.__getitem__)
    monkeypatch.setattr(optimizers, "names", lambda: {"mine": list(known)})
    optimizers.known.cache_clear()
    yield
    optimizers.known.cache_clear()


@pytest.mark.usefixtures("by_name")
def test_a_comparison_searches_what_becomes_the_range():
    [named] = read_names("mine.Away:eps=1e-4")
    made = Contender(named)
    ranges = space(made, find_problem("rosenbrock"), "all")
    assert list(ranges) == ["lr", "beta1", "beta2"]
    for u in (0.0, 0.3, 0.9):
        hyper = program(made.stage(at(ranges, (0.5, u, u)))).hyper
        assert [hyper["beta1"], hyper["beta2"]] == [1 - (1 - SPACES["beta1"].at(u)), 1 - (1 - SPACES["beta2"].at(u))]
    assert Range(1e-4, 1e-2, there=lambda x: -x).at(0.5) == -1e-3


@pytest.mark.usefixtures("by_name")
def test_knobs_are_those_of_the_arguments():
    kind = optimizers.known("mine.Factored")
    knob = kind.knobs["decay_rate"] if "decay_rate" in kind.knobs else kind.knobs["decay"]
    assert (knob.name, knob.default) == ("decay", -0.8)
    assert list(knob.stops) == sorted(knob.stops)
    assert all(x in knob.domain and x < 0 for x in knob.stops)
    assert 0.0 not in knob.domain
    assert 0.5 not in knob.domain
    away = optimizers.known("mine.Away").knobs["beta1"]
    assert away.default == 0.1
    assert 1.0 in away.domain
    assert 0.0 not in away.domain
    [named] = read_names("mine.Factored:decay=-0.5")
    assert program(optimizers.choose(named, {}).stage).hyper["decay_rate"] == 0.5


def test_none_is_a_switch_where_it_may_be_given_and_a_zero_is_a_number():
    assert repr(Clipped()) == "chain(clip_by_value(max_value=1.0), sgd(lr=0.1))"
    assert repr(Clipped(most=None)) == "sgd(lr=0.1)"
    assert Clipped.form({"most": 2.0}).stage is Clipped.form({}).stage
    assert [len(form.stage.parts) for form in Clipped.forms()] == [1, 2]
    with pytest.raises(gs.GradstepError, match="max_value must be finite and > 0, not 0"):
        Clipped(most=0)


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw"])
def test_optax_keeps_the_rate_at_zero_without_a_step_of_warm_up(name):
    """``linear_schedule(0, rate, 0)`` is 0 for ever; here it would be no warm-up."""
    made = getattr(conventions.optax.contrib, name)
    assert made(0.1, warmup_steps=None).parts
    assert made(0.1, warmup_steps=3).parts
    with pytest.raises(GradstepError, match="keeps the rate at 0 for ever in optax; leave it out"):
        made(0.1, warmup_steps=0)
