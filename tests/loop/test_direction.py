"""Whether less or more is better: said once, and seen by the best point, plateaus, targets and the result."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.errors import GradstepValueError
from loop.cases import TARGET, bowl
from support import bits, clear

START = np.array([3.0, 4.0, -2.0])


def hill(x):
    value, g = bowl(x)
    return -value, -g


def accuracy(x):
    return {"accuracy": 1 / (1 + float((x - TARGET) @ (x - TARGET)))}


WAYS = {
    "maximize": {"rule": gs.chain(gs.maximize(), gs.adam(lr=0.1))},
    "mode": {"rule": "adam", "lr": 0.1, "mode": "max"},
    "by name": {"rule": gs.adam(lr=0.1), "mode": {"value": "max"}},
    "both": {"rule": gs.chain(gs.maximize(), gs.adam(lr=0.1)), "mode": "max"},
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@ways
def test_a_hill_is_a_bowl_turned_round(way):
    down = gs.minimize(bowl, START, "adam", lr=0.1, max_steps=150)
    up = gs.minimize(hill, START, **way, max_steps=150)
    assert bits(up.x) == bits(down.x)
    assert (up.fun, up.fun_best, up.t_best) == (-down.fun, -down.fun_best, down.t_best)
    assert bits(up.x_best) == bits(down.x_best)
    assert up.success


@ways
@pytest.mark.parametrize("stop", [gs.stop.plateau(5), gs.stop.plateau(5, 0.01), gs.stop.target(-0.1)], ids=repr)
def test_stops_are_turned_round_too(way, stop):
    other = gs.stop.target(0.1) if isinstance(stop, gs.stop.target) else stop
    down = gs.Run(bowl, START, "adam", lr=0.1, stop=other, max_steps=1000)
    up = gs.Run(hill, START, **way, stop=stop, max_steps=1000)
    list(down)
    list(up)
    assert up.t == down.t > 5
    assert up.reason.kind == down.reason.kind == "converged"


@ways
def test_bounds_hold_what_points_out(way):
    up = gs.Run(hill, START, **way, bounds=(-1, 1), max_steps=300)
    list(up)
    assert np.allclose(up.params, np.clip(TARGET, -1, 1), atol=1e-3)
    assert up.history[-1].blocked > 0


def test_a_run_that_only_fell_is_no_success():
    found = gs.minimize(bowl, TARGET + 0.1, "sgd", lr=0.01, mode="max", max_steps=20)
    assert found.success
    assert found.fun > bowl(TARGET + 0.1)[0]
    away = gs.minimize(lambda x: (bowl(x)[0], -bowl(x)[1]), START, "sgd", lr=0.01, mode="max", max_steps=20)
    assert not away.success


def test_a_resumed_run_keeps_its_best(tmp_path):
    path = tmp_path / "run.safetensors"
    whole = gs.Run(hill, START, "sgd", lr=0.34, mode="max", max_steps=12)
    list(whole)
    first = gs.Run(hill, START, "sgd", lr=0.34, mode="max", max_steps=5, save_to=path)
    list(first)
    second = gs.Run(hill, START, "sgd", lr=0.34, mode="max", max_steps=12, save_to=path, resume=True)
    list(second)
    assert (second.best_value, second.best_t) == (whole.best_value, whole.best_t)


class TestMetrics:
    def test_more_is_better_where_it_is_said(self):
        said = {"mode": {"val/accuracy": "max"}, "evaluate": accuracy, "evaluate_every": 10, "max_steps": 400}
        run = gs.Run(bowl, START, "adam", lr=0.1, keep_best="val/accuracy", **said)
        list(run)
        assert run.best_value > 0.99
        run = gs.Run(
            bowl, START, "adam", lr=0.1, stop=gs.stop.plateau(3, metric="val/accuracy"), **said | {"max_steps": 5000}
        )
        list(run)
        assert accuracy(run.params)["accuracy"] > 0.999
        assert run.reason.kind == "converged"

    @pytest.mark.parametrize(
        "options",
        [
            {"keep_best": "val/accuracy"},
            {"stop": gs.stop.plateau(3, metric="val/accuracy")},
            {"stop": gs.stop.steps(9) & (gs.stop.plateau(3, metric="val/accuracy") | gs.stop.seconds(9))},
        ],
    )
    def test_refused_where_nobody_says_it(self, options):
        with pytest.raises(GradstepValueError, match=r"less or more of 'val/accuracy' better\?.*mode=") as error:
            gs.Run(bowl, START, "adam", evaluate=accuracy, **options)
        assert clear(error)

    def test_also_when_a_stop_is_set_later(self):
        run = gs.Run(bowl, START, "adam", evaluate=accuracy, max_steps=3)
        before = run.stop
        with pytest.raises(GradstepValueError, match="less or more"):
            run.stop = gs.stop.plateau(3, metric="val/accuracy")
        assert run.stop is before

    def test_a_loss_is_known_but_not_where_the_value_is_made_large(self):
        gs.Run(bowl, START, "adam", evaluate=lambda _: 1.0, keep_best="val/loss")
        with pytest.raises(GradstepValueError, match="'val/loss'"):
            gs.Run(hill, START, "adam", mode="max", evaluate=lambda _: 1.0, keep_best="val/loss")
        noisy = gs.Run(lambda x, _: hill(x), START, "adam", mode="max", batches=lambda k: k, evaluate=lambda _: 1.0)
        assert noisy.best_by is None


@pytest.mark.parametrize(
    ("mode", "rule", "match"),
    [
        ("larger", "adam", '"min" or "max"'),
        ({"x": 1}, "adam", "'x'"),
        ({"valu": "max"}, "adam", "nothing is called 'valu'; write 'value' or"),
        ({"accuracy": "max"}, "adam", "'val/accuracy'"),
        ("min", WAYS["maximize"]["rule"], "maximize"),
    ],
)
def test_what_is_no_direction(mode, rule, match):
    with pytest.raises(GradstepValueError, match=match) as error:
        gs.Run(bowl, START, rule, mode=mode)
    assert clear(error)


class TestNoise:
    """The best of a noisy run's values is the luckiest draw."""

    @staticmethod
    def make(**options):
        rng = np.random.default_rng(0)

        def noisy(x):
            value, g = bowl(x)
            return value + rng.normal(), g

        return gs.Run(noisy, START, "adam", lr=0.1, rng=rng, max_steps=200, **options)

    def test_no_best_by_the_value_but_by_what_is_measured(self):
        assert self.make().best_by is None
        run = self.make(evaluate=lambda x: bowl(x)[0], evaluate_every=20)
        assert run.best_by == "val/loss"
        list(run)
        assert run.best_value == min(step.metrics["val/loss"] for step in run.history[:-1] if step.metrics) or (
            run.best_t == run.t
        )
        assert bowl(run.best)[0] == run.best_value

    def test_unless_it_is_asked_for(self):
        assert self.make(keep_best=True).best_by == "value"
        assert gs.Run(bowl, START, "adam", rng={}).best_by == "value"
