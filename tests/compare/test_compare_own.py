"""Problems of one's own: what is compared of them, and whatever may be wrong with one."""

import math
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from gradstep.cli import main
from gradstep.compare import Study, compare, make_spec
from gradstep.compare.problems.own import ChangedError, is_own, look, own_problem
from gradstep.compare.show.wording import failures, goal
from gradstep.errors import GradstepError, GradstepValueError
from gradstep.gradient_check import first_look

LINE = """
import numpy as np

x = np.linspace(0.0, 1.0, 50)[:, None]
y = 3.0 * x[:, 0] + 1.0


def loss(params):
    error = x @ params["w"] + params["b"] - y
    return np.mean(error**2), {"w": 2 * x.T @ error / len(y), "b": np.array(2 * error.mean())}

loss.params = {"w": np.zeros(1), "b": np.zeros(())}

def wrong(params):
    value, grads = loss(params)
    return value, {**grads, "w": -grads["w"]}

def nan(params):
    value, grads = loss(params)
    return (value if value > 1 else np.nan), grads

wrong.params = nan.params = loss.params

class Crash:
    def __init__(self, seed):
        self.seed, self.calls = seed, 0

    def params(self):
        return {"w": np.random.default_rng(self.seed).normal(size=1), "b": np.zeros(())}

    def value_and_grad(self, params):
        self.calls += 1
        if self.seed == 1 and self.calls > 5:
            raise RuntimeError("the disk is\\n on fire")
        return loss(params)

class Leaves(Crash):
    def value_and_grad(self, params):
        if self.seed == 1:
            raise SystemExit(3)
        return loss(params)

class Batches:
    params = {"w": np.zeros(1), "b": np.zeros(())}
    batches = [np.arange(k, 50, 5) for k in range(5)]

    def value_and_grad(self, params, batch):
        error = x[batch] @ params["w"] + params["b"] - y[batch]
        return np.mean(error**2), {"w": 2 * x[batch].T @ error / 10, "b": np.array(2 * error.mean())}

class Evaluated(Batches):
    def evaluate(self, params):
        print("this goes to stderr")
        return {"loss": 7.0, "accuracy": 0.25, "other": 1}

class Numbered(Batches):
    def evaluate(self, params):
        return np.float32(3.5)

class Once(Batches):
    def __init__(self):
        self.batches = iter([np.arange(50)] * 7)

class Reuses(Batches):
    # its gradients are always the same two arrays

    def __init__(self):
        self.grads = {"w": np.zeros(1), "b": np.zeros(())}

    def value_and_grad(self, params, batch):
        value, grads = super().value_and_grad(params, batch)
        for key, g in grads.items():
            self.grads[key][...] = g
        return value, self.grads

class Exits(Batches):
    def value_and_grad(self, params, batch):
        raise SystemExit(3)

def never(params):
    return np.nan, loss(params)[1]

never.params = loss.params

class Called(Batches):
    def batches(self, k):
        return (7 * k + np.arange(10)) % 50
"""


@pytest.fixture
def at(tmp_path):
    (tmp_path / "own.py").write_text(LINE)
    return lambda name: f"{tmp_path}/own.py:{name}"


def run(text, optimizers="sgd", **options):
    return compare(optimizers, text, **{"seeds": 3, "trials": 3, "steps": 20, "jobs": 1, **options})


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("a.py:f", True),
        ("./a/b:f", True),
        ("a.py", True),
        (r"C:\a.py:f", True),
        ("quadratic", False),
        ("quadratic:condition=3", False),
        ("quadratic:condition=3.0", False),
    ],
)
def test_a_file_is_known_by_its_name(text, own):
    assert is_own(text) == own


def test_a_function_of_ones_own(at):
    study = run(at("loss"), "sgd,adam")
    assert study.problems == ("own.py:loss",)
    assert study.finished
    first = study.evaluated("own.py:loss", "sgd")[0]
    assert first.loss[0] == pytest.approx(np.mean((3 * np.linspace(0, 1, 50) + 1) ** 2))
    assert first.loss == sorted(first.loss, reverse=True)
    assert first.final == {"loss": first.loss[-1]}
    card = study.problem_info["own.py:loss"]
    assert (card.size, card.exact) == ("2 parameters", True)
    assert goal(study, "own.py:loss").startswith("loss ≤ ")
    assert "in three of four runs" in goal(study, "own.py:loss")


def test_seeds_reach_the_class(at):
    runs = run(at("Crash"), "sgd:lr=0.1", seeds=1).runs + run(at("Crash"), "sgd:lr=0.1", seeds=3).runs
    assert len({r.loss[0] for r in runs}) == 3
    assert runs[0].loss == runs[2].loss  # and nothing else is random


