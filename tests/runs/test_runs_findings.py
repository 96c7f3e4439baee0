"""Each finding comes of a real little run that deserves it and of no healthy one; its threshold has two sides."""

from dataclasses import replace

import numpy as np
import pytest

import gradstep as gs
from gradstep.runs import findings, summarize
from gradstep.runs.findings import FEW, LARGE, OFTEN, STILL, TINY
from gradstep.runs.summary import Curve

START = np.array([3.0, -2.0, 1.0])


def bowl(x):
    return float(x @ x), 2 * x


def examined(f=bowl, rule="adam", steps=200, x0=START, **options):
    """The summary of a run and what is found in it."""
    run = gs.Run(f, x0, rule, max_steps=steps, **options)
    summary = summarize(run, [step.as_json() for step in run])
    return summary, findings(summary)


def words(found):
    return [text.partition(":")[0] for text in found]


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1},
        {"rule": "sgd", "lr": 0.1},
        {"rule": gs.adam(lr=gs.schedules.cosine(0.2, 200))},
        {"rule": gs.adam(lr=gs.schedules.warmup_cosine(0.2, steps=200, warmup_steps=20))},
        {"rule": gs.chain(gs.clip_by_global_norm(100.0), gs.adam(lr=0.1))},
        {"lr": 0.1, "bounds": (-10.0, 10.0)},
        {"rule": "lbfgs"},
        {"lr": 0.1, "steps": 0},
        {"lr": 0.1, "steps": 1},
        {"lr": 0.1, "x0": np.zeros(3)},
        {"lr": 0.1, "batches": lambda k: k, "f": lambda x, k: bowl(x + 0.01 * np.sin(k))},
    ],
)
def test_nothing_is_found_in_a_healthy_run(options):
    assert examined(**options)[1] == []


def test_rounded_away_in_bfloat16():
    """Steps of 1e-3 from numbers of 1: the spacing there is 2^-7, and masters move where their roundings do not yet."""
    dtype = pytest.importorskip("ml_dtypes").bfloat16

    def slope(x):
        return float(np.sum(x, dtype="f4")), np.ones_like(x)

    def run(**options):
        return examined(slope, "sgd", 20, np.full(8, 1.5, dtype), lr=1e-3, **options)

    summary, found = run()
    assert words(found)[0] == "rounded away"
    assert found[0].startswith("rounded away: 100% of the parameters' elements did not move in the last updates")
    assert summary.curves["unmoved"].values == [1.0] * 20
    assert "rounded away" not in words(run(master=True)[1])
    assert "rounded away" not in words(examined(rule="sgd", steps=300, lr=0.1)[1])  # it has converged, to the last bit
    assert "rounded away" not in words(examined(slope, "sgd", 20, np.full(8, 1.5), lr=1e-3)[1])
    assert "rounded away" not in words(examined(slope, "sgd", 20, np.full(8, 1.5), lr=0.0)[1])  # of which another tells


def test_stalled_on_a_wrong_gradient():
    summary, found = examined(lambda x: (bowl(x)[0], -2 * x), "lbfgs")
    assert (summary.kind, words(found)) == ("stalled", ["stalled"])
    assert "gs.check_gradient says whether it is right" in found[0]


def test_frozen_by_one_huge_gradient_under_adam():
    """A gradient of 1e12 at the start: the squares' average is 1e21 and takes thousands of steps to forget."""

    def spiked(x, k):
        value, g = bowl(x)
        return value, g + (1e12 if k == 0 else 0.0)

    summary, found = examined(spiked, batches=lambda k: k, lr=0.01, beta1=0.0)
    assert words(found)[0] == "frozen"  # the huge one is not what the last gradients are held beside
    assert "one huge gradient has filled the averages" in found[0]
    assert words(examined(lambda x, k: bowl(x), batches=lambda k: k, lr=0.01, beta1=0.0)[1])[:1] != ["frozen"]
    ratio, norm = summary.curves["update_ratio"].values[-1], summary.curves["grad_norm"].values[-1]
    assert ratio < TINY
    assert norm > 1


def test_frozen_by_a_learning_rate_that_is_too_small():
    summary, found = examined(lr=1e-9)
    assert words(found)[0] == "frozen"
    assert "is still 100% of what it was at first" in found[0]
    assert summary.curves["update_ratio"].values[-1] < TINY


def curve(summary, key, values):
    return {**summary.curves, key: Curve(list(range(1, 1 + len(values))), list(values))}


def with_curve(summary, key, values, **more):
    return words(findings(replace(summary, curves=curve(summary, key, values), **more)))


@pytest.fixture
def healthy():
    summary, found = examined(lr=0.1)
    assert found == []
    return summary


def test_the_thresholds_of_frozen(healthy):
    n = 200
    steady = replace(healthy, curves=curve(healthy, "grad_norm", [5.0] * n))
    assert with_curve(steady, "update_ratio", [0.99 * TINY] * n) == ["frozen"]
    assert with_curve(steady, "update_ratio", [TINY] * n) == []
    still = replace(healthy, curves=curve(healthy, "update_ratio", [0.5 * TINY] * n))
    for last, expected in ((LARGE * 1.01, ["frozen"]), (LARGE * 0.99, [])):
        assert with_curve(still, "grad_norm", [1.0] * (n - 20) + [last] * 20) == expected
    assert with_curve(replace(steady, t=FEW - 1), "update_ratio", [0.0] * n) == []
    assert with_curve(still, "grad_norm", [0.0] * 20 + [1.0] * 180) == []  # no share of nothing


