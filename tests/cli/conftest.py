"""Tests of the command stand where its width and their files are the same everywhere."""

import pytest

from own import PROBLEM


@pytest.fixture(autouse=True)
def no_width(monkeypatch):
    """A terminal's width must not change what the command prints in a test: pytest-xdist sets one."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def mine(current_folder):
    """The folder with a problem file, ``mine.py``."""
    (current_folder / "mine.py").write_text(PROBLEM, encoding="utf-8")
    return current_folder
