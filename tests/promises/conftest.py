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


@pytest.fixture
def figure(request):
    """``figure("P2", "undetected 0 / 9016 flips")``"""
    return lambda promise, text: request.node.user_properties.append(("figure", (promise, text)))


@pytest.fixture
def control(request):
    """``control("P2", "without the hashes: undetected 700 / 9016")``, where that has failed as it must."""
    return lambda promise, text: request.node.user_properties.append(("control", (promise, text)))


@pytest.fixture
def full(request):
    return request.config.getoption("--full")


@pytest.fixture(autouse=True)
def others_read_it_too(request):
    """Whatever file a test here leaves is read by the official reader and by the one in the docs (P13)."""
    yield
    folder = request.node.funcargs.get("tmp_path")
    for path in sorted(folder.rglob("*.safetensors")) if folder else ():
        check_with_other_readers(path)


FILES = 100_000


@pytest.fixture
def in_memory():
    """A folder for many small files; in memory, where the system has such a one."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as own:
        yield Path(own)


def run_program(name, *arguments, **environment):
    """What a program in this folder prints, run in a process of its own."""
    call = [sys.executable, "-W", "error", str(Path(__file__).with_name(name)), *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": PATH, **environment}
    done = subprocess.run(call, capture_output=True, text=True, env=env, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fuzz(first, last, what="product"):
    """What happened to files that were damaged or made to do harm."""
    return run_program("fuzz.py", first, last, MEMORY or tempfile.gettempdir(), what)


@pytest.fixture(scope="session")
def fuzzed():
    """All files, in two processes; numbers that are added up, and examples of what went wrong."""
    half = FILES // 2
    with ThreadPoolExecutor(2) as pool:
        a, b = pool.map(fuzz, (0, half), (half, FILES))
    return {key: x + b[key] for key, x in a.items()}
