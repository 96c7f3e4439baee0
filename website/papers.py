"""What the oracles of ``tests/papers`` say of a rule: its source, its defaults and where each comes from."""

import ast
import io
import tokenize
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "tests/papers"


@dataclass(frozen=True)
class Paper:
    """A rule as its paper has it, written down by somebody who had not seen the rule.

    ``origins``: what is said of each default; ``text``: the equations, and the named differences.
    """

    citation: str
    defaults: dict[str, float]
    origins: dict[str, str]
    text: str


def paper(name: str) -> Paper | None:
    """Return the oracle of a rule; None where there is none, as for stages that have theirs in other files."""
    path = FOLDER / f"{name}.py"
    if not path.exists():
        return None
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    citation, defaults, origins = "", dict[str, float](), dict[str, str]()
    for node in tree.body:
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
            continue
        if node.targets[0].id == "CITATION":
            citation = str(ast.literal_eval(node.value))
        if node.targets[0].id == "DEFAULTS" and isinstance(node.value, ast.Dict):
            keys = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
            if len(keys) != len(node.value.keys):
                continue
            defaults = {str(key): _number(x) for key, x in zip(keys, node.value.values, strict=True)}
            for key, x in zip(keys, node.value.values, strict=True):
                origins[str(key)] = comments.get(x.lineno, "")
    docstring = ast.get_docstring(tree) or ""
    return Paper(citation, defaults, origins, docstring)


def _number(node: ast.expr) -> float:
    try:
        return float(ast.literal_eval(node))
    except (ValueError, TypeError):
        return float("nan")
