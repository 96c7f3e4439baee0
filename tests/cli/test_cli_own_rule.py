"""A rule of one's own, FILE.py:NAME, at every verb; a rule and a chain as objects in a comparison."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

import gradstep as gs
from gradstep.cli import main
from gradstep.compare import compare
from gradstep.compare.own_stage import label_of
from gradstep.compare.show.play import optimizers, settings
from gradstep.errors import GradstepValueError
from gradstep.form.rule import registry, unlisted
from gradstep.testing import LAWS, MEANINGS

LION = '''
import gradstep as gs
from gradstep.rule import rule
from gradstep.vocabulary import sign


def scalars(lr=1e-4, beta1=0.9, beta2=0.99):
    return dict(rate=lr, beta1=beta1, rest1=1 - beta1, beta2=beta2, rest2=1 - beta2)


@rule(scalars, state="m", units={"lr": "theta"})
def lion(theta, g, m, rate, beta1, rest1, beta2, rest2):
    """Mine."""
    theta = theta - rate * sign(beta1 * m + rest1 * g)
    m = beta2 * m + rest2 * g
    return theta, g, m


clipped = gs.chain(gs.clip_by_norm(1.0), lion(lr=0.01))
plain = gs.chain(gs.clip_by_norm(1.0), gs.adam())


@rule(lambda lr=0.1, eps=1e-3: dict(lr=lr, eps=eps), units={"lr": "theta/g"})
def uphill(theta, g, lr, eps):
    theta = theta + lr * g / (eps + g * g)
    return theta, g
'''
LINE = """
import numpy as np
params = np.ones(3)
def loss(x):
    return float(x @ x), 2 * x
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "lion.py").write_text(LION, "utf-8")
    (tmp_path / "line.py").write_text(LINE, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    assert registry()["lion"] is gs.lion


def said(capsys, *command):
    code = main(list(command))
    out, err = capsys.readouterr()
    return code, out, err


def test_show(here, capsys):
    code, out, _ = said(capsys, "show", "lion.py:lion")
    assert code == 0
    assert "Mine." in out
    code, out, _ = said(capsys, "show", "lion", "lion.py:lion", "lion.py:clipped")
    assert code == 0
    assert "lion(lr=0.0001" in out
    assert "max_norm" in out
    assert said(capsys, "show", "lion.py")[0::2] == (
        2,
        "gradstep: lion.py needs a name after it, of a rule or a chain: lion, clipped, plain, uphill.\n",
    )


def test_run_goes_on_from_another_folder(here, capsys, monkeypatch):
    assert (
        said(capsys, "run", "line.py:loss", "--optimizer", "lion.py:lion:lr=0.01", "--max-steps", "5", "--out", "r")[0]
        == 0
    )
    monkeypatch.chdir(here.parent)
    code, out, _ = said(capsys, "run", "--resume", str(here / "r"), "--max-steps", "9")
    assert code == 0
    assert re.search(r"steps +9\n", out)


def test_run_takes_a_chain_and_no_numbers_for_it(here, capsys):
    assert (
        said(capsys, "run", "line.py:loss", "--optimizer", "lion.py:clipped", "--max-steps", "5", "--out", "r")[0] == 0
    )
    code, _, err = said(capsys, "run", "line.py:loss", "--optimizer", "lion.py:clipped:lr=1", "--out", "s")
    assert code == 2
    assert "is a chain, which has its numbers already" in err


def test_bench(here, capsys):
    code, out, _ = said(
        capsys,
        "bench",
        "--rule",
        "lion.py:lion",
        "--sizes",
        "2x10",
        "--seconds",
        "0",
        "--pause",
        "0",
        "--peers",
        "gradstep",
    )
    assert code == 0
    assert "lion.py:lion" in out
    assert "is a chain, and a rule is timed" in said(capsys, "bench", "--rule", "lion.py:clipped")[2]


def test_play_knows_the_files_of_the_command_line_alone(here):
    name = "lion.py:lion"
    with pytest.raises(GradstepValueError, match="unknown optimizer"):
        settings.read({"optimizers": name})
    try:
        optimizers.allow(name)
        chosen = settings.read({"optimizers": f"{name}:lr=0.05,adam"})
        assert [player.label for player in chosen.players] == [f"{name}:lr=0.05", "adam"]
        assert settings.read(chosen.fields).fields == chosen.fields
        assert optimizers.names()["your own"] == [name]
        with pytest.raises(GradstepValueError, match="unknown optimizer"):
            settings.read({"optimizers": "lion.py:clipped"})
    finally:
        optimizers._own.clear()
        optimizers.known.cache_clear()


def test_check_of_a_rule_that_obeys(here, capsys):
    code, out, _ = said(capsys, "check", "lion.py:lion", "--json")
    laws = json.loads(out)["laws"]["lion"]
    assert list(laws) == list(LAWS)
    assert not {law for law, x in laws.items() if x["verdict"] == "broken"}
    assert code == 0


def test_check_says_what_to_write(here, capsys):
    code, out, _ = said(capsys, "check", "lion.py:uphill")
    assert code == 1
    assert "first_step_descends failed" in out
    assert "It passes with units={'lr': 'theta*" in out or "units failed" in out
    assert said(capsys, "check", "lion.py:plain")[2] == (
        "gradstep: lion.py:plain is a chain of Gradstep's own rules; there is nothing of yours in it to check.\n"
    )
    assert "are for gradients" in said(capsys, "check", "lion.py:lion", "--batch", "1")[2]
    assert "lion.py:lion or lion.py:clipped" in said(capsys, "check", "lion.py")[2]


def test_a_comparison_takes_rules_and_chains(here, monkeypatch):
    (here / "mine_own.py").write_text(LION.replace("def lion", "def my_lion").replace("lion(lr", "my_lion(lr"), "utf-8")
    monkeypatch.syspath_prepend(here)
    with unlisted():
        mine = importlib.import_module("mine_own")
    monkeypatch.delitem(sys.modules, "mine_own", raising=False)
    monkeypatch.setitem(sys.modules, "mine_own", mine)

    assert label_of(gs.adam) == "adam"
    assert label_of(gs.momentum(momentum=0.95)) == "momentum:momentum=0.95"
    assert label_of(mine.my_lion) == f"{here}/mine_own.py:my_lion"
    study = compare([gs.sgd, mine.my_lion, mine.clipped], "quadratic", seeds=2, trials=2, steps=20, jobs=1)
    assert list(study.optimizers) == ["sgd", "mine_own.py:my_lion", "mine_own.py:clipped"]
    assert not any(run.error for run in study.runs)


def test_a_chain_that_no_file_has_is_refused(here):
    with pytest.raises(GradstepValueError, match="is in no file"):
        compare(["adam", gs.chain(gs.clip_by_norm(2.0), gs.adam())], "quadratic", seeds=2, trials=2, steps=20, jobs=1)


def test_a_file_that_compares_itself_is_refused(here):
    (here / "self.py").write_text(
        f"{LION}\nfrom gradstep.compare import compare\ncompare([lion], 'quadratic')\n", "utf-8"
    )
    with pytest.raises(gs.GradstepError, match=r"self.py begins a comparison while it is run: put that"):
        compare("self.py:lion", "quadratic", seeds=2, trials=2, steps=20, jobs=1)


def test_every_law_has_a_meaning_and_stands_in_the_page():
    page = (Path(__file__).parents[2] / "docs/writing-a-rule.md").read_text("utf-8")
    assert list(MEANINGS) == list(LAWS)
    for law, meaning in MEANINGS.items():
        assert f"| `{law}` | {meaning.asks} | {meaning.answer} |" in page
