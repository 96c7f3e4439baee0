"""Figures of the promises: each is recorded by the test that it comes from, and written by ``--figures FILE``.

A control is the same test with the protection taken away. It passes when that makes it fail.
"""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from promises.readers import check_with_other_readers
from support import SOURCE

PATH = os.pathsep.join([str(SOURCE), str(Path(__file__).parents[1])])
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


def _recorder(request, kind):
    def record(promise, text, **sizes):
        request.node.user_properties.append((kind, (promise, text, sizes)))

    return record


@pytest.fixture
def figure(request):
    """Record a figure: ``figure("P2", "undetected 0 / {n} flips", n=9016)``, with sizes that ``--full`` changes."""
    return _recorder(request, "figure")


@pytest.fixture
def control(request):
    """Record a control that has failed as it must: ``control("P2", "without the hashes: undetected 700 / 9016")``."""
    return _recorder(request, "control")


@pytest.fixture(autouse=True)
def others_read_it_too(request):
    """Read every file that a test leaves by the official reader and by the one in the docs (P13)."""
    yield
    folder = request.node.funcargs.get("tmp_path")
    for path in sorted(folder.rglob("*.safetensors")) if folder else ():
        check_with_other_readers(path)


@pytest.fixture(scope="session")
def files(full):
    """The number of files to fuzz."""
    return 100_000 if full else 20_000


@pytest.fixture
def in_memory():
    """A folder for many small files; in memory, where the system has such a one."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as own:
        yield Path(own)


def run_program(name, *arguments, **environment):
    """Run a program of this folder in a process of its own and return what it prints."""
    call = [sys.executable, "-W", "error", str(Path(__file__).with_name(name)), *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": PATH, **environment}
    done = subprocess.run(call, capture_output=True, text=True, env=env, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fuzz(first, last, what="product"):
    """Load files that were damaged or made to do harm, and return the counts of what happened."""
    return run_program("fuzz.py", first, last, MEMORY or tempfile.gettempdir(), what)


@pytest.fixture(scope="session")
def fuzzed(files):
    """All files, in two processes; numbers that are added up, and examples of what went wrong."""
    half = files // 2
    with ThreadPoolExecutor(2) as pool:
        a, b = pool.map(fuzz, (0, half), (half, files))
    return {key: x + b[key] for key, x in a.items()}
