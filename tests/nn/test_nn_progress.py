"""What a fit says, and where."""

import io
import subprocess
import sys

import numpy as np
import pytest

from gradstep.nn import Dense, Sequential

X = np.random.default_rng(0).standard_normal((10, 2))
Y = np.arange(10) % 2


class Terminal(io.StringIO):
    def isatty(self):
        return True


def fit(monkeypatch, stream, progress):
    monkeypatch.setattr(sys, "stdout", stream)
    model = Sequential([Dense(2, 2, "softmax")]).compile("sgd", loss="cross_entropy")
    history = model.fit(X, Y, 2, batch_size=5, validation_data=(X, Y), progress=progress)
    return stream.getvalue(), history


def lines(history):
    return "".join(
        f"epoch {i + 1}/2  loss {history.loss[i]:.4f}  accuracy {history.accuracy[i]:.4f}"
        f"  val_loss {history.val_loss[i]:.4f}  val_accuracy {history.val_accuracy[i]:.4f}\n"
        for i in range(2)
    )


def test_a_line_for_each_epoch_where_there_is_no_terminal(monkeypatch):
    text, history = fit(monkeypatch, io.StringIO(), True)
    assert text == lines(history)


def test_lines_at_a_terminal_without_rich(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    text, history = fit(monkeypatch, Terminal(), True)
    assert text == lines(history)


@pytest.mark.parametrize("progress", [True, "auto"])
def test_a_bar_at_a_terminal(monkeypatch, progress):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    text, history = fit(monkeypatch, Terminal(), progress)
    assert "━" in text
    assert lines(history).splitlines()[-1].split("  ")[1] in text
    assert "epoch 2/2" in text


@pytest.mark.parametrize(("stream", "progress"), [(io.StringIO, False), (io.StringIO, "auto"), (Terminal, False)])
def test_silence(monkeypatch, stream, progress):
    assert fit(monkeypatch, stream(), progress)[0] == ""


@pytest.mark.process
def test_rich_is_not_imported_before_it_is_needed():
    code = "import gradstep.nn, sys; print('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
