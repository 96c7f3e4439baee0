"""How docstrings begin: with a verb or a thing, never with a question."""

import ast
import re
from pathlib import Path

import gradstep

SOURCE = Path(gradstep.__file__).parent
QUESTION = re.compile(r"(What|Who|Whom|Whose|Where|Whether|How|Why|When)\b(?! to\b)")
EMPTY = re.compile(r"See \W*(:\w+:|the base class)|Nothing\.$")


def docstrings():
    """Yield the place and the text of each docstring of the package."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node)
                if text:
                    yield f"{path.relative_to(SOURCE)}:{getattr(node, 'lineno', 1)}", text


def offenders():
    return [
        f"{place}: {text.splitlines()[0]}" for place, text in docstrings() if QUESTION.match(text) or EMPTY.match(text)
    ]


def test_docstrings_begin_with_a_verb_or_a_thing():
    found = offenders()
    assert not found, "\n".join(found)


def test_it_finds_what_it_looks_for():
    assert len(list(docstrings())) > 1000
    assert QUESTION.match("What a rule gives.")
    assert QUESTION.match("Whether it is.")
    assert not QUESTION.match("Whatever it is.")
    assert EMPTY.match("See :meth:`Stop.check`.")
    assert not EMPTY.match("See to it that the file is whole.")