def test_what_is_evaluated(at):
    task = own_problem(at("Evaluated"))[0].begin(0)
    assert task.evaluate("train") == task.evaluate("test") == {"loss": 7.0, "accuracy": 0.25}
    assert own_problem(at("Numbered"))[0].begin(0).evaluate("train") == {"loss": 3.5}
    whole = np.mean((3 * np.linspace(0, 1, 50) + 1) ** 2)
    assert own_problem(at("Batches"))[0].begin(0).evaluate("train") == {"loss": pytest.approx(whole)}  # all five


def test_what_a_file_prints_does_not_go_to_stdout(at, capsys):
    own_problem(at("Evaluated"))[0].begin(0).evaluate("train")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("name", "number"), [("Batches", 5), ("Called", 50)])
def test_batches_come_in_their_order_and_begin_again(name, number, at):
    task = own_problem(at(name))[0].begin(0)
    drawn = [next(task.batches)[0] for _ in range(2 * number)]
    for one, two in zip(drawn[:number], drawn[number:], strict=True):
        np.testing.assert_array_equal(one, two)
    task.evaluate("train")  # draws from batches of its own


def test_an_iterator_that_is_used_up_is_told(at):
    with pytest.raises(
        GradstepError, match=r"sgd:lr=0\.1 failed in each of its 2 runs.*Once\.batches were used up after 7"
    ):
        run(at("Once"), "sgd:lr=0.1", seeds=1)
    assert run(at("Once"), "sgd:lr=0.1", seeds=1, steps=7).runs[0].finished


def test_a_given_target_takes_the_place_of_one_that_is_settled(at):
    study = run(at("loss"), "sgd,adam", target="loss=0.5")
    assert study.goal("own.py:loss").origin == "given"
    assert goal(study, "own.py:loss") == "loss ≤ 0.5"
    accurate = make_spec([at("Evaluated")], "sgd", target="accuracy=0.9").spec.goals["own.py:Evaluated"]
    assert (accurate.metric, accurate.level) == ("accuracy", 0.9)


def test_a_wrong_gradient_is_said_and_the_runs_are_made(at):
    study = run(at("wrong"))
    [note] = study.notes
    said = "the gradient of w in own.py:wrong is wrong at the first point; gradstep check "
    assert note.startswith(f"{said}{at('wrong')} shows how")  # as it can be typed from here
    assert study.finished
    assert run(at("loss")).notes == []


@pytest.mark.parametrize("wrong", [1.0, 1.001, -1.0, 0.0])
def test_the_first_look_takes_few_evaluations_and_finds_what_the_check_finds(wrong):
    calls = []

    def f(x):
        calls.append(x)
        return np.sum(np.cos(x)), -wrong * np.sin(x)

    x = np.random.default_rng(0).normal(size=20)
    assert first_look(f, x).ok == (wrong == 1.0)
    if wrong == 1.0:
        assert len(calls) <= 20


def test_a_flat_value_of_few_digits_is_no_constant_at_first_sight():
    x = np.array([1.0, 0.7, -0.4])
    assert not first_look(lambda x: (float("%.3g" % (1000 + x @ x)), 0 * x), x).ok


def test_gradients_in_the_same_arrays_at_every_call_are_those_of_the_batch(at):
    """To evaluate calls the function on other batches: the step that follows must not take their gradients."""
    losses = [
        run(at(name), "sgd:lr=0.1").evaluated(f"own.py:{name}", "sgd:lr=0.1")[0].loss for name in ("Batches", "Reuses")
    ]
    assert losses[0] == losses[1]


def test_the_command_of_a_study_holds_a_path_with_a_space(at, tmp_path):
    (tmp_path / "my files").mkdir()
    path = (tmp_path / "own.py").rename(tmp_path / "my files" / "own.py")
    study = run(f"{path}:loss", ruleset="defaults", steps=1)
    assert shlex.split(study.command)[2] == f"{path}:loss"


def test_a_first_point_that_is_not_finite_is_said(at):
    [note] = run(at("never")).notes
    assert note.startswith("own.py:never at the first point: the value that never")
    assert " is nan; " in note


def test_a_function_that_leaves_at_once_ends_its_runs_alone(at):
    study = compare("sgd", [at("Exits"), "quadratic"], seeds=2, trials=2, steps=10, jobs=1)
    assert study.finished
    assert all(found.finished for found in study.evaluated("quadratic", "sgd"))
    [failure] = failures(study)
    assert failure.endswith("own.py:Exits left by SystemExit: 3.")
    assert goal(study, "own.py:Exits") == "none: no optimizer was below the start after half of its steps"


