"""Narrow terminals and poor encodings: nothing is cut at 60 and 80 columns, and letters have a fallback."""

import io
import re
import sys
from types import SimpleNamespace

import pytest
from rich.cells import cell_len

from gradstep.bench.tables import HEADINGS
from gradstep.cli import main
from gradstep.cli.app import app
from gradstep.cli.bench import table
from gradstep.cli.common import console
from gradstep.cli.forecast import _chances, _costs
from gradstep.cli.spelling import prepare, spelt
from gradstep.cli.tables import blocks, print_table
from gradstep.compare import compare
from support import at_a_terminal

WIDTHS = (60, 80)
VERBS = [one.name or one.callback.__name__ for one in app.registered_commands]
FILE = """
import numpy as np

class Wrong:
    params = {"encoder.layers.0.attention.weight": np.ones(3), "b": np.ones(2)}

    def value_and_grad(self, p):
        w, b = p.values()
        return float(w @ w + b @ b), dict(zip(p, (2 * w, -100 * b)))
"""
BENCH = [["gradstep", "1,234", "1,200 to 1,300", "1.00", "123", "98 %", "12.5", "1,234.5 MB"],
         ["pytorch_optimizer", "12,345", "12,000 to 13,000", "10.01", "12.3", "9.8 %", "37.5", "-"]]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a problem file, a study of one problem and one of several."""
    path = tmp_path_factory.mktemp("narrow")
    (path / "mine.py").write_text(FILE, encoding="utf-8")
    several = ["digits-softmax", "rosenbrock", "quadratic:condition=1e4", "rastrigin", "quadratic:condition=1e6"]
    for name, problems in {"one": "digits-softmax", "several": several}.items():
        compare("sgd,schedule_free_adamw:beta1=0.85", problems, trials=1, seeds=2, steps=8, jobs=1, out=path / name)
    return path


def printed(capsys, monkeypatch, width, call, codes=(0,)):
    """What a call prints at a terminal of that width; without one, what it prints into a pipe."""
    if width:
        monkeypatch.setenv("FORCE_COLOR", "1")  # Rich takes the stream for a terminal
        monkeypatch.setenv("COLUMNS", str(width))
    assert (main(call) if isinstance(call, list) else call() or 0) in codes
    for name in ("FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out)


def planned():
    """The tables of a plan, whose simulation takes long."""
    cost = {f"a-problem-of-a-long-name:batch={n},width=64": n / 7 for n in (3, 1234567)}
    _costs(SimpleNamespace(runs=dict.fromkeys(cost, 4321), seconds=cost))
    _chances(SimpleNamespace(power={noise: {1.05: 0.12, 1.5: 0.98} for noise in (0.01, 0.05, 0.1, 0.2, 0.4, 0.8)}))


def words(text):
    return {word for word in text.split() if not set(word) <= set("─━╸ ")}


CALLS = {
    "problems": ["problems"],
    "show --list": ["show", "--list"],
    "show": ["show", "soap"],
    "show, two": ["show", "torch.Adam", "keras.Adam"],
    "check": ["check", "mine.py:Wrong"],
    "watch, several problems": ["watch", "several"],
    "compare --plan": lambda: planned(),
    "bench": lambda: table(HEADINGS, BENCH),
    "info": ["info"],
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("call", CALLS)
def test_all_that_a_pipe_has_is_there(call, width, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    whole = printed(capsys, monkeypatch, None, CALLS[call], (0, 1))
    narrow = printed(capsys, monkeypatch, width, CALLS[call], (0, 1))
    assert words(whole) - words(narrow) == set()
    assert "…" not in narrow
    for line in narrow.splitlines():
        if (
            line.startswith(" ")
            and "  " in line.strip()
            and call in ("problems", "check", "bench", "watch, several problems")
        ):
            assert cell_len(line) <= width, line


@pytest.mark.parametrize("width", WIDTHS)
def test_columns_that_are_left_out_are_named(width, folder, capsys, monkeypatch):
    """Of a study of one problem: figures of the columns that stay are all there, the others' headings are told."""
    monkeypatch.chdir(folder)
    narrow = printed(capsys, monkeypatch, width, ["watch", "one"])
    [told] = [line for line in narrow.splitlines() if line.startswith("Left out, for lines are short here: ")]
    assert "µs/update, state B/param, and the least and greatest of the seeds" in told
    for heading in (
        "optimizer",
        "best lr",
        "steps to target",
        "hit",
        "test loss",
        "test accuracy %",
        "µs/step",
        "diverged",
    ):
        assert words(heading) <= words(narrow)
    assert "schedule_free_adamw:beta1=0.85" in narrow
    assert "…" not in narrow
    assert max(cell_len(line) for line in narrow.splitlines() if line.startswith(" ")) <= width
    assert "Left out" not in printed(capsys, monkeypatch, None, ["watch", "one"])


