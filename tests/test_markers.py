"""A test whose code starts, forks or kills processes has the marker ``process``, which a quick run leaves out."""

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Functions of support.py and conftest.py among them; a fixture's name is an argument of the test.
STARTERS = {"subprocess", "ProcessPoolExecutor", "raise_signal", "script", "at_a_terminal", "run_program", "fuzz"}
STARTERS |= {"os.fork", "os.kill", "fuzzed", "browser"}
TESTS = ast.FunctionDef | ast.AsyncFunctionDef


def words(node):
    """Yield the names in some code: variables, arguments, ``self.method`` and ``os.function``."""
    for x in ast.walk(node):
        if isinstance(x, ast.Name):
            yield x.id
        elif isinstance(x, ast.arg):
            yield x.arg
        elif isinstance(x, ast.Attribute):
            yield f"{x.value.id}.{x.attr}" if isinstance(x.value, ast.Name) else f".{x.attr}"


def is_marked(nodes):
    return any("mark.process" in ast.unparse(mark) for node in nodes for mark in node.decorator_list)


def unmarked(text):
    """Return the tests of a file that start processes, by themselves or by a helper in it, and have no marker."""
    tree = ast.parse(text)
    whole = [ast.unparse(x.value) for x in tree.body if isinstance(x, ast.Assign) and "pytestmark" in ast.unparse(x)]
    if any("mark.process" in mark or "needs_browser" in mark for mark in whole):
        return []
    functions = [(f"{'self.' * bool(owner)}{node.name}", node, owner) for node, owner in functions_of(tree)]
    starters, more = set(STARTERS), True
    while more:
        more = {name for name, node, _ in functions if not starters.isdisjoint(words(node))} - starters
        starters |= more
    return [
        node.name
        for _, node, owner in functions
        if node.name.startswith("test_") and not starters.isdisjoint(words(node)) and not is_marked([node, *owner])
    ]


def functions_of(tree):
    """Yield the functions of a file, and the methods of its classes with their class."""
    for node in tree.body:
        if isinstance(node, TESTS):
            yield node, []
        elif isinstance(node, ast.ClassDef):
            yield from ((inner, [node]) for inner in node.body if isinstance(inner, TESTS))


def test_tests_that_start_processes_say_so():
    found = {str(path.relative_to(HERE)): unmarked(path.read_text("utf-8")) for path in HERE.rglob("test_*.py")}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def test_a(): subprocess.run(['true'])", ["test_a"]),
        ("def test_a(): os.fork()", ["test_a"]),
        ("def test_a(): os.getpid()", []),
        ("def ask(): return script('')\ndef test_a(): ask()\ndef test_b(): say()", ["test_a"]),
        ("def first(): script('')\ndef second(): first()\ndef test_a(second): pass", ["test_a"]),
        (
            "class TestA:\n def run(self): script('')\n def test_a(self): self.run()\n def test_b(self): run()",
            ["test_a"],
        ),
        ("@pytest.mark.process\ndef test_a(): script('')", []),
        ("@pytest.mark.process\nclass TestA:\n def test_a(self): script('')", []),
        ("pytestmark = [pytest.mark.process]\ndef test_a(): script('')", []),
    ],
)
def test_what_is_found(text, found):
    assert unmarked(text) == found
