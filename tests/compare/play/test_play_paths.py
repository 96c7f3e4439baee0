"""Paths and knobs: every number on the page is that of gs.Optimizer, bit for bit."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradstep as gs
from gradstep.compare.show.play import optimizers, pages, paths
from gradstep.compare.show.play.settings import read
from gradstep.conventions import constructor
from gradstep.errors import GradstepError, NonFiniteError
from gradstep.rule import Domain, Rule
from gradstep.text import Named
from support import case

ALL = [name for group in optimizers.names().values() for name in group]
SCALE = {"theta/g": 0.3, "theta": 0.1}


def ask(**fields):
    return json.loads(pages.path(fields).body)


def test_a_path_is_the_optimizers_own():
    for name in ALL:
        with case(name):
            found = ask(surface="noisy:noise=0.2,seed=7,angle=10", optimizers=name, steps="40", start="1.25,-0.5")
            (path,) = found["paths"]
            theta = np.array([1.25, -0.5])
            opt = gs.Optimizer({"x": theta}, optimizers.choose(Named(name), {"theta/g": 0.1, "theta": 0.05}).stage)
            turn = np.deg2rad(10)
            axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            matrix = (axes * (1, 1 / found["surface"]["numbers"]["condition"])) @ axes.T
            noise = 0.2 * np.random.default_rng(7).standard_normal((40, 2))
            for step in range(40):
                assert path["x"][step] == theta.tolist()
                assert path["loss"][step] == pytest.approx(theta @ matrix @ theta / 2, rel=1e-12)
                grad = np.array(path["gradient"][step])
                assert grad == pytest.approx(matrix @ theta + noise[step], rel=1e-10, abs=1e-14)
                for key, slot in opt.state["x"].items():
                    if slot.size > 2:
                        continue  # a square of numbers
                    of_coordinates = np.broadcast_to(slot.reshape(-1), 2)  # one number is that of both
                    assert path["state"][key][step] == of_coordinates.tolist()
                before = theta.copy()
                opt.step({"x": grad}, loss=path["loss"][step])
                assert path["moved"][step] == np.hypot(*(theta - before))
                assert path["rate"][step] == np.abs((theta - before) / grad).tolist()
            assert path["x"][40] == theta.tolist()
            assert path["ended"] is None


def test_all_optimizers_meet_the_same_noise():
    found = ask(surface="noisy:condition=1", optimizers="sgd:lr=0,momentum:lr=0", steps="20")
    a, b = (path["gradient"] for path in found["paths"])
    assert a == b
    assert a != ask(surface="noisy:condition=1,seed=1", optimizers="sgd:lr=0", steps="20")["paths"][0]["gradient"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("lr", [4, 1e8, 1e308])
def test_a_path_that_diverges_ends_and_says_when(lr):
    found = ask(surface="rosenbrock", optimizers=f"sgd:lr={lr}", steps="50")["paths"][0]
    assert len(found["x"]) == len(found["loss"]) == len(found["gradient"]) + 1 <= 50
    assert found["ended"].startswith(("diverged at step", "ended before step"))


def test_a_step_from_a_minimum_has_no_rate():
    found = ask(optimizers="sgd", start="0,0", steps="3")["paths"][0]
    assert found["rate"] == [[None, None]] * 3
    assert found["moved"] == [0.0] * 3


def test_the_knobs_of_a_rule_are_its_hyperparameters():
    for name, rule in ((name, constructor(name)) for name in ALL):
        if isinstance(rule, Rule):
            knobs = optimizers.known(name).knobs
            assert {key: knob.default for key, knob in knobs.items()} == dict(rule.defaults), name
            assert all(knob.domain == rule.domains.get(key, Domain(-math.inf)) for key, knob in knobs.items()), name


def test_sliders_rise_and_stop_within_the_domain_alone():
    for name in ALL:
        for key, knob in optimizers.known(name).knobs.items():
            assert list(knob.stops) == sorted(set(knob.stops)), (name, key)
            assert all(x in knob.domain for x in knob.stops), (name, key)


def made(name, numbers):
    """A stage in words, or None where the numbers make none."""
    try:
        return str(optimizers.choose(Named(name, tuple(numbers.items())), SCALE))
    except GradstepError:
        return None


def test_every_knob_changes_the_stage():
    helpers = [{}, {"momentum": 0.5}, {"weight_decay": 0.1}, {"relative_step": 0.0}]
    for name in ALL:
        knobs = optimizers.known(name).knobs
        for key, knob in knobs.items():
            besides = [x for x in helpers if x.keys() <= knobs.keys() - {key}]
            ends = [[made(name, {**x, key: knob.stops[k]}) for k in (0, -1)] for x in besides]
            assert any(low != high for low, high in ends), (name, key, ends)


def test_knobs_of_other_libraries():
    assert list(optimizers.known("torch.Adam").knobs)[:4] == ["lr", "beta1", "beta2", "eps"]
    made = optimizers.choose(Named("torch.Adam", (("amsgrad", 1.0), ("beta2", 0.9))), SCALE)
    assert repr(made.stage) == repr(gs.conventions.torch.Adam(lr=0.1, betas=(0.9, 0.9), amsgrad=True))
    made = optimizers.choose(Named("keras.SGD", (("momentum", 0.5), ("nesterov", 1.0))), SCALE)
    assert repr(made.stage) == repr(gs.conventions.keras.SGD(learning_rate=0.3, momentum=0.5, nesterov=True))
    assert {"nesterov", "momentum"} <= set(optimizers.known("optax.sgd").knobs)
    assert "foreach" not in optimizers.known("torch.Adam").knobs  # how torch computes, not what


def test_the_learning_rate_is_that_of_the_surface_unless_it_is_given():
    assert read({"surface": "rosenbrock", "optimizers": "sgd"}).players[0].numbers["lr"] == 1e-3
    assert read({"surface": "rosenbrock", "optimizers": "keras.RMSprop"}).players[0].numbers["learning_rate"] == 0.05
    assert read({"surface": "rosenbrock", "optimizers": "adadelta"}).players[0].numbers["lr"] == 1.0
    assert read({"surface": "rosenbrock", "optimizers": "adam:lr=7"}).players[0].numbers["lr"] == 7


@given(
    st.sampled_from(["beale", "quadratic", "quadratic:angle=45,condition=3", "noisy:noise=0.1,seed=9"]),
    st.lists(st.sampled_from(ALL), min_size=1, max_size=6, unique=True),
    st.tuples(*[st.floats(-1e2, 1e2)] * 2),
    st.integers(1, 1000),
    st.integers(0, 0),
)
def test_settings_read_back_from_their_query(surface, names, start, steps, shown):
    from gradstep.compare.show.server import read_query

    fields = {"surface": surface, "optimizers": ",".join(names), "start": f"{start[0]!r},{start[1]!r}"}
    made = read({**fields, "steps": str(steps), "shown": str(shown)})
    again = read(dict(read_query(made.query)))
    assert again.fields == made.fields
    assert again.start == start
    assert [x.numbers for x in again.players] == [x.numbers for x in made.players]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"colour": "red"}, "unknown field of the query 'colour'"),
        ({"surface": "quadratic,beale"}, "one surface, not 2"),
        ({"surface": ""}, "cannot read"),
        ({"optimizers": "adamm"}, "unknown optimizer 'adamm'; did you mean"),
        ({"optimizers": "clip_by_norm"}, "unknown optimizer"),
        ({"optimizers": "adam:beta1=1"}, "adam: beta1 must be finite and >= 0 and < 1, not 1"),
        ({"optimizers": "adam:lr=inf"}, "must be finite"),
        ({"optimizers": "torch.Adam:amsgrad=0.5"}, "whole number"),
        ({"optimizers": "torch.SGD:nesterov=1"}, "momentum"),
        ({"optimizers": "sgd,sgd"}, "given twice"),
        ({"optimizers": "sgd,adam,adamw,adamax,nadam,radam,amsgrad"}, "7 optimizers are too many"),
        ({"steps": "0"}, "steps must be a whole number from 1 to 1000"),
        ({"steps": "1001"}, "steps must be"),
        ({"steps": "9" * 5000}, "steps must be"),
        ({"steps": "٣"}, "steps must be"),
        ({"shown": "3"}, "shown must be a whole number from 0 to 2"),
        ({"start": "1"}, "start must be two numbers"),
        ({"start": "1,2,3"}, "start must be two numbers"),
        ({"start": "nan,0"}, "start must lie within"),
        ({"start": "1e300,0"}, "start must lie within"),
    ],
)
def test_what_cannot_be_played_is_one_sentence(fields, said):
    with pytest.raises(GradstepError, match=said) as error:
        read(fields)
    assert "\n" not in str(error.value)


def test_a_rule_of_the_users_own_is_not_offered():
    assert {constructor(name).module.split(".")[1] for name in optimizers.names()["rules"]} == {"rules"}


def test_hyperparameters_that_no_dtype_holds_end_the_path_with_the_librarys_sentence():
    (path,) = paths.trace(read({"optimizers": "momentum:lr=1e308", "steps": "5"}))
    assert path.ended
    with pytest.raises(NonFiniteError):
        gs.Optimizer(np.ones(2), "adam", lr=1e308, beta1=0.9).step(np.ones(2) * np.inf)
