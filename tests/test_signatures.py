"""What a user sees of a rule, a run and a stop before any is made: signatures, stubs, names, short texts."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs
import stubs
from gradstep import rules, stages
from gradstep.form.equation import equation

MISUSED = """\
import gradstep as gs

gs.adam(1e-3, beta1=0.8, name="a")
gs.adam(lr=gs.schedules.cosine(0.1, 100))
gs.adam(learning_rate=1e-3)  # wrong
gs.adam(lr="fast")  # wrong
gs.clip_by_global_norm(norm=1.0)  # wrong
gs.chain(gs.adam, gs.ema(0.9))
gs.Optimizer({}, gs.sgd)
gs.minimize(len, 0.0, "adam", lr=0.1, max_steps=3, groups={}, tol=1e-3)
gs.minimize(len, 0.0, "adam", max_steps="three")  # wrong
"""
WRONG = [i for i, line in enumerate(MISUSED.splitlines(), 1) if line.endswith("# wrong")]


@pytest.mark.parametrize("module", [rules, stages], ids=["rules", "stages"])
def test_stubs_are_those_of_the_registry(module):
    assert stubs.path(module).read_text("utf-8") == stubs.stub(module), "run: python tests/stubs.py"


def test_the_options_of_minimize_are_shown():
    shown = inspect.signature(gs.minimize).parameters
    for other in (gs.Run, gs.Optimizer):
        names = [x.name for x in inspect.signature(other).parameters.values() if x.kind is x.KEYWORD_ONLY]
        assert set(names) <= shown.keys()
    assert {"callback", "args", "method", "jac", "tol", "hyper"} <= shown.keys()
    given = {name: x.default for name, x in shown.items() if x.kind is x.KEYWORD_ONLY} | {"max_steps": 2}
    assert gs.minimize(lambda x: (float(x @ x), 2 * x), np.ones(2), "sgd", **given).nit == 2
    stub = Path(inspect.getfile(gs.minimize)).with_suffix(".pyi")
    assert stub.read_text("utf-8") == stubs.stub_of_minimize(), "run: python tests/stubs.py"


@pytest.mark.parametrize("call", [gs.Run, gs.minimize])
@pytest.mark.parametrize(
    ("wrong", "meant"), [("max_step", "max_steps"), ("gradnorm", "grad_norm"), ("bound", "bounds")]
)
def test_an_option_that_is_almost_one_of_a_run(call, wrong, meant):
    with pytest.raises(gs.GradstepValueError, match=rf"^unknown option '{wrong}'; did you mean {meant}\?$"):
        call(lambda x: (float(x @ x), 2 * x), np.ones(2), "adam", lr=0.1, **{wrong: 1})
    with pytest.raises(gs.GradstepValueError, match=r"^adam: unknown hyperparameter 'beta3'"):
        call(lambda x: (float(x @ x), 2 * x), np.ones(2), "adam", beta3=0.1)


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


def test_notebooks_show_optimizers_runs_and_equations():
    opt = gs.Optimizer({"<w>": np.ones((2, 3)), "b": np.ones(3, np.float32)}, "adam", groups={"b": gs.sgd(lr=0.1)})
    shown = opt._repr_html_()
    assert "<w>" not in shown
    assert "(2, 3), float64" in shown
    assert re.findall("<th[^>]*>([^<]*)</th>", shown)[:3] == ["rule", "rule for b", "updates made"]
    run = gs.Run(lambda x: (float(x @ x), 2 * x), np.ones(2), "sgd", lr=0.1, max_steps=2)
    assert "it has not ended" in run._repr_html_()
    list(run)
    assert "2 steps are made" in run._repr_html_()
    assert equation(gs.adam)._repr_latex_().startswith(r"$$\begin{aligned}")


def test_what_a_prompt_prints_by_itself_is_short(tmp_path):
    opt = gs.Optimizer({"w": np.ones(2)}, "adam")
    opt.step({"w": np.ones(2)})
    opt.save(tmp_path / "opt")
    assert repr(opt.restore(tmp_path / "opt")) == "<Checkpoint of adam, t=1: 3 arrays, 48 bytes>"
    layers = [gs.nn.Dense(4, 3, "relu"), gs.nn.Dense(3, 2, "softmax")]
    assert repr(gs.nn.Sequential(layers)) == "Sequential([Dense(4, 3, 'relu'), Dense(3, 2, 'softmax')])"
    assert "grads: Any = opt.grads" in str(inspect.signature(gs.Optimizer.step))


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        ("gs.adam(b1=0.9)", "did you mean beta1?"),
        ("gs.adam(betas=(0.9, 0.99))", "did you mean beta1 or beta2?"),
        ("gs.adam(epsilon=1e-8)", "did you mean eps?"),
        ("gs.conventions.keras.Adam(lr=0.1)", "did you mean learning_rate?"),
        ("gs.sgd(momentum=0.9)", "gs.momentum"),
        ("gs.adam(weight_decay=0.1)", "gs.adamw has it"),
        ("gs.Optimizer(np.ones(2), 'adam').state_dict()", "opt.save(path)"),
        ("gs.Optimizer(np.ones(2), 'adam').m", "opt.state"),
        ("gs.Optimizer(np.ones(2), 'adam').learning_rate", "opt.lr"),
        ("gs.Optimizer((x for x in [np.ones(2)]), 'adam')", "write list(...) around it"),
        ("gs.cosine(0.1, 10)", "gs.schedules.cosine"),
        ("gs.minimize(lambda x: (0.0, x), [1.0], 'adam', max_iter=3)", "max_steps="),
        ("gs.Run(lambda x: (0.0, x), [1.0], 'adam', steps=3)", "max_steps="),
        ("gs.minimize(lambda x: 0.0, [1.0], 'adam')", "jac="),
    ],
)
def test_a_name_of_another_library_is_answered_with_the_one_here(call, meant):
    with pytest.raises((gs.GradstepError, AttributeError)) as error:
        eval(call, {"gs": gs, "np": np})  # noqa: S307 - of the table above
    assert meant in str(error.value)
