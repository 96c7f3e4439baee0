"""``gradstep check``: right, wrong and undecided problem files, their exit codes, and one line for every error."""

import json
import re
import time

import pytest

from gradstep.cli import main

LINE = """
import time

import numpy as np

x = np.linspace(0.0, 1.0, 16)[:, None]
y = 3.0 * x[:, 0] + 1.0


def loss(params):
    error = x @ params["w"] + params["b"] - y
    return np.mean(error**2), {"w": x.T @ error * (2 / len(y)), "b": 2.0 * np.mean(error, keepdims=True)}


def params(seed):
    rng = np.random.default_rng(seed)
    return {"w": rng.normal(size=1), "b": rng.normal(size=1)}


def sums(params):
    value, grads = loss(params)
    return value, {"w": 16 * grads["w"], "b": grads["b"]}


def missing(params):
    return loss(params)[0], {"w": loss(params)[1]["w"]}


def broken(params):
    raise ValueError("not\\ntoday")


def interrupted(params):
    raise KeyboardInterrupt


def absolute(params):
    return np.abs(params["[red]x"]).sum(), {"[red]x": np.sign(params["[red]x"])}


absolute.params = {"[red]x": np.zeros(2)}


def norm(z):
    return np.sum(np.abs(z) ** 2), 2 * np.conj(z)


norm.params = np.array([1 + 2j, 3 - 1j])


class Draws:
    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)

    def params(self):
        return np.ones(2)

    def value_and_grad(self, x):
        noise = self.rng.normal(size=2)
        return np.sum((x + noise) ** 2), 2 * (x + noise)


def coarse(params):
    value, grads = loss(params)
    return value, {name: 1.001 * g for name, g in grads.items()}


def slow(params):
    time.sleep(0.02)
    return loss(params)


class Batched:
    params = np.ones(3)

    def value_and_grad(self, params, batch):
        return batch * params.sum(), np.full(3, 1.0 if batch == 2.0 else batch)


class Listed(Batched):
    batches = [1.0, 2.0, 3.0]


class Function(Batched):
    def batches(self, k):
        return (1.0, 2.0, 3.0)[k]


class Iterated(Batched):
    @property
    def batches(self):
        return iter((1.0, 2.0, 3.0))


class Wrong(Batched):
    batches = 3.0


class Raising(Batched):
    def batches(self, k):
        raise OSError("no disk")


def leaves(params):
    raise SystemExit(0)


class Leaves(Batched):
    def batches(self, k):
        raise SystemExit(0)
"""


@pytest.fixture(autouse=True)
def file(current_folder):
    (current_folder / "mine.py").write_text(LINE, encoding="utf-8")


def check(capsys, *arguments, code=0):
    assert main(["check", *arguments]) == code
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_right_gradients(capsys, tmp_path):
    lines = check(capsys, "mine.py:loss").splitlines()
    assert lines[0].startswith("mine.py:loss: value ")
    assert [line.split()[:2] for line in lines if line.startswith((" w", " b"))] == [["w", "right"], ["b", "right"]]
    assert lines[-1] == "All gradients are right."
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_wrong_gradients(capsys):
    lines = check(capsys, "mine.py:sums", code=1).splitlines()
    assert any(line.startswith(" w") and "it is 16 times what it should be" in line for line in lines)
    assert any(line.startswith(" b") and "right" in line for line in lines)
    assert lines[-1] == "The gradient is wrong: w."


def test_undecided_gradients(capsys):
    lines = check(capsys, "mine.py:absolute", code=3).splitlines()
    assert any(
        "[red]x" in line and "2 elements at a kink, at [0]: one-sided derivatives -1 and 1" in line for line in lines
    )
    assert lines[-1] == "The gradient is undecided: [red]x."


def test_a_problem_that_draws_from_rng(capsys):
    assert check(capsys, "mine.py:Draws").splitlines()[-1] == "All gradients are right."


def test_a_tolerance(capsys):
    check(capsys, "mine.py:coarse", code=1)
    check(capsys, "mine.py:coarse", "--rtol", "0.01")
    assert main(["check", "mine.py:loss", "--rtol", "2"]) == 2
    assert "rtol must be between 0 and 1, not 2.0." in capsys.readouterr().err


def test_a_slow_one_says_how_far_it_is(capsys, monkeypatch):
    started = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: started + 100 * (time.perf_counter() - started_at))
    started_at = time.perf_counter()
    assert main(["check", "mine.py:slow", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["ok"]
    assert err
    for line in err.splitlines():
        assert re.fullmatch(r"gradstep: mine.py:slow: (gradient of [wb], )?[0-9]+ evaluations", line)


def test_the_seed_is_that_of_params(capsys):
    values = {check(capsys, "mine.py:loss", "--seed", str(seed)).splitlines()[0] for seed in (0, 1, 1)}
    assert len(values) == 2


@pytest.mark.parametrize("name", ["Listed", "Function", "Iterated"])
def test_batches(name, capsys):
    assert "value 3\n" in check(capsys, f"mine.py:{name}")
    assert "value 6\n" in check(capsys, f"mine.py:{name}", "--batch", "1", code=1)
    assert "value 9\n" in check(capsys, f"mine.py:{name}", "--batch", "2")


def test_json(capsys):
    content = json.loads(check(capsys, "mine.py:sums", "--json", "--directions", "5", code=1))
    assert set(content) == {"ok", "value", "parameters"}
    w, b = content["parameters"]
    assert (content["ok"], w["verdict"], b["verdict"]) == (False, "wrong", "right")
    assert w["worst"]["given"] == pytest.approx(16 * w["worst"]["measured"])
    assert (w["wrong"], w["tested"], w["way"]) == (1, 1, "complex step")
    content = json.loads(check(capsys, "mine.py:norm", "--json", code=1))
    assert content["parameters"][0]["worst"] == {"index": [0], "given": [2, -4], "measured": pytest.approx([2, 4])}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "Missing argument"),
        ("mine.py", "mine.py needs a name after it: mine.py:loss or mine.py:sums or"),
        ("mine.py:los", "mine.py has no 'los'; did you mean loss"),
        ("other.py:loss", "there is no file other.py"),
        ("mine.py:missing", "gradients: 'b' is missing"),
        ("mine.py:broken", "broken raised ValueError: not today (mine.py, line 30)."),
        ("mine.py:loss --directions 0", "--directions"),
        ("mine.py:loss --seed -1", "--seed"),
        ("mine.py:loss --batch -1", "--batch"),
        ("mine.py:Listed --batch 3", "Listed.batches has no batch 3."),
        ("mine.py:Iterated --batch 3", "Iterated.batches has no batch 3."),
        (
            "mine.py:Function --batch 3",
            "Function.batches raised IndexError: tuple index out of range (mine.py, line 86).",
        ),
        (
            "mine.py:Wrong",
            "Wrong.batches must be a function of k, a sequence or an iterable, not an object of type float.",
        ),
        ("mine.py:Raising", "Raising.batches raised OSError: no disk (mine.py, line 101)."),
        ("mine.py:leaves", "the problem's code raised SystemExit: 0 (mine.py, line 105)."),
        ("mine.py:Leaves", "the problem's code raised SystemExit: 0 (mine.py, line 110)."),
        ("mine.py:loss extra", "extra"),
    ],
)
def test_one_line_says_what_is_wrong(line, says, capsys):
    assert main(["check", *line.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gradstep: ")
    assert err.count("\n") == 1
    assert says in err


def test_ctrl_c_is_one_line_and_130(capsys):
    assert main(["check", "mine.py:interrupted"]) == 130
    assert capsys.readouterr().err == "gradstep: interrupted\n"