def test_a_loss_that_is_nan_is_a_run_that_diverged(at):
    study = run(at("nan"), "sgd:lr=0.1,sgd:lr=1e-6")
    assert all(run.diverged for run in study.evaluated("own.py:nan", "sgd:lr=0.1"))
    assert all(run.finished for run in study.evaluated("own.py:nan", "sgd:lr=1e-06"))
    assert failures(study) == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Crash", r"Crash.value_and_grad raised RuntimeError: the disk is on fire \(own\.py, line \d+\)\."),
        ("Leaves", r"own\.py:Leaves left by SystemExit: 3\."),
    ],
)
def test_a_crash_in_one_seed_keeps_the_others(name, says, at):
    study = run(at(name), "sgd,adam")
    assert study.finished
    for optimizer in study.optimizers:
        errors = [run.error for run in study.evaluated(f"own.py:{name}", optimizer)]
        assert errors[0] is errors[2] is None
        assert errors[1] is not None
    [failure] = failures(study)
    assert failure.startswith(f"own.py:{name}: 2 runs ended with an error, the first that of sgd, seed 1: ")
    assert re.search(rf": {says}$", failure)
    assert "\n" not in failure
    assert not math.isnan(study.timing(f"own.py:{name}", "sgd").step_us)


def test_a_file_that_changes_is_another_study(at, tmp_path):
    folder = tmp_path / "study"
    run(at("loss"), out=folder)
    problem, own = own_problem(at("loss"))
    (tmp_path / "own.py").write_text(LINE + "\n")
    with pytest.raises(GradstepError, match=r"another study: file of own\.py:loss \(\w{8}, not \w{8}\)"):
        run(at("loss"), out=folder)
    with pytest.raises(ChangedError, match=r"own\.py has changed since the study was begun"):
        problem.begin(0)
    with pytest.raises(ChangedError):
        own_problem(at("loss"), own.source_sha256)
    (tmp_path / "own.py").unlink()
    assert Study.load(folder).finished  # is read without it


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("los", r"own\.py has no 'los'; did you mean loss"),
        ("x", "own.py:x"),
        ("", r"own\.py needs a name after it"),
    ],
)
def test_a_missing_name_is_told_before_any_run(name, says, at):
    with pytest.raises(GradstepError, match=says):
        run(at(name))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(GradstepError, match="there is no file"):
        run(f"{tmp_path}/no.py:f")


MOVES = (
    LINE
    + """
import os, tempfile

class Moves(Batches):
    def value_and_grad(self, params, batch):
        os.chdir(tempfile.gettempdir())
        return super().value_and_grad(params, batch)
"""
)


@pytest.mark.process
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_problem_that_changes_folder(tmp_path, monkeypatch, jobs):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(MOVES)
    run("own.py:Moves", "sgd,adam", out="study", jobs=jobs)
    assert Study.load(tmp_path / "study").finished
    arguments = [
        "own.py:Moves",
        "--optimizers",
        "sgd",
        "--seeds",
        "3",
        "--trials",
        "1",
        "--steps",
        "5",
        "--jobs",
        str(jobs),
    ]
    assert main(["compare", *arguments, "--out", "b", "--csv", "c.csv"]) == 0
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"study.db", "report.html"}
    assert (tmp_path / "c.csv").read_text().count("own.py:Moves") == 4
    assert Path.cwd() == tmp_path


LIMITED = """
import numpy as np


class Limited:
    params = np.ones(2)
    {name} = {value}

    def value_and_grad(self, x):
        return float(x @ x), 2 * x
"""


@pytest.mark.parametrize(("name", "value"), [("bounds", "(0, 1)"), ("project", "staticmethod(lambda x: None)")])
def test_limits_that_a_comparison_would_not_keep_are_refused(name, value, tmp_path):
    (tmp_path / "own.py").write_text(LIMITED.format(name=name, value=value))
    with pytest.raises(GradstepValueError, match=f"a comparison knows no {name}, and optimizers would leave them"):
        run(f"{tmp_path}/own.py:Limited")


SCALES = """
import numpy as np

def bowl(x):
    return 2.0 * float(x @ x), 4.0 * x

def fourth(x):
    return float((x**4).sum()), 4 * x**3

def line(x):
    return float(x.sum()), np.ones_like(x)

def flat(x):
    return 1.0, 0 * x

bowl.params = np.array([3.0, -4.0])
fourth.params = np.full(4, 2.0)
line.params = np.full(9, 50.0)
flat.params = np.ones(3)
"""


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        (
            "bowl",
            {"theta/g": 0.25, "theta": 0.1 * np.sqrt(12.5)},
        ),  # 1 / curvature; a tenth of Newton's step
        ("fourth", {"theta/g": 1 / 48, "theta": 0.1 * 32 / 48}),  # 12 x^2 at the point itself
        ("line", {"theta/g": 0.5, "theta": 0.5}),  # no curvature: first steps of a hundredth of the parameters
        ("flat", {}),
    ],
)
def test_the_scale_is_that_of_the_first_point(tmp_path, name, scale):
    """By hand, to the one digit that is kept."""
    (tmp_path / "own.py").write_text(SCALES)
    assert look(f"{tmp_path}/own.py:{name}").scale == {key: float(f"{x:.0e}") for key, x in scale.items()}
