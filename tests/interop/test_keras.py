"""Gradstep as a Keras optimizer. A process has one backend, so each has its own; the cases are in keras_cases.py."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from support import SOURCE

pytestmark = [pytest.mark.process, pytest.mark.skipif(find_spec("keras") is None, reason="keras is not installed")]

HERE = Path(__file__).parent
CASES = [
    node.name.removeprefix("case_")
    for node in ast.parse((HERE / "keras_cases.py").read_text("utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("case_")
]


@cache
def outcomes(backend):
    """What each case said on that backend, by name."""
    env = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": f"{SOURCE}{os.pathsep}{HERE.parent}"}
    done = subprocess.run(
        [sys.executable, "-m", "interop.keras_cases", backend],
        capture_output=True,
        text=True,
        env=env,
        timeout=900,
        check=False,
    )
    parts = re.split(r"^(\w+) (passed|failed)$", done.stdout, flags=re.MULTILINE)
    found = {name: (word, text) for name, word, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)}
    return found, done.stderr


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_keras(backend, case):
    pytest.importorskip(backend)
    found, stderr = outcomes(backend)
    assert case in found, stderr
    word, text = found[case]
    assert word == "passed", text
