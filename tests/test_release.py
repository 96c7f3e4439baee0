"""What a release says of itself: versions, bounds and licence are one thing in all places."""

import re
import runpy
import tomllib
from pathlib import Path

import gradstep as gs

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OLDEST = runpy.run_path(str(ROOT / ".ci/bounds.py"))["oldest"](ROOT / "pyproject.toml")
CONDA = (ROOT / "packaging/conda/meta.yaml").read_text(encoding="utf-8")
STABILITY = (ROOT / "docs/stability.md").read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere():
    assert f'version = "{gs.__version__}"' in CONDA
    assert re.search(rf"^## {re.escape(gs.__version__)}\b", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)


def test_the_recipe_has_the_bounds_of_the_project():
    found = {
        name.replace("matplotlib-base", "matplotlib"): x for name, x in re.findall(r"- ([\w-]+) >=([\d.]+)", CONDA)
    }
    assert found.pop("python") == PROJECT["requires-python"].removeprefix(">=")
    assert found.pop("hatchling")
    assert found == OLDEST


def test_the_gate_reads_every_bound():
    assert {"numpy", "array-api-compat", "llvmlite", "scipy", "rich", "typer"} <= set(OLDEST)


def test_the_page_says_the_bounds():
    rows = dict(re.findall(r"^\| ([\w, ]+) \| ([\d., ]+) \|", STABILITY, re.M))
    assert rows.pop("Python") == PROJECT["requires-python"].removeprefix(">=")
    named = {name: x for names, xs in rows.items() for name, x in zip(names.split(", "), xs.split(", "), strict=True)}
    assert {name.lower(): x for name, x in named.items()}.items() <= OLDEST.items()


def test_licence_types_and_versions_of_python_are_told():
    assert PROJECT["license"] == "BSD-3-Clause"  # SPDX: no classifier beside it
    assert not [x for x in PROJECT["classifiers"] if x.startswith("License")]
    assert "Typing :: Typed" in PROJECT["classifiers"]
    assert (Path(gs.__file__).parent / "py.typed").is_file()
    told = {x.rpartition(" ")[2] for x in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", x)}
    gate = (ROOT / ".ci/release").read_text(encoding="utf-8")
    assert told == set(re.findall(r'"(3\.\d+) (?:oldest|newest)"', gate))
