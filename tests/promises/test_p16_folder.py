"""P16: what is written goes where it was asked for, wherever the user's code changes the current folder to."""

import os
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import gradstep as gs
from gradstep.cli import main
from gradstep.compare import compare

FILE = """
import os, numpy as np
def go(here):
    if here == {where!r}:
        os.chdir({elsewhere!r})
go("import")
class Mine:
    def params(self):
        go("params")
        return np.array([3.0, 4.0])
    def value_and_grad(self, x, batch):
        go("value_and_grad")
        return float(x @ x), 2 * x
    def evaluate(self, x):
        go("evaluate")
        return float(x @ x)
    def batches(self, k):
        go("batches")
        return k
"""
PLACES = ("import", "params", "value_and_grad", "evaluate", "batches")


@pytest.fixture(autouse=True)
def here(current_folder, no_report):
    return current_folder


def by_python(folder, _):
    """Run and go on, by a relative path."""

    def f(x):
        go(folder)
        return float(x @ x), 2 * x

    for steps in (5, 9):
        os.chdir(folder)
        list(gs.Run(f, np.ones(2), "sgd", max_steps=steps, save_to="out/x.safetensors", save_every=2, resume=True))
    return gs.load(folder / "out/x.safetensors").t == 9


def by_minimize(folder, _):
    """Save at the end alone."""
    gs.minimize(lambda x: (go(folder), (1.0, x))[1], np.ones(2), "sgd", max_steps=5, save_to="out/x.safetensors")
    return gs.load(folder / "out/x.safetensors").t == 5


def by_the_shell(folder, where):
    """Run and go on, into a relative folder."""
    (folder / "mine.py").write_text(source(folder, where), encoding="utf-8")
    assert main(["run", "mine.py:Mine", "--max-steps", "5", "--save-every", "2", "--out", "out/run"]) == 0
    os.chdir(folder)
    assert main(["run", "--resume", "out/run", "--max-steps", "9"]) == 0
    there = {path.name for path in (folder / "out/run").iterdir()}
    return {"checkpoint.safetensors", "history.jsonl", "result.json", "run.json"} <= there and (
        gs.load(folder / "out/run/checkpoint.safetensors").t == 9
    )


def by_a_comparison(folder, where):
    """Keep a study in a relative folder, made in this process."""
    (folder / "mine.py").write_text(source(folder, where), encoding="utf-8")
    study = compare("adam", f"{folder}/mine.py:Mine", out="out/study", seeds=1, trials=1, steps=5, jobs=1)
    return all(not run.error for run in study.runs) and (folder / "out/study").is_dir()


def source(folder, where):
    return FILE.format(where=where, elsewhere=str(folder / "elsewhere"))


def go(folder):
    os.chdir(folder / "elsewhere")


CASES = [(by_python, "value_and_grad"), (by_minimize, "value_and_grad")]
CASES += [(verb, where) for verb in (by_the_shell, by_a_comparison) for where in PLACES]


def kept(verb, where, folder):
    """Whether all is where it was asked for, and nothing elsewhere."""
    own = folder / f"{verb.__name__}-{where}"
    for name in ("out", "elsewhere"):
        (own / name).mkdir(parents=True)
    os.chdir(own)
    try:
        good = verb(own, where)
    except (gs.GradstepError, OSError, RuntimeWarning):
        return False
    return good and not list((own / "elsewhere").iterdir())


def test_all_is_where_it_was_asked_for(here, figure):
    lost = [(verb.__name__, where) for verb, where in CASES if not kept(verb, where, here)]
    assert lost == []
    figure("P16", f"kept: {len(CASES)} / {len(CASES)} of runs, resumptions and comparisons")


def test_control_paths_as_they_were_given(here, control):
    with mock.patch.object(Path, "absolute", lambda self: self):
        lost = [verb.__name__ for verb, where in CASES[:2] if not kept(verb, where, here)]
    assert lost == ["by_python", "by_minimize"]
    control("P16", "with paths as they were given: lost 2 / 2")
