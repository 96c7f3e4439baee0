"""What a user sees of a rule, a run and a stop before any is made: signatures, stubs, names, short texts."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

import gradstep as gs
import stubs
from gradstep import rules, stages

MISUSED = """\
import gradstep as gs

gs.adam(1e-3, beta1=0.8, name="a")
gs.adam(lr=gs.schedules.cosine(0.1, 100))
gs.adam(learning_rate=1e-3)  # wrong
gs.adam(lr="fast")  # wrong
gs.clip_by_global_norm(norm=1.0)  # wrong
gs.chain(gs.adam, gs.ema(0.9))
gs.Optimizer({}, gs.sgd)
"""
WRONG = [i for i, line in enumerate(MISUSED.splitlines(), 1) if line.endswith("# wrong")]


@pytest.mark.parametrize("module", [rules, stages], ids=["rules", "stages"])
def test_stubs_are_those_of_the_registry(module):
    assert stubs.path(module).read_text("utf-8") == stubs.stub(module), "run: python tests/stubs.py"


@pytest.mark.process
def test_a_type_checker_finds_wrong_names_and_values(tmp_path):
    (tmp_path / "misused.py").write_text(MISUSED)
    root = stubs.path(rules).parents[2]
    (tmp_path / "pyrightconfig.json").write_text(f'{{"extraPaths": ["{root}"]}}')
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "misused.py"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert [int(line.split(":")[1]) for line in found.splitlines() if " - error: " in line] == WRONG, found


def test_signatures_name_the_hyperparameters():
    assert str(inspect.signature(gs.adam)) == "(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08, *, name=None)"
    assert next(iter(inspect.signature(gs.rule.Rule).parameters)) == "name"
    for name in (*rules.__all__, *stages.__all__):
        made = getattr(gs, name)
        bound = inspect.signature(made).bind(*[0.5] * len(made.defaults))
        assert bound.arguments == dict.fromkeys(made.defaults, 0.5)


def test_the_package_shows_its_public_names_alone():
    assert dir(gs) == sorted([*gs.__all__, "__version__"])


@pytest.mark.parametrize("late", [gs.clip_by_global_norm(1.0), gs.maximize(), gs.l2(0.1), gs.centralize_rows()])
def test_what_comes_too_late_in_a_chain_is_refused(late):
    for rest in ([], [gs.ema()], [gs.decay(0.1)]):
        tx = gs.chain(gs.adam(lr=0.1), late, *rest)
        with pytest.raises(gs.GradstepValueError, match=rf"^{late.parts[0].label}: .* nothing behind it .* reads that"):
            gs.Optimizer({"w": np.ones((2, 2))}, tx)


def test_what_reads_a_gradient_behind_a_rule_keeps_its_place():
    for tx in (gs.chain(gs.adam, gs.ema), gs.chain(gs.adam, gs.clip_by_norm, gs.cautious)):
        gs.Optimizer({"w": np.ones(2)}, tx)


def test_runs_and_stops_show_themselves_shortly():
    run = gs.Run(lambda x: (float(x @ x), 2 * x), np.ones(2), "sgd", lr=0.1, max_steps=2)
    assert repr(run) == "<Run by sgd(lr=0.1), t=0>"
    list(run)
    assert repr(run) == "<Run by sgd(lr=0.1), t=2, ended: 2 steps are made>"
    steps, seconds = gs.stop.steps(5), gs.stop.seconds(1.0)
    assert repr(steps | (steps & seconds)) == f"{steps!r} | ({steps!r} & {seconds!r})"
    assert "of 1 array," in repr(gs.Optimizer({"w": np.ones(2)}, "sgd"))
