"""Without the [fast] extra everything works eagerly, with the same bits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gradstep.testing.case import COMPILED, WHY_NOT_COMPILED

from . import digest

SCRIPT = "import runpy, sys; sys.modules['llvmlite'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"


@pytest.mark.skipif(COMPILED is None, reason=WHY_NOT_COMPILED)
def test_same_trajectories():
    call = [sys.executable, "-W", "error", "-c", SCRIPT, str(Path(digest.__file__))]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    without, with_ = json.loads(done.stdout), digest.digests()
    assert without.keys() == with_.keys()
    for name, (engine, sha) in with_.items():
        assert engine == "compiled"
        assert without[name] == ["eager", sha]