@pytest.mark.parametrize("width", WIDTHS)
def test_rows_of_a_study_at_work_are_not_cut(width, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call = ["compare", "quadratic", "--optimizers", "sgd,schedule_free_adamw", "--trials", "1", "--seeds", "2"]
    shown = printed(capsys, monkeypatch, width, [*call, "--steps", "8", "--jobs", "1"])
    assert "schedule_free_adamw" in shown
    assert "…" not in shown


@pytest.mark.parametrize("width", WIDTHS)
def test_a_run_is_not_cut(width, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    call = ["run", "mine.py:Wrong", "--max-steps", "5", "--out", f"run-{width}"]
    shown = printed(capsys, monkeypatch, width, call)
    assert "why it ended" in shown
    assert "…" not in shown


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verb", ["", *VERBS, "checkpoint"])
def test_help_is_not_cut(verb, width, capsys, monkeypatch):
    shown = printed(capsys, monkeypatch, width, [*filter(None, [verb]), "--help"])
    assert "..." not in re.sub(r"[\]}]\.{3}|(PROBLEM|STUDY|NAME)\.{3}|, \.{3}", "", shown)  # what may come again
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width


def test_the_list_of_verbs_has_their_first_sentences(capsys, monkeypatch):
    shown = printed(capsys, monkeypatch, 80, ["--help"])
    for one in app.registered_commands:
        assert " ".join(one.callback.__doc__.partition("\n\n")[0].split()) in " ".join(shown.split())


def test_blocks():
    rows = [["name", "1" * 10, "2" * 20, "3" * 20]]
    assert blocks(["a", "b", "c", "d"], rows, (), 100) == [[0, 1, 2, 3]]
    assert blocks(["a", "b", "c", "d"], rows, (), 45) == [[0, 1, 2], [0, 3]]
    assert blocks(["a", "b", "c", "d"], rows, (), 5) == [[0, 1], [0, 2], [0, 3]]
    assert blocks(["a", "b"], [["name", "a sentence of several words"]], ["b"], 30) == [[0, 1]]


def test_a_cell_wider_than_the_screen_goes_on_beneath(capsys, monkeypatch):
    long = "x" * 70
    shown = printed(capsys, monkeypatch, 60, lambda: print_table(console(), ["name", "n"], [[long, "1"]]))
    assert shown.count("x") == 70
    assert max(map(len, shown.splitlines())) <= 60


@pytest.mark.parametrize(
    ("text", "ascii_text"),
    [
        ("plain", "plain"),
        ("θₜ₋₁ − η·m̂ₜ", "theta_(t-1) - eta*m_hat_t"),
        ("β₁ᵗ ≤ 10⁻⁸", "beta_1^t <= 10^(-8)"),
        ("Λ, Π, ε", "Lambda, Pi, epsilon"),
        ("12.3 µs, ∞, 3 × 4", "12.3 us, inf, 3 x 4"),
        ("Nesterov's é and š", "Nesterov's e and s"),
        ("▁▄█ ━─", "_=# =-"),
        ("你.py", "\\u4f60.py"),
    ],
)
def test_spelt(text, ascii_text):
    assert spelt(text) == ascii_text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
@pytest.mark.parametrize("call", ["problems", "show", "show, two", "watch, several problems"])
def test_an_encoding_without_greek(call, encoding, folder, monkeypatch):
    monkeypatch.chdir(folder)
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    assert main(CALLS[call]) == 0
    sys.stdout.flush()
    text = raw.getvalue().decode(encoding)
    assert "\\u" not in text
    assert "?" not in text
    if call == "show" and encoding != "cp437":  # which has some Greek letters
        assert "theta_t = " in text


class _Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environment", "encoding"),
    [
        ({"LANG": "C"}, "ascii"),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, "ascii"),  # which Python puts there
        ({"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, "ascii"),
        ({"LC_ALL": "C", "PYTHONIOENCODING": "utf-8"}, "utf-8"),
        ({"LC_CTYPE": "C.UTF-8"}, "utf-8"),
        ({"LANG": "C.UTF-8"}, "utf-8"),
        ({}, "utf-8"),
    ],
)
def test_the_locale_c_is_ascii_at_a_terminal_alone(environment, encoding):
    for stream, expected in ((_Terminal, encoding), (io.TextIOWrapper, "utf-8")):
        made = stream(io.BytesIO(), encoding="utf-8")
        prepare(made, environment)
        assert made.encoding == expected


@pytest.mark.process
def test_a_terminal_of_the_locale_c(tmp_path):
    code, output, _ = at_a_terminal(["show", "adam"], tmp_path, LC_ALL="C")
    assert code == 0
    assert output.isascii()
    assert "theta_t = theta_(t-1) - eta" in output
