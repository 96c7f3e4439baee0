"""The same bits without the compiler, with fewer of NumPy's CPU features, and compiled for the plainest CPU."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gradstep.testing.case import COMPILED, WHY_NOT_COMPILED

from . import digest

pytestmark = pytest.mark.process

RUN = "; import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
WITHOUT_LLVMLITE = "import sys; sys.modules['llvmlite'] = None" + RUN
PLAIN_CPU = f"""
from gradstep.engine.cpu import native
native._target = lambda: ({"x86-64" if platform.machine() == "x86_64" else "generic"!r}, "")
{RUN[2:]}
"""
needs_compiler = pytest.mark.skipif(COMPILED is None, reason=WHY_NOT_COMPILED)


@pytest.fixture(scope="module")
def here():
    return digest.digests()


def elsewhere(script, **environment):
    call = [sys.executable, "-W", "error", "-c", script, str(Path(digest.__file__))]
    done = subprocess.run(call, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def same(there, here, engine):
    assert there.keys() == here.keys()
    for name, (_, sha) in here.items():
        assert there[name] == [engine, sha], name


@needs_compiler
def test_without_the_compiler(here):
    assert {engine for engine, _ in here.values()} == {"compiled"}
    same(elsewhere(WITHOUT_LLVMLITE), here, "eager")


@needs_compiler
def test_compiled_for_the_plainest_cpu(here):
    there = elsewhere(PLAIN_CPU)
    # Without the instructions for 16-bit floats such parameters are left to the eager engine.
    assert there.pop("adam of float16") in (["eager", here["adam of float16"][1]], here["adam of float16"])
    same(there, {key: x for key, x in here.items() if key in there}, "compiled")


def _dispatched():
    """NumPy's optional CPU features that this machine has, from the plainest to the newest."""
    found = np._core._multiarray_umath
    return [name for name in found.__cpu_dispatch__ if found.__cpu_features__[name]]


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_with_fewer_cpu_features(here, kept):
    names = _dispatched()
    if not names:
        pytest.skip("NumPy has no optional CPU features here")
    off = names[int(kept * len(names)) :]
    same(elsewhere(WITHOUT_LLVMLITE, NPY_DISABLE_CPU_FEATURES=" ".join(off)), here, "eager")
    if COMPILED is not None:
        same(elsewhere(RUN[2:], NPY_DISABLE_CPU_FEATURES=" ".join(off)), here, "compiled")
