"""What ``gradstep run`` shows while it runs: a table that stays small, plain lines, at terminals of any width."""

import io
import math
import re

import numpy as np
import pytest
from rich.console import Console

import gradstep as gs
from gradstep.cli.common import BARS, WIDTH, sparkline
from gradstep.cli.run_progress import JsonLines, LiveTable, PlainLines, progress
from gradstep.loop import Step
from gradstep.runs import Folder, Limits, RunSpec
from gradstep.text import duration, number
from own import run
from support import at_a_terminal

SPEC = RunSpec("/x/mine.py:fit", "0" * 64, "adam", None, Limits(max_steps=100_000), 0, "stop", 100, None, 30.0, 2)


@pytest.fixture
def table(tmp_path):
    made = gs.Run(lambda x: (float(x @ x), 2 * x), np.ones(3), "adam", max_steps=10)
    shown = LiveTable(Folder(tmp_path), SPEC, made)
    shown.console = Console(file=io.StringIO(), width=100)
    return shown


def drawn(table, step):
    out = Console(file=io.StringIO(), width=200)
    out.print(table.table(step))
    return out.file.getvalue()


def test_the_bars_stay_within_bounds_over_many_steps(table):
    for t in range(1, 100_001):
        table.drawn = math.inf  # no look at the screen
        table.step(Step(t=t, value=1.0 / t))
        assert len(table.values) <= 2 * WIDTH
    bars = sparkline(table.values)
    assert 0 < len(bars) <= WIDTH
    assert (bars[0], bars[-1]) == (BARS[-1], BARS[0])
    assert table.values[0] == 1.0  # from the beginning
    assert table.values[-1] < 1.1e-5  # to the end
    text = drawn(table, Step(t=50_000, value=1.0))
    assert f"50000/100000  {'━' * (WIDTH // 2)}{'─' * (WIDTH // 2)}" in text


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([1.0], ""),
        ([1.0, 1.0], ""),
        ([0.0, 1.0], BARS[0] + BARS[-1]),
        ([1e308, -1e308], ""),  # no float has that span
        (list(range(8)), BARS),
        ([10.0**k for k in range(8)], BARS),  # by the logarithms
        ([1.0, 19.0, 10.0], BARS[0] + BARS[-1] + BARS[4]),  # not yet
        ([5e-324, 0.0], BARS[-1] + BARS[0]),
    ],
)
def test_bars(values, bars):
    assert sparkline(values) == bars


@pytest.mark.parametrize("n", [1, 39, 40, 41, 79, 80, 81, 200])
def test_bars_are_at_most_so_many(n):
    assert len(sparkline(list(range(n)))) <= WIDTH


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, -1.7e308, 5e-324])
def test_odd_values(table, value):
    for x in (1.0, value, 2.0):
        table.drawn = math.inf
        table.step(Step(t=1, value=x, metrics={"val/loss": value}))
    assert all(map(math.isfinite, table.values))
    assert f"value         {number(value)}" in drawn(table, Step(t=1, value=value))


def test_numbers_and_durations():
    assert [number(x) for x in (1.0, 1 / 3, math.nan, math.inf, -1e300)] == ["1", "0.333333", "-", "inf", "-1e+300"]
    said = [duration(x) for x in (0.0, 59.94, 59.96, 60.0, 3599.7, 7384.0)]
    assert said == ["0.0 s", "59.9 s", "1 min 0 s", "1 min 0 s", "1 h 0 min", "2 h 3 min"]


def test_which_one_is_shown(table, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert type(progress(table.folder, SPEC, table.run, None)) is PlainLines  # stdout is no terminal here
    assert type(progress(table.folder, SPEC, table.run, io.StringIO())) is JsonLines
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # Rich's own switch
    assert type(progress(table.folder, SPEC, table.run, None)) is LiveTable


def test_lines_into_a_pipe_now_and_then(mine, no_report, capsys, monkeypatch):
    monkeypatch.setattr("gradstep.cli.run_progress.EVERY", 0.0)
    lines = run(capsys, "mine.py:Seeded", "--max-steps", "5", "--optimizer", "sgd:lr=0.1")
    steps = [line for line in lines if line.startswith("step ")]
    assert [line.split()[1] for line in steps] == ["1", "2", "3", "4", "5"]
    keys = steps[0].removesuffix(" s").split()[::2]
    assert keys == ["step", "value", "best", "grad_norm", "update_ratio", "lr", "steps/s", "val/loss", "val/w0", "left"]


@pytest.mark.parametrize("columns", ["abc", "0", "-4", "7", ""])
def test_odd_widths_in_a_pipe(columns, mine, no_report, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    lines = run(capsys, "mine.py:fit", "--max-steps", "3")
    assert lines[0] == "mine.py:fit by adam() begins in runs/fit"
    assert lines[-1].startswith("wrote runs/fit/report.html")


@pytest.mark.process
@pytest.mark.parametrize("columns", ["abc", "0", "1", "7", "500"])
def test_odd_widths_at_a_terminal(columns, mine):
    code, output, _ = at_a_terminal(["run", "mine.py:fit", "--max-steps", "30"], mine, COLUMNS=columns, WAIT="0.005")
    assert code == 0, output
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).replace("\r", "")
    assert "mine.py:fit by adam() begins in runs/fit\n" in plain
    assert "why it ended         30 steps are made.\n" in plain
    assert "Traceback" not in output
    assert output.count("\x1b[?25h") >= output.count("\x1b[?25l") >= 1  # the cursor is shown again


@pytest.mark.process
def test_what_the_function_prints_stands_above_the_table(mine):
    code, output, _ = at_a_terminal(["run", "mine.py:talks", "--max-steps", "3"], mine)
    assert (code, output.count("a word from the function")) == (0, 4)
