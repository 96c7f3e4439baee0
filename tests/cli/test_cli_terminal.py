"""What reaches a terminal or a spreadsheet: names and error texts of others, which command neither."""

import ast
import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

import gradstep.cli
from gradstep.cli import main
from gradstep.compare import compare
from gradstep.compare.show.export import write_csv
from gradstep.text import printable
from support import at_a_terminal

EVIL = "\x1b]0;pwned\x07\x1b[2J\x9b2J\u202e[bold]x[/nope]:smile:"
FILE = """
import numpy as np

class Fine:
    params = {"w%s": np.ones(2)}

    def value_and_grad(self, p):
        [w] = p.values()
        return float(w @ w), {name: 2 * w for name in p}

class Bad(Fine):
    def value_and_grad(self, p):
        raise ValueError("said %s")

class Wrong(Fine):
    def value_and_grad(self, p):
        value, grads = super().value_and_grad(p)
        return value, {name: -g for name, g in grads.items()}
"""
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """The name of a problem file of hostile name and content, in the current folder."""
    monkeypatch.chdir(tmp_path)
    name = f"{EVIL.replace('/', '')}.py"
    Path(name).write_text(FILE % (repr(EVIL)[1:-1], repr(EVIL)[1:-1]))
    return name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 你 … ≤ 👩\u200d🔬 a\u00a0b", None),
        ("two\nlines\tand", None),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J\x07\r\x00\x7f", "\\x9b2J\\x07\\r\\x00\\x7f"),
        ("a\u202eb\u2066c\u2069", "a\\u202eb\\u2066c\\u2069"),
        ("\ud800\u2028", "\\ud800\\u2028"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == (text if shown is None else shown)


QUICK = ("--optimizers", "sgd,adam", "--steps", "5", "--trials", "1", "--seeds", "1", "--jobs", "1")
CALLS = {
    "run": ("run", "{evil}:Fine", "--max-steps", "5"),
    "run, an error": ("run", "{evil}:Bad", "--max-steps", "5"),
    "check": ("check", "{evil}:Fine"),
    "check, wrong": ("check", "{evil}:Wrong"),
    "check, an error": ("check", "{evil}:Bad"),
    "compare": ("compare", "{evil}:Fine", *QUICK),
    "compare, an error": ("compare", "{evil}:Bad", *QUICK),
    "compare, two": ("compare", "{evil}:Fine", "{evil}:Wrong", *QUICK, "--out", EVIL),
    "an unknown problem": ("compare", EVIL),
    "an unknown optimizer": ("compare", "quadratic", "--optimizers", EVIL),
    "an unknown rule": ("show", EVIL),
    "an unknown option": ("show", f"--{EVIL}"),
    "an unknown verb": (EVIL,),
    "no folder": ("report", EVIL),
    "no study": ("watch", EVIL),
    "no page": ("play", EVIL, "--no-browser"),
    "no rule": ("bench", "--rule", EVIL),
    "a folder that cannot be": ("run", "{evil}:Fine", "--out", f"{{evil}}/{EVIL}"),
}


@pytest.mark.process
@pytest.mark.parametrize("call", CALLS)
def test_nothing_commands_a_terminal(evil, call, capfd):
    assert main([word.replace("{evil}", evil) for word in CALLS[call]]) in (0, 1, 2)
    out, err = capfd.readouterr()
    assert out + err
    assert not CONTROL.findall(out + err)
    assert "Traceback" not in err
    assert "]0;pwned" not in (out + err).replace("\\x1b]0;pwned", "")


def test_what_was_kept_commands_none_either(evil, capfd):
    assert main(["run", f"{evil}:Fine", "--max-steps", "5", "--out", EVIL.replace("/", "")]) == 0
    capfd.readouterr()
    assert main(["report", EVIL.replace("/", "")]) == 0
    out, err = capfd.readouterr()
    assert "\\x1b]0;pwned" in out
    assert not CONTROL.findall(out + err)


@pytest.mark.process
@pytest.mark.parametrize("call", ["run", "check", "compare", "compare, an error"])
def test_rich_commands_the_terminal_and_names_do_not(evil, call, tmp_path):
    _, out, _ = at_a_terminal([word.replace("{evil}", evil) for word in CALLS[call]], tmp_path)
    text = out if isinstance(out, str) else out.decode()
    assert "\x1b[" in text
    for command in ("\x1b]0;pwned", "\x1b[2J", "\x9b2J", "\u202e"):
        assert command not in text


def test_the_verbs_print_by_common_alone():
    """``echo``, ``say`` and ``console``; JSON has no control characters."""
    folder = Path(gradstep.cli.__file__).parent
    found = []
    for path in folder.glob("*.py"):
        for call in (x for x in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(x, ast.Call)):
            name = ast.unparse(call.func)
            plain = name in ("print", "typer.echo", "typer.secho", "Console")
            if (plain or re.fullmatch(r".*(std\w+|out)\.write", name)) and "to_json(" not in ast.unparse(call):
                found.append((path.name, ast.unparse(call)))
    assert {name for name, _ in found} == {"common.py", "app.py"}
    assert [text for name, text in found if name == "app.py"] == [
        "typer.echo(f'gradstep {gradstep.__version__}')",
        "typer.echo(context.get_help())",
    ]


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "=cmd|' /C calc'!A0"]


@pytest.fixture(scope="module")
def study():
    return compare("sgd:lr=0.1", "quadratic", seeds=1, steps=3, jobs=1)


@pytest.mark.parametrize("text", [*FORMULAS, "plain", "1-1", ""])
def test_text_in_csv_is_no_formula_and_numbers_are_numbers(text, study, tmp_path):
    run = replace(study.runs[0], error=text, hyper={"=lr": -1.0}, final={"loss": -3.0})
    write_csv(replace(study, runs=[run]), tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    assert row["error"] == (f"'{text}" if text in FORMULAS else text)
    assert row["hyper"] == "'=lr=-1"
    assert float(row["final_loss"]) == -3
