"""What loggers write, on stand-ins that keep what they are told."""

import json
import math

import numpy as np
import pytest

import gradstep as gs
from gradstep.loop import Step
from loop.cases import bowl
from support import clear

ALL = {"train/loss", "opt/lr", "opt/grad_norm", "opt/update_ratio", "opt/skipped", "time/step_us"}


class Writer:
    """As tensorboard's, tensorboardX's and torch's: positional."""

    def __init__(self):
        self.seen = {}

    def add_scalar(self, tag, scalar_value, global_step=None, walltime=None):
        self.seen.setdefault(global_step, {})[tag] = scalar_value


class Client:
    """As the module mlflow."""

    def __init__(self):
        self.seen = {}

    def log_metrics(self, metrics, step=None, synchronous=None):
        self.seen.setdefault(step, {}).update(metrics)


class Tracker:
    """As a run of wandb or trackio."""

    def __init__(self):
        self.seen = {}

    def log(self, metrics, step=None):
        self.seen.setdefault(step, {}).update(metrics)


KINDS = {
    "tensorboard": (gs.loggers.tensorboard, Writer, set()),
    "mlflow": (gs.loggers.mlflow, Client, set()),
    "wandb": (gs.loggers.wandb, Tracker, {"seconds", "grad_evals"}),
    "trackio": (gs.loggers.trackio, Tracker, {"seconds", "grad_evals"}),
}
kinds = pytest.mark.parametrize(("logger", "fake", "axes"), KINDS.values(), ids=KINDS)


def run(log, **options):
    run = gs.Run(bowl, [2.0, 2.0, -1.0], "adam", lr=0.1, callbacks=log, max_steps=7, **options)
    list(run)
    return run


@kinds
def test_names_numbers_and_axes(logger, fake, axes):
    seen = fake()
    done = run(logger(seen), evaluate=lambda x: {"loss": x[0], "acc": 0.5}, evaluate_every=3)
    assert list(seen.seen) == [1, 2, 3, 4, 5, 6, 7]
    for before, step in zip([None, *done.history], done.history, strict=False):
        values = dict(seen.seen[step.t])
        assert {type(x) for x in values.values()} <= {float, int}
        metrics = {"val/loss", "val/acc"} if step.t in (1, 4, 7) else set()
        assert values.keys() == (ALL | metrics | axes) - ({"time/step_us"} if before is None else set())
        assert values["train/loss"] == step.value
        assert (values["opt/lr"], values["opt/skipped"]) == (0.1, 0.0)
        assert values["opt/grad_norm"] == step.grad_norm
        assert values["opt/update_ratio"] == step.update_ratio
        if metrics:
            assert values["val/loss"] == step.metrics["val/loss"]
        if before is not None:
            assert values["time/step_us"] == pytest.approx(1e6 * (step.seconds - before.seconds), rel=1e-9)
        if axes:
            assert (values["seconds"], values["grad_evals"]) == (step.seconds, step.evaluations)


@kinds
def test_every(logger, fake, axes):
    """Also where there are metrics; and a step's time is that of each since the last one that was logged."""
    seen = fake()
    done = run(logger(seen, every=3), evaluate=lambda x: x[0], evaluate_every=4)
    assert list(seen.seen) == [1, 3, 5, 6]
    a, b = done.history[0], done.history[2]
    assert seen.seen[3]["time/step_us"] == pytest.approx(1e6 * (b.seconds - a.seconds) / 2, rel=1e-9)


@kinds
def test_no_number_that_is_not_finite(logger, fake, axes):
    seen = fake()
    log = logger(seen)
    log(Step(1, math.nan, math.inf, metrics={"val/loss": -math.inf, "val/acc": 1.0}))
    assert seen.seen[1].keys() - axes == {"opt/skipped", "val/acc"}


@kinds
@pytest.mark.parametrize("every", [0, 1.5, None, True])
def test_every_is_a_number_of_steps(logger, fake, axes, every):
    with pytest.raises((gs.GradstepTypeError, gs.GradstepValueError)) as error:
        logger(fake(), every=every)
    assert clear(error)


def test_none_of_them_is_imported():
    import gradstep.loop.loggers as module

    assert {name for name in vars(module) if not name.startswith("__")} == {
        *("math", "Callable", "Any", "Step", "whole", "Logger", "numbers"),
        *("tensorboard", "mlflow", "wandb", "trackio", "_Logger", "_to_tensorboard", "_to_mlflow", "_to_wandb"),
    }


def test_a_row_of_json():
    row = Step(3, math.nan, 1.0, metrics={"val/loss": math.inf}).as_json()
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    zeros = dict.fromkeys(("seconds", "evaluations", "skipped", "clipped", "blocked"), 0)
    nones = dict.fromkeys(("value", "update_ratio", "lr", "unmoved", "val/loss"))
    assert row == {"t": 3, "grad_norm": 1.0} | zeros | nones


def test_numbers_are_pythons_own():
    """Writers to JSON know no float32."""
    seen = Tracker()
    gs.loggers.wandb(seen)(next(iter(gs.Run(lambda x: (np.float32(2), x), np.ones(3, "f4"), "sgd"))))
    assert {type(x) for x in seen.seen[1].values()} == {float, int}
