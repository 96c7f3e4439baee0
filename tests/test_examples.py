"""The programs of docs/examples.md: each runs, draws its picture, and prints lines of the form that stands there."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/examples.md").read_text("utf-8")
PROGRAMS = [p for p in sorted((ROOT / "examples").glob("*.py")) if "from picture import draw" in p.read_text("utf-8")]
NEEDS = {"torch_model": ("torch", "sklearn")}


@pytest.mark.process
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.stem)
def test_a_program_runs_and_draws(program, tmp_path):
    for package in NEEDS.get(program.stem, ()):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    picture = tmp_path / "picture.svg"
    command = [sys.executable, "-W", "error", program, picture]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    [shown] = re.findall(rf"```\n\$ python examples/{program.name}\n(.*?)```", PAGE, re.DOTALL)
    assert forms(done.stdout) == forms(shown)
    drawn = picture.read_text("utf-8")
    assert drawn.startswith("<svg ")
    assert drawn.rstrip().endswith("</svg>")
    assert drawn.count("<polyline") >= 2
    assert "nan" not in drawn


def forms(text):
    """A text with each number as #: digits differ between machines."""
    return re.sub(r"[-+]?\d[\d.e+-]*", "#", text).split()


def test_each_is_short_and_stands_in_the_page():
    assert len(PROGRAMS) >= 7
    for program in PROGRAMS:
        assert len(program.read_text("utf-8").splitlines()) < 60, program.name
        assert f"(../examples/{program.name})" in PAGE