def test_a_learning_rate_that_is_too_large():
    summary, found = examined(rule="sgd", lr=1.05, steps=20)
    assert words(found)[0] == "lr at an edge"
    assert f"ended at {summary.last:.4g}, above the {summary.first:.4g} where it began" in found[0]
    assert summary.last > summary.first
    assert words(findings(replace(summary, t=FEW - 1)))[:1] != ["lr at an edge"]
    level = replace(summary, last=summary.first, best_t=summary.t)
    assert words(findings(level)) == []


def test_a_schedule_that_ended_before_the_run():
    short = gs.schedules.linear(0.1, 60, final=0.01)
    summary, found = examined(rule=gs.adam(lr=short))
    flat = sum(x == 0.01 for x in summary.curves["lr"].values)
    assert 100 < flat < 200
    said = f"lr at an edge: the schedule reached its end, 0.01, {flat} steps before the run did"
    assert found == [f"{said}; make it as long as the run."]


def test_the_threshold_of_a_schedule_that_ended(healthy):
    for flat, expected in ((101, ["lr at an edge"]), (100, [])):
        falling = np.linspace(1.0, 0.1, 200 - flat, endpoint=False)
        assert with_curve(healthy, "lr", [*falling, *[0.1] * flat]) == expected
    assert with_curve(healthy, "lr", [*np.linspace(0.1, 1.0, 50), *[1.0] * 150]) == []  # a warmup
    assert with_curve(healthy, "lr", [0.1] * 200) == []


def test_a_learning_rate_of_0_at_the_end():
    summary, found = examined(rule=gs.adam(lr=gs.schedules.cosine(0.2, 150)))
    zeros = sum(x == 0 for x in summary.curves["lr"].values)
    assert zeros == 50
    assert found == [f"lr at an edge: the learning rate was 0 in the last {zeros} steps; they brought nothing."]
    assert examined(rule=gs.adam(lr=gs.schedules.cosine(0.2, 200)))[1] == []


def test_clipped():
    summary, found = examined(rule=gs.chain(gs.clip_by_global_norm(0.001), gs.sgd(lr=30.0)))
    assert words(found)[:1] == ["clipped"]
    assert "clipped: 100% of the steps were clipped" in found[0]
    assert [words(findings(replace(summary, clipped=x)))[:1] for x in (OFTEN, OFTEN + 0.01)][1] == ["clipped"]
    assert "clipped" not in words(findings(replace(summary, clipped=OFTEN)))


def test_skipped():
    def holes(x, k):
        value, g = bowl(x)
        return (np.nan if k % 5 == 4 else value), g

    summary, found = examined(holes, batches=lambda k: k, on_nonfinite="skip", lr=0.1, steps=80)
    assert summary.skipped_steps == 20 - 1  # the last would have come after step 80
    assert found == [f"skipped: 19 steps ({19 / 99:.1%}) did not happen, because something was not finite."]
    assert findings(replace(summary, skipped_steps=0)) == []


def test_held_by_bounds():
    away = np.array([5.0, 5.0, 5.0])
    summary, found = examined(lambda x: bowl(x - away), bounds=(-1.0, 1.0), lr=0.1, x0=np.zeros(3))
    assert summary.blocked > 0.9
    assert f"bounds: a bound held {summary.blocked:.0%} of the bounded elements, on average." in found
    assert "bounds" not in words(findings(replace(summary, blocked=OFTEN)))


def test_the_best_was_long_ago():
    """An objective that moves away from where it was good."""
    drifting = lambda x, k: (20.0 - k if k < 20 else 0.3 * (k - 20), 0.0 * x)  # noqa: E731
    summary, found = examined(drifting, batches=lambda k: k, keep_best="value", steps=60)
    assert (summary.first, summary.best, summary.last) == (20.0, 0.0, 12.0)
    assert found == ["best long ago: the best value, 0, was that of step 20; its parameters are kept."]


def test_the_thresholds_of_the_best_long_ago(healthy):
    s = replace(healthy, first=10.0, best=1.0, best_t=100, t=200)
    for last, expected in ((1.0 + STILL * 9.0, []), (1.0 + STILL * 9.0 + 0.01, ["best long ago"])):
        assert words(findings(replace(s, last=last))) == expected
    assert words(findings(replace(s, last=5.0, best_t=101))) == []
    assert words(findings(replace(s, last=5.0, best_by="val/loss"))) == []


def test_still_falling():
    summary, found = examined(rule="sgd", lr=1e-4)
    assert words(found) == ["still falling"]
    assert findings(replace(summary, kind="converged")) == []
    assert findings(replace(summary, kind="signal")) == []


def test_the_threshold_of_still_falling(healthy):
    for share, expected in ((STILL - 0.01, []), (STILL + 0.01, ["still falling"])):
        values = [1.0] * 160 + [0.5] * 20 + [0.5 - 0.5 * share / (1 - share)] * 20
        assert with_curve(healthy, "value", values) == expected
    assert with_curve(healthy, "value", np.linspace(1, 0, 10 * FEW - 1)) == []


@pytest.mark.parametrize("worst", [np.nan, np.inf])
def test_not_finite(worst):
    _, found = examined(lambda x: (worst if x[0] < 2 else float(x @ x), 2 * x), lr=0.1, steps=50)
    assert words(found) == ["not finite"]
    assert "nothing was changed" in found[0]
