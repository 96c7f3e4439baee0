"""A terminal's width must not change what the command prints in a test: pytest-xdist sets one."""

import pytest


@pytest.fixture(autouse=True)
def no_width(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
