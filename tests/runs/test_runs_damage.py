"""Folders of runs damaged, copied, moved or broken off: nothing but what is damaged is lost, and all is told."""

import contextlib
import json
import shutil

import numpy as np
import pytest

import gradstep as gs
from gradstep.cli import main
from gradstep.runs import Folder, recalled

FILE = """
import numpy as np

centre = 1.0


def f(x):
    return float((x - centre) @ (x - centre)), 2 * (x - centre)


f.params = np.zeros(2)


def breaks(x):
    if x[0] > 0.55:
        raise np.linalg.LinAlgError("not positive definite")
    return f(x)


breaks.params = np.zeros(2)


class Boxed:
    bounds = (None, 0.5)

    def params(self):
        return np.zeros(2)

    def value_and_grad(self, x):
        return f(x)


class Sphere(Boxed):
    bounds = None

    def project(self, x):
        x /= max(1.0, np.linalg.norm(x))


class Misspelt:
    bound = (0, 1)
    evaluation = None
    truth = 3
    params = np.zeros(2)
    value_and_grad = staticmethod(f)


class Legacy(Boxed):
    rng = np.random.RandomState(0)
"""


@pytest.fixture(autouse=True)
def folder(current_folder):
    (current_folder / "m.py").write_text(FILE, encoding="utf-8")
    return current_folder


def run(capsys, *arguments, code=0):
    assert main(["run", *map(str, arguments)]) == code
    return capsys.readouterr()


def counts(path):
    """The evaluations of all rows that can be read."""
    out = []
    for line in (path / "history.jsonl").read_bytes().splitlines():
        with contextlib.suppress(ValueError, RecursionError, TypeError, KeyError):
            out.append(json.loads(line)["evaluations"])
    return out


