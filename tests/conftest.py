"""Tests keep their kernels to themselves, in this process and in those that it starts."""

import json
import os
import tempfile
from pathlib import Path

import pytest

if "GRADSTEP_CACHE_DIR" not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="gradstep-kernels-")  # removed when the process ends
    os.environ["GRADSTEP_CACHE_DIR"] = _folder.name


def pytest_addoption(parser):
    parser.addoption("--figures", metavar="FILE", help="write the figures of tests/promises to a JSON file")
    parser.addoption("--full", action="store_true", help="the full sizes of tests/promises, which take long")


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all reports; the tests that want it are skipped where there is none."""
    from browser import chromium

    with chromium() as launched:
        yield launched


class _Figures:
    """What the tests of tests/promises have measured. Of several processes the first reads this file alone."""

    def __init__(self, path):
        self.path, self.rows = Path(path), []

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            for kind, what in report.user_properties:
                if kind in ("figure", "control"):
                    promise, text = what
                    row = {"promise": promise, "kind": kind, "text": text, "test": report.nodeid}
                    self.rows.append({**row, "passed": report.passed})

    def pytest_sessionfinish(self):
        rows = sorted(self.rows, key=lambda row: (int(row["promise"][1:].rstrip("abc")), *map(str, row.values())))
        self.path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def pytest_configure(config):
    path = config.getoption("--figures")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Figures(path))
