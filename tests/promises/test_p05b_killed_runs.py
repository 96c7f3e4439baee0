"""A run of the command line, killed ten times on its way, ends with the bits of one that was left alone."""

import json
import random
import signal
import subprocess
import sys

import pytest

import gradstep as gs
from gradstep.checkpoint import write

pytestmark = pytest.mark.process

PROBLEM = """
import time
import numpy as np
import gradstep as gs

rng = np.random.default_rng(5)
x = rng.normal(size=(400, 3))
y = np.tanh(x @ [1.0, -2.0, 0.5]) + 0.1 * rng.normal(size=400)


class Fit:
    params = {"layer": {"w": np.zeros((3, 4)) + 0.1 * rng.normal(size=(3, 4)), "b": np.zeros(4)}, "out": np.ones(4)}
    batches = gs.Batches((x, y), size=16, seed=3)

    def value_and_grad(self, params, batch):
        time.sleep(0.001)
        x, y = batch
        h = np.tanh(x @ params["layer"]["w"] + params["layer"]["b"])
        error = h @ params["out"] - y
        back = np.outer(error, params["out"]) * (1 - h * h) * (2 / len(y))
        own = {"w": x.T @ back, "b": back.sum(axis=0)}
        return np.mean(error**2), {"layer": own, "out": h.T @ error * (2 / len(y))}

    def evaluate(self, params):
        h = np.tanh(x @ params["layer"]["w"] + params["layer"]["b"])
        return np.mean((h @ params["out"] - y) ** 2)
"""
STEPS, KILLS = 1200, 10
USUAL = (
    *("run", "fit.py:Fit", "--optimizer", "clip_by_global_norm:max_norm=1,nadam,ema:decay=0.9"),
    *("--lr", f"warmup_cosine(0.02, steps={STEPS}, warmup_steps=50)", "--max-steps", str(STEPS)),
    *("--save-every", "7", "--evaluate-every", "13"),
)


def begun(folder, *arguments):
    call = [sys.executable, "-c", "import sys; from gradstep.cli import main; sys.exit(main())", *arguments]
    return subprocess.Popen(call, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ended(folder, *arguments):
    process = begun(folder, *arguments)
    assert process.wait(timeout=200) == 0


def outcome(folder):
    """Everything that a run leaves, but for the seconds in it."""
    saved = gs.load(folder / "checkpoint.safetensors")
    arrays = {name: (x.dtype.str, x.shape, x.tobytes()) for name, x in saved.arrays.items()}
    lines = (folder / "history.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    result, run = json.loads((folder / "result.json").read_text()), dict(saved.metadata["run"])
    for one in (*rows, result, run):
        del one["seconds"]
    return arrays, saved.metadata["optimizer"], run, rows, result


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    (folder / "fit.py").write_text(PROBLEM)
    ended(folder, *USUAL, "--out", "whole")
    return folder


def killed(folder, name, kills):
    """Kill a run so often, each time when it has got on since the time before."""
    rng, arguments, file = random.Random(4), [*USUAL, "--out", name], folder / name / "history.jsonl"
    for _ in range(kills):
        before = file.stat().st_size if file.exists() else 0
        process = begun(folder, *arguments)
        further = before + rng.randint(6_000, 20_000)  # bytes of history: a row has some 200
        while process.poll() is None and not (file.exists() and file.stat().st_size > further):
            try:
                process.wait(0.005)
            except subprocess.TimeoutExpired:
                continue
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        arguments = ["run", "--resume", name]


def test_killed_and_resumed(whole, figure):
    killed(whole, "killed", KILLS)
    assert 0 < gs.load(whole / "killed/checkpoint.safetensors").t < STEPS
    ended(whole, "run", "--resume", "killed")
    assert outcome(whole / "killed") == outcome(whole / "whole")
    figure("P5b", f"after {KILLS} SIGKILLs: parameters, state, best, counts, history of {STEPS} steps and result equal")


def test_control_batches_from_the_beginning(whole, control):
    killed(whole, "wrong", 1)
    path = whole / "wrong/checkpoint.safetensors"
    saved = gs.load(path)
    write(path, saved.arrays, {**saved.metadata, "run": {**saved.metadata["run"], "drawn": 0}})
    ended(whole, "run", "--resume", "wrong")
    got, expected = outcome(whole / "wrong"), outcome(whole / "whole")
    assert got[1] == expected[1]  # as many steps
    assert got[0] != expected[0]
    control("P5b", "batches drawn from the beginning again: other parameters")