DAMAGE = {
    "text": b"x" * 40,
    "not UTF-8": b"\xff\xfe{}",
    "nested": b"[" * 100_000 + b"]" * 100_000,
    "of another kind": b"[1, 2]",
    "without a count": b'{"t": 3}',
    "a later count": b'{"t": 3, "evaluations": 39}',
    "empty": b"",
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("where", [0, 7, 18])
def test_a_damaged_row_costs_itself_alone(kind, where, folder, capsys, no_report):
    run(capsys, "m.py:f", "--lr", "0.1", "--max-steps", 20, "--out", "r")
    file = folder / "r/history.jsonl"
    rows = file.read_bytes().splitlines()
    rows[where] = DAMAGE[kind]
    file.write_bytes(b"\n".join(rows) + b"\n" + b'{"t": 21, "eval')  # the last is torn
    err = run(capsys, "--resume", "r", "--max-steps", 30).err
    assert [n for n in counts(folder / "r") if n != 39] == [n for n in range(1, 31) if n != where + 1]
    assert "history.jsonl" in err
    assert "damaged, and left as found; all others are there." in err
    assert "history.jsonl: cut off at its end: 1 damaged line (15 bytes)." in err
    assert "resume" not in run(capsys, "--resume", "r", "--max-steps", 40).err


@pytest.mark.parametrize("left", [None, b"\0" * 4000, 12])
def test_steps_that_the_history_lacks_are_told_of(left, folder, capsys, no_report):
    run(capsys, "m.py:f", "--lr", "0.1", "--max-steps", 20, "--out", "r")
    assert "missing" not in run(capsys, "--resume", "r", "--max-steps", 21).err
    file = folder / "r/history.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.unlink()
    if left is not None:
        file.write_bytes(left if isinstance(left, bytes) else b"".join(lines[-left:]))
    count = 21 - (left if isinstance(left, int) else 0)
    err = run(capsys, "--resume", "r", "--max-steps", 30).err
    assert f"history.jsonl: {count} of 21 steps are missing; what is said of the beginning is of the others." in err
    damaged = "history.jsonl: cut off at its end: 1 damaged line (4000 bytes)."
    assert (damaged in err) == isinstance(left, bytes)
    assert err.count("\n") == 1 + isinstance(left, bytes)


def test_a_damaged_last_row_is_told_of(folder, capsys, no_report):
    run(capsys, "m.py:f", "--lr", "0.1", "--max-steps", 20, "--out", "r")
    file = folder / "r/history.jsonl"
    rows = file.read_bytes().splitlines(keepends=True)
    torn = len(rows[-1][:-9])
    file.write_bytes(b"".join(rows)[:-9])
    err = run(capsys, "--resume", "r", "--max-steps", 30).err
    assert f"r/history.jsonl: cut off at its end: 1 damaged line ({torn} bytes).\n" in err
    assert "1 of 20 steps is missing" in err
    assert "cut off" not in run(capsys, "--resume", "r", "--max-steps", 40).err


def test_a_copied_folder_goes_on_with_its_own_file(folder, capsys, no_report):
    (folder / "one").mkdir()
    shutil.move("m.py", "one/m.py")
    run(capsys, "one/m.py:f", "--lr", "0.1", "--max-steps", 20, "--out", "one/r")
    shutil.copytree("one", "two")
    (folder / "two/m.py").write_text(FILE.replace("centre = 1.0", "centre = 5.0"), encoding="utf-8")
    err = run(capsys, "--resume", "two/r", "--max-steps", 600).err
    assert f"the run was begun with {folder}/one/m.py:f; it goes on with {folder}/two/m.py:f." in err
    assert "is not as it was when the run was begun" in err
    assert np.allclose(gs.load("two/r/checkpoint.safetensors").params["params"], 5.0)
    assert run(capsys, "--resume", "two/r", "--max-steps", 610).err == ""
    assert run(capsys, "--resume", "one/r", "--max-steps", 30).err == ""


def test_a_moved_folder_and_a_named_file(folder, capsys, no_report):
    run(capsys, "m.py:f", "--lr", "0.1", "--max-steps", 20, "--out", "r")
    shutil.move("m.py", "n.py")
    err = run(capsys, "--resume", "r", code=2).err
    assert "m.py, which was run here, is gone; name the file: gradstep run FILE.py:f --resume" in err
    assert err.count("\n") == 1
    assert f"it goes on with {folder}/n.py:f." in run(capsys, "n.py:f", "--resume", "r", "--max-steps", 30).err
    assert counts(folder / "r") == list(range(1, 31))
    assert run(capsys, "--resume", "r", "--max-steps", 40).err == ""


@pytest.mark.parametrize("text", [b"\xff\xfe", b"[" * 100_000, b"", b"[]", b"{}"])
@pytest.mark.parametrize("verb", ["run --resume r", "report r"])
def test_a_damaged_specification_is_one_sentence(text, verb, folder, capsys, no_report):
    run(capsys, "m.py:f", "--lr", "0.1", "--max-steps", 5, "--out", "r")
    (folder / "r/run.json").write_bytes(text)
    assert main(verb.split()) == 2
    err = capsys.readouterr().err
    assert "run.json does not describe a run" in err
    assert err.count("\n") == 1


def test_a_page_of_a_run_that_crashed(folder, capsys):
    run(capsys, "m.py:breaks", "--lr", "0.1", "--max-steps", 30, "--out", "r", code=2)
    steps = len(counts(folder / "r"))
    assert steps > 3
    assert main(["report", "r"]) == 0
    page = (folder / "r/report.html").read_text("utf-8")
    assert f"It was broken off after step {steps}, or still runs; its checkpoint is that of step {steps}." in page
    assert "Value of the objective" in page


def test_the_best_value_of_a_run_that_was_killed_is_not_above_its_last(folder, capsys, no_report):
    run(capsys, "m.py:f", "--lr", "0.1", "--max-steps", 8, "--save-every", 5, "--out", "r")
    (folder / "r/result.json").unlink()  # as after a kill: a checkpoint of step 5, and a history of 8
    (folder / "r/checkpoint.1.safetensors").replace(folder / "r/checkpoint.safetensors")
    summary, _ = recalled(Folder(folder / "r"))
    values = [json.loads(line)["value"] for line in (folder / "r/history.jsonl").read_text("utf-8").splitlines()]
    assert (summary.best, summary.best_t, summary.best_by) == (min(values), values.index(min(values)), "value")
    assert summary.best_t > 5


def test_a_page_of_a_run_that_ended_and_went_on(folder, capsys):
    run(capsys, "m.py:f", "--lr", "0.1", "--max-steps", 5, "--out", "r")
    with (folder / "r/history.jsonl").open("ab") as file:  # resumed, and killed before its first checkpoint
        file.write(b'{"t": 6, "evaluations": 6, "value": 0.5, "seconds": 1.0, "skipped": 0}\n')
    (folder / "r/checkpoint.safetensors").write_bytes(b"damaged")
    assert main(["report", "r"]) == 0
    page = (folder / "r/report.html").read_text("utf-8")
    assert "It was broken off after step 6, or still runs; no checkpoint." in page


def test_bounds_and_projection_of_a_file(folder, capsys, no_report):
    run(capsys, "m.py:Boxed", "--lr", "0.1", "--max-steps", 60, "--out", "b")
    assert np.array_equal(gs.load("b/checkpoint.safetensors").params["params"], [0.5, 0.5])
    run(capsys, "m.py:Sphere", "--lr", "0.1", "--max-steps", 60, "--out", "s")
    assert np.allclose(gs.load("s/checkpoint.safetensors").params["params"], 0.5**0.5)


def test_names_that_mean_nothing_are_told(capsys, no_report):
    err = run(capsys, "m.py:Misspelt", "--max-steps", 1).err
    assert err.splitlines() == [
        "gradstep: m.py:Misspelt has bound, which means nothing here; bounds would.",
        "gradstep: m.py:Misspelt has evaluation, which means nothing here; evaluate would.",
        "gradstep: m.py:Misspelt has truth, which neither gradstep nor the file itself reads.",
    ]


SETTINGS = """
from dataclasses import dataclass

@dataclass
class Settings:
    n: int = 3
    seed: int = 0
    scale: float = 2.0
    lr: float = 0.1
    _hidden: int = 3
    title = property(lambda self: 1)

    def __post_init__(self):
        self.params, self.count, self.steps, self.data = np.ones(self.n), 0, 100, [1]

    def value_and_grad(self, x):
        self.count += len(getattr(self, "data"))
        return self.scale * float(x @ x), 2 * self.scale * x

    def plot(self): ...

def plain(x):
    return float(x @ x), 2 * x

plain.params, plain.tolerance = np.ones(2), 1e-3
"""


def test_settings_that_nothing_reads_are_told(folder, capsys, no_report):
    with (folder / "m.py").open("a", encoding="utf-8") as file:
        file.write(SETTINGS)
    said = "which neither gradstep nor the file itself reads.\n"
    assert run(capsys, "m.py:Settings", "--max-steps", 1).err == f"gradstep: m.py:Settings has lr, steps, {said}"
    assert run(capsys, "m.py:plain", "--max-steps", 1).err == f"gradstep: m.py:plain has tolerance, {said}"


@pytest.mark.parametrize("verb", ["run", "check"])
def test_a_generator_that_is_not_saved_is_refused(verb, capsys, no_report):
    assert main([verb, "m.py:Legacy"]) == 2
    err = capsys.readouterr().err
    assert "m.py:Legacy: rng must be a numpy.random.Generator, or a dict of them" in err
    assert "not RandomState; write numpy.random.default_rng(seed)." in err
