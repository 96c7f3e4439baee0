"""A rate lowered on a plateau: PyTorch's and optax's counting, live; groups, schedules, limits and errors."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import gradstep as gs
from gradstep.loop.plateau import START
from loop.cases import bowl, never

RNG = np.random.default_rng(3)
SERIES = {
    "falls and stays": np.r_[np.linspace(2, 1, 10), np.ones(40)],
    "noise": np.exp(-np.arange(80) / 20) + 0.1 * RNG.standard_normal(80),
    "below zero": -1 - 0.05 * np.log1p(np.arange(60)) + 0.01 * RNG.standard_normal(60),
    "tiny gains": 1.0 - 1e-5 * np.arange(50),
}
SETTINGS = [
    {"factor": 0.5, "patience": 2},
    {"factor": 0.1, "patience": 3, "cooldown": 4},
    {"factor": 0.5, "patience": 1, "rtol": 0.0, "atol": 1e-3, "cooldown": 1},
    {"factor": 0.3, "patience": 2, "min_lr": 0.02},
]


def rates(reduces, series, sign=1.0):
    """The rate after each number."""
    memory, lr, out = START, 1.0, []
    for t, x in enumerate(series):
        memory, is_due = reduces.after(memory, float(x), sign, t)
        lr = min(lr, max(lr * reduces.factor, reduces.min_lr)) if is_due else lr
        out.append(lr)
    return out


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("mode", ["min", "max"])
def test_torchs_counting(name, setting, mode):
    torch = pytest.importorskip("torch")
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    own = {"factor": setting["factor"], "patience": setting["patience"], "cooldown": setting.get("cooldown", 0)}
    rtol, atol = setting.get("rtol", 1e-4), setting.get("atol", 0.0)
    how = {"threshold": rtol, "threshold_mode": "rel"} if rtol else {"threshold": atol, "threshold_mode": "abs"}
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        opt, mode, min_lr=setting.get("min_lr", 0.0), eps=0.0, **own, **how
    )
    expected = []
    for x in SERIES[name]:
        theirs.step(float(x))
        expected.append(opt.param_groups[0]["lr"])
    assert rates(gs.reduce_lr(**setting), SERIES[name], -1.0 if mode == "max" else 1.0) == expected


@pytest.mark.parametrize(("setting", "average"), [*zip(SETTINGS, [1, 3, 1, 3], strict=True)])
def test_optaxs_counting(setting, average):
    contrib, jax = pytest.importorskip("optax.contrib"), pytest.importorskip("jax")
    own = {key: x for key, x in setting.items() if key != "min_lr"} | {"min_scale": setting.get("min_lr", 0.0)}
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        tx = contrib.reduce_on_plateau(**({"rtol": 1e-4} | own), accumulation_size=average)
        update = jax.jit(tx.update)
        for name, series in SERIES.items():
            state, expected = tx.init(np.zeros(1)), []
            for x in series:
                _, state = update(np.ones(1), state, value=float(x))
                expected.append(float(state.scale))
            ours = rates(gs.reduce_lr(**setting, average=average, counting="optax"), series)
            assert ours == pytest.approx(expected, rel=1e-12), name
            assert ours[-1] < 1


def test_what_is_not_finite_is_not_better():
    reduces = gs.reduce_lr(0.5, patience=2)
    assert rates(reduces, [1.0, math.nan, math.inf, math.nan]) == [1.0, 1.0, 1.0, 0.5]
    twice = gs.reduce_lr(0.5, patience=1, average=2)
    assert rates(twice, [1.0, 1.0, 0.0, math.nan, 0.0, math.inf]) == [1.0] * 5 + [0.5]


def test_a_rule_without_a_rate_is_refused():
    opt = SimpleNamespace(hyper={"beta": 0.9}, groups={"*.b": {"beta": 0.8}})
    with pytest.raises(gs.GradstepValueError, match="on_plateau: the rule has no lr that could be lowered"):
        gs.reduce_lr().lowered(opt)


# ---- in a run


def test_a_run_takes_the_lower_rate_at_the_very_step():
    """The value grows at first; each lowering is seen by the update at whose evaluation it was decided."""
    run = gs.Run(bowl, np.full(3, 5.0), "sgd", lr=0.4, max_steps=12, on_plateau=gs.reduce_lr(0.5, 0, rtol=0.0))
    steps = list(run)
    best, lr = math.inf, 0.4
    for step in steps:
        lr, best = (lr, step.value) if step.value < best else (lr * 0.5, best)
        assert step.lr == lr
    assert lr < 0.4
    assert run.opt.lr == lr


def test_groups_and_schedules_are_lowered_and_multiples_follow():
    x0 = {name: np.zeros(1) for name in "abcd"}
    groups = {
        "b": {"lr": 0.2},
        "c": {"lr": gs.schedules.linear(1.0, 10)},
        "d": {"lr": gs.times(2.0)},
    }
    still = lambda x: (1.0, {name: np.ones(1) for name in x})  # noqa: E731
    run = gs.Run(still, x0, "sgd", lr=0.1, groups=groups, max_steps=3, on_plateau=gs.reduce_lr(0.5, patience=0))
    list(run)
    assert run.opt.lr == 0.1 * 0.25
    assert run.opt.groups["b"]["lr"] == 0.05
    assert run.opt.groups["c"]["lr"] == gs.schedules.scaled(0.25, gs.schedules.linear(1.0, 10))
    assert run.opt.groups["d"]["lr"] == gs.times(2.0)
    assert run.params["d"][0] == pytest.approx(-(0.2 + 0.1 + 0.05), rel=1e-12)


def test_a_metric_is_looked_at_where_it_was_measured():
    seen = iter([3.0, 2.0, 2.0, 2.0, 2.0])
    reduces = gs.reduce_lr(0.1, patience=1, metric="val/loss")
    run = gs.Run(bowl, np.zeros(3), "sgd", lr=0.1, evaluate=lambda x: next(seen), evaluate_every=3, on_plateau=reduces)
    run.stop = gs.stop.steps(12)
    assert [step.lr for step in run] == pytest.approx([0.1] * 9 + [0.01] * 3)


def test_more_of_a_metric_is_better_where_that_is_said():
    seen = iter([0.1, 0.2, 0.3, 0.3])
    run = gs.Run(
        bowl,
        np.zeros(3),
        "adam",
        lr=0.1,
        max_steps=4,
        evaluate=lambda x: {"accuracy": next(seen, 0.3)},
        evaluate_every=1,
        mode={"val/accuracy": "max"},
        on_plateau=gs.reduce_lr(0.5, patience=0, metric="val/accuracy"),
    )
    assert [step.lr for step in run] == [0.1, 0.1, 0.1, 0.05]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"on_plateau": gs.reduce_lr(metric="val/loss")}, "there is no evaluate= that gives 'val/loss'"),
        ({"on_plateau": gs.stop.plateau(3)}, r"on_plateau must be gs.reduce_lr\(factor, patience\), not plateau"),
        ({"on_plateau": gs.reduce_lr(), "lr": lambda t: 0.1}, "lr follows .*; take one of gs.schedules"),
        (
            {"on_plateau": gs.reduce_lr(min_lr=1e-3), "lr": gs.schedules.linear(1.0, 10)},
            r"lr follows linear\(.*; leave out min_lr=, which is for a number",
        ),
        ({"on_plateau": gs.reduce_lr(), "rule": "lbfgs"}, "on_plateau: lbfgs has no learning rate"),
        (
            {"on_plateau": gs.reduce_lr(metric="val/f1"), "evaluate": never},
            "is less or more of 'val/f1' better",
        ),
    ],
)
def test_what_could_not_be_lowered_is_refused(options, says):
    with pytest.raises(gs.GradstepError, match=says):
        gs.Run(**{"value_and_grad": never, "x0": np.zeros(2), "rule": "sgd"} | options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"factor": 1.0}, "factor must be > 0 and < 1"),
        ({"patience": -1}, "patience"),
        ({"patience": 0, "counting": "optax"}, "patience"),
        ({"counting": "keras"}, 'counting must be "torch" or "optax"'),
        ({"rtol": -1e-3}, "rtol must be finite and >= 0"),
        ({"average": 0}, "average"),
        ({"metric": 3}, "metric must be a name"),
    ],
)
def test_errors(options, says):
    with pytest.raises(gs.GradstepError, match=says):
        gs.reduce_lr(**options)


def test_a_file_without_its_memory_begins_it_anew_and_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    plain = gs.Run(bowl, np.zeros(3), "sgd", lr=0.1, max_steps=3)
    list(plain)
    plain.save(path)
    run = gs.Run(bowl, np.zeros(3), "sgd", lr=0.1, max_steps=5, on_plateau=gs.reduce_lr())
    run.restore(path)
    assert run._plateau == START
    list(run)
    run.save(path)
    found = gs.load(path)
    found.metadata["plateau"]["bad"] = "many"
    before = run.t, run.opt.lr
    with pytest.raises(gs.CheckpointError, match="the memory of its plateau makes no sense"):
        run.take(found, path)
    assert (run.t, run.opt.lr) == before
