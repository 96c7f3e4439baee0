"""Tests keep their kernels to themselves, in this process and in those that it starts."""

import gc
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

if "GRADSTEP_CACHE_DIR" not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="gradstep-kernels-")  # removed when the process ends
    os.environ["GRADSTEP_CACHE_DIR"] = _folder.name


def pytest_addoption(parser):
    parser.addoption("--figures", metavar="FILE", help="write the figures of tests/promises to a JSON file")
    parser.addoption("--passed", metavar="FILE", help="write which tests have passed to a JSON file")
    parser.addoption("--not-in", metavar="FILE", help="leave out the tests that such a file names")
    parser.addoption("--full", action="store_true", help="fuzzers and matrices at full size, which takes long")


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """SIGINT has its usual effect, here and in processes that tests start: a background shell hands it on ignored."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def full(request):
    """True under ``--full``; a test that is smaller otherwise says both sizes."""
    return request.config.getoption("--full")


@pytest.fixture
def current_folder(tmp_path, monkeypatch):
    """An empty folder, current until the test ends; ``sys.path``, which a problem's folder joins, is as before then."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_report(monkeypatch):
    """The report of a run is 5 MB and has tests of its own."""
    monkeypatch.setattr("gradstep.runs.write_report", lambda *_: None)


@pytest.fixture
def own_registry(monkeypatch):
    """Rules that a test declares are unknown after it."""
    from gradstep import variants  # noqa: F401 - else a test that asks for one would register all of them for itself
    from gradstep.rule import registry

    monkeypatch.setattr("gradstep.form.rule._REGISTRY", registry(None))


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all reports; the tests that want it are skipped where there is none."""
    from browser import chromium

    with chromium() as launched:
        yield launched


DEAR = ("fuzzed", "browser")


def pytest_collection_modifyitems(config, items):
    """Leave out what ``--not-in`` names, and rows marked ``wide`` but under ``--full``; bring dear tests together.

    So one of several processes makes what they want: ``--dist worksteal`` deals neighbours out to the same one, and
    knows no ``xdist_group``.
    """
    path, full = config.getoption("--not-in"), config.getoption("--full")
    names = set(json.loads(Path(path).read_text("utf-8"))) if path else set()
    out = {item for item in items if item.nodeid in names or (not full and item.get_closest_marker("wide"))}
    if out:
        config.hook.pytest_deselected(items=list(out))
        items[:] = [item for item in items if item not in out]
    items.sort(key=lambda item: tuple(name in getattr(item, "fixturenames", ()) for name in DEAR), reverse=True)


def pytest_collection_finish(session):
    """Leave what collecting has made to itself: a garbage collection within a test looks at the test's own objects."""
    gc.collect()
    gc.freeze()


class _Figures:
    """Writes the figures of tests/promises to a file, in the process that all reports come to."""

    def __init__(self, path):
        self.path, self.rows = Path(path), []

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            for kind, what in report.user_properties:
                if kind in ("figure", "control"):
                    promise, text, sizes = what
                    row = {"promise": promise, "kind": kind, "text": text, "sizes": sizes, "test": report.nodeid}
                    self.rows.append({**row, "passed": report.passed})

    def pytest_sessionfinish(self):
        rows = sorted(self.rows, key=lambda row: (int(row["promise"][1:].rstrip("abcd")), *map(str, row.values())))
        self.path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


class _Passed:
    """Writes the names of the tests that have passed to a file."""

    def __init__(self, path):
        self.path, self.names = Path(path), []

    def pytest_runtest_logreport(self, report):
        if report.when == "call" and report.passed:
            self.names.append(report.nodeid)

    def pytest_sessionfinish(self):
        self.path.write_text(json.dumps(sorted(self.names), indent=1) + "\n", encoding="utf-8")


def pytest_configure(config):
    for option, plugin in (("--figures", _Figures), ("--passed", _Passed)):
        path = config.getoption(option)
        if path and not hasattr(config, "workerinput"):
            config.pluginmanager.register(plugin(path))
