"""RELIABILITY.md names the promises, tests and controls that there are, and no others."""

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "RELIABILITY.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| \*\*(P\d+[a-c]?)\*\* (.*)$", PAGE, flags=re.MULTILINE))
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


def test_an_ordinary_run_is_compared_but_for_its_size():
    """Of its large file fewer bits are sampled, which gives the figure another place; nothing else may differ."""
    large, small = (
        "undetected 0 / {} flips, sampled of a 10 MB file",
        "undetected 0 / 25152 flips, all bits of a small file",
    )
    full, ordinary = f"{large}<br>{small}".format(100000), f"{small}<br>{large}".format(500)
    plain, other = COMMAND["without_size"], PAGE.replace(full, ordinary)
    assert other != PAGE
    assert plain(PAGE) == plain(other)
    assert plain(PAGE) != plain(other.replace("undetected 0 / 500", "undetected 1 / 500"))
