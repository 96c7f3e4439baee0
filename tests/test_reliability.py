"""RELIABILITY.md names the promises, tests and controls that there are, and no others."""

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "RELIABILITY.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| \*\*(P\d+[a-d]?)\*\* (.*)$", PAGE, flags=re.MULTILINE))
COMMAND = runpy.run_path(str(ROOT / "benchmarks/reliability.py"))


def recorded(path):
    """By promise and kind: the tests of a file that record something."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in COMMAND["KINDS"]:
                    found.setdefault((call.args[0].value, call.func.id), set()).add(node.name)
    return found


FILES = {path.name: recorded(path) for path in sorted((ROOT / "tests/promises").glob("test_*.py"))}


def test_the_promises():
    assert list(ROWS) == list(COMMAND["PROMISES"])
    assert {promise for found in FILES.values() for promise, _ in found} == set(ROWS)


@pytest.mark.parametrize("name", FILES)
def test_a_promise_has_one_file_with_tests_and_controls(name):
    ((promise, *others),) = [sorted({promise for promise, _ in FILES[name]})]
    assert not others
    assert f"](tests/promises/{name})" in ROWS[promise]
    quoted = set(re.findall(r"`(test_\w+)`", ROWS[promise]))
    assert quoted == FILES[name][promise, "figure"] | FILES[name][promise, "control"]
    assert all(test.startswith("test_control") for test in FILES[name][promise, "control"])


def test_the_page_is_what_the_command_writes_around_the_figures():
    assert PAGE.startswith(COMMAND["HEAD"])
    assert PAGE.endswith(COMMAND["LIMITS"])
    for promise, text in COMMAND["PROMISES"].items():
        assert ROWS[promise].startswith(f"{text} | ")


def rows(**changed):
    """One figure and one control for each promise; ``P2=`` and the like: other figures of that promise."""
    usual = {key: [(f"{key} holds: 0 / {{n}}", {"n": 100_000}), (f"{key}: 7 / 9", {})] for key in COMMAND["PROMISES"]}
    return [
        {"promise": key, "kind": kind, "text": text, "sizes": sizes, "test": f"tests/x.py::test_{k}", "passed": True}
        for key, own in (usual | changed).items()
        for kind in COMMAND["KINDS"]
        for k, (text, sizes) in enumerate(own)
    ]


def test_an_ordinary_run_is_compared_but_for_its_sizes():
    page, full = COMMAND["page"], COMMAND["page"](rows())
    ordinary = rows(P2=[("P2 holds: 0 / {n}", {"n": 500}), ("P2: 7 / 9", {})])
    assert page(ordinary, full) == full
    assert page(ordinary) != full
    assert page(ordinary, full.replace("100000", "100001")) == full.replace("100000", "100001")


@pytest.mark.parametrize(
    "own",
    [
        [("P2 holds: 1 / {n}", {"n": 500}), ("P2: 7 / 9", {})],  # a figure that got worse
        [("P2 holds: 0 / {n}", {"n": 500}), ("P2: 6 / 9", {})],  # a number that is no size
        [("P2 holds: 0 / 500", {}), ("P2: 7 / 9", {})],  # a size that its test does not call one
        [("P1 holds: 0 / {n}", {"n": 500}), ("P2: 7 / 9", {})],  # the text of another promise
        [("P2 holds: {n} / {n}", {"n": 500}), ("P2: 7 / 9", {})],  # of both numbers on the page only one is the size
        [("holds: 0 / {n}", {"n": 500}), ("P2: 7 / 9", {})],  # a part of a figure
        [("P2: 7 / 9", {})],
    ],
)
def test_whatever_else_an_ordinary_run_says_is_seen(own):
    full = COMMAND["page"](rows())
    assert COMMAND["page"](rows(P2=own), full) != full
