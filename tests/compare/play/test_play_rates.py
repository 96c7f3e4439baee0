"""Rates, taken from rules by stepping unit vectors, beside what theory says of them."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from browser import contrast
from gradstep.compare.show.play import figures, optimizers, pages
from gradstep.compare.show.play.rates import best, is_linear, rate_map, rates
from gradstep.compare.show.play.settings import read
from gradstep.conventions import stage_of
from gradstep.text import Named

LINEAR = {
    *(
        "sgd",
        "momentum",
        "nesterov",
        "sgdw",
        "unfolded_momentum",
        "unfolded_nesterov",
        "keras.SGD",
        "mlx.SGD",
        "optax.sgd",
    ),
    *("tf1.GradientDescentOptimizer", "tf1.MomentumOptimizer", "pytorch_optimizer.SGDW", "timm.SGDW", "torch.SGD"),
}
CONDITIONS = [1.0, 1.5, 7.0, 100.0, 3e3, 1e6]


def gradient_descent(k):  # curvatures 1 and 1/k
    return 2 / (1 + 1 / k), None, (k - 1) / (k + 1)


def heavy_ball(k):  # Polyak 1964
    rate = (math.sqrt(k) - 1) / (math.sqrt(k) + 1)
    return (2 / (1 + 1 / math.sqrt(k))) ** 2, rate**2, rate


def accelerated(k):  # Lessard, Recht and Packard 2016, table 1
    root = math.sqrt(3 * k + 1)
    return 4 / (3 + 1 / k), (root - 2) / (root + 2), 1 - 2 / root


THEORY = {"sgd": gradient_descent, "momentum": heavy_ball, "nesterov": accelerated}
THEORY |= {"unfolded_momentum": heavy_ball, "unfolded_nesterov": accelerated}


def test_which_rules_are_linear():
    scale = {"theta/g": 0.3, "theta": 0.1}
    names = [name for group in optimizers.names().values() for name in group]
    assert {name for name in names if is_linear(optimizers.choose(Named(name), scale).stage)} == LINEAR


def test_clipping_is_not_linear_and_decay_is():
    assert not is_linear(gs.chain(gs.clip_by_value(1.0), gs.sgd(lr=0.1)))
    assert not is_linear(gs.chain(gs.clip_by_norm(1.0), gs.sgd(lr=0.1)))
    assert is_linear(stage_of("torch.SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}))


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("name", THEORY)
def test_the_best_point_is_that_of_theory(name, condition):
    lr, momentum, rate = THEORY[name](condition)
    found = best(stage_of(name, {"lr": 0.1}), (1.0, 1 / condition))
    assert found.rate == pytest.approx(rate, abs=1e-6)
    assert found.lr == pytest.approx(lr, abs=1e-6)
    if momentum is not None:
        assert found.momentum == pytest.approx(momentum, abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.floats(1.2, 1e4))
def test_heavy_ball_for_any_condition(condition):
    assert best(gs.momentum(lr=0.1), (1.0, 1 / condition)).rate == pytest.approx(heavy_ball(condition)[2], abs=1e-6)


@given(st.floats(1e-3, 3.9), st.floats(0, 0.95), st.floats(1e-3, 1))
def test_heavy_ball_at_any_point_has_the_roots_of_its_polynomial(lr, momentum, curvature):
    found = rates(gs.momentum(lr=1.0), (curvature,), lr=lr, momentum=momentum)
    expected = np.abs(np.roots([1, -(1 + momentum - lr * curvature), momentum])).max()
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_rate_is_how_fast_the_optimizer_itself_converges():
    hyper = {"lr": 0.7, "momentum": 0.6}
    found = rates(gs.nesterov(lr=1.0), (1.0, 0.05), **hyper)
    theta = np.array([1.0, 1.0])
    opt = gs.Optimizer(theta, "nesterov", **hyper)
    sizes = []
    for _ in range(400):
        opt.step(np.array([1.0, 0.05]) * theta)
        sizes.append(np.abs(theta).max())
    assert (sizes[-1] / sizes[199]) ** (1 / 200) == pytest.approx(found, abs=1e-3)


def test_other_hyperparameters_count():
    plain, decayed = (
        best(stage_of("torch.SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": x}), (1.0, 0.01)) for x in (0.0, 0.1)
    )
    assert decayed.rate < plain.rate  # decay adds to both curvatures
    assert decayed.rate == pytest.approx(heavy_ball(1.1 / 0.11)[2], abs=1e-6)


def test_a_map_is_the_rates_of_its_points():
    found = rate_map(gs.momentum(lr=0.1), (1.0, 0.05))
    assert found.rate.shape == (len(found.momentum), len(found.lr))
    for j, i in ((0, 0), (20, 50), (66, 140)):
        hyper = {"lr": float(found.lr[i]), "momentum": float(found.momentum[j])}
        assert found.rate[j, i] == rates(gs.momentum(), (1.0, 0.05), **hyper)
    assert found.rate.min() >= found.best.rate - 1e-9
    assert rate_map(gs.momentum(lr=0.7, momentum=0.2), (1.0, 0.05)) is found  # the same map
    assert rate_map(gs.sgd(lr=0.1), (1.0, 0.05)).momentum is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"optimizers": "adam"}, "adam is not linear"),
        ({"surface": "beale", "optimizers": "sgd"}, "Only a quadratic"),
        ({"optimizers": "sgd:lr=5"}, "does not converge"),
        ({"optimizers": "momentum:lr=0.5,momentum=0.8"}, "momentum at lr 0.5, momentum 0.8: each step leaves 0.89"),
        ({"optimizers": "sgd:lr=1e308"}, "does not converge"),
        ({"surface": "quadratic:condition=1", "optimizers": "sgd:lr=1"}, "leaves 0 of the error"),
    ],
)
def test_what_is_said_of_a_rate(fields, said):
    found = json.loads(pages.rate(fields).body)
    assert said in found["text"]
    assert ("rate" in found) == (found["figure"] is not None)


def test_every_linear_optimizer_has_a_map():
    for name in LINEAR:
        for extra in ("", ":momentum=0.5"):
            if not extra or "momentum" in optimizers.known(name).knobs:
                found = json.loads(pages.rate({"optimizers": name + extra}).body)
                assert 0 < found["best"]["rate"] <= found["rate"]


@pytest.mark.parametrize("sheet", ["page", "dark"])
def test_ten_steps_a_digit_and_a_thousand_can_be_told_apart_and_marks_be_read(sheet):
    """By the contrast of their colours, in both themes; text stands on the deepest one, where the best rate is."""
    css = (Path(gs.__file__).parent / "compare/show/pages" / f"{sheet}.css").read_text()
    tones = {name: [int(x[k : k + 2], 16) for k in (0, 2, 4)] for name, x in re.findall(r"--(\w+): #(\w{6});", css)}
    found = figures.rate_map(read({"surface": "quadratic", "optimizers": "momentum"}))["figure"]["data"][0]
    low, high, (start, first), (_, last) = found["zmin"], found["zmax"], *found["colorscale"][2:]
    assert found["colorscale"][1] == [start, "paper"]  # of what diverges
    places = dict(zip(found["colorbar"]["ticktext"], found["colorbar"]["tickvals"], strict=True))
    shown = []
    for steps in ("10", "1000"):
        part = ((places[steps] - low) / (high - low) - start) / (1 - start)
        shown.append([a + part * (b - a) for a, b in zip(tones[first], tones[last], strict=True)])
    ten, thousand, deepest, ink = (
        "rgb({:.0f}, {:.0f}, {:.0f})".format(*x) for x in (*shown, tones[last], tones["ink"])
    )
    assert contrast(ten, thousand) > 1.6
    assert contrast(ink, deepest) > 4.5
