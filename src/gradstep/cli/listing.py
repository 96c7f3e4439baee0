"""A line for each rule: its state, the bytes that it takes, what its update sees, the year of its paper."""

import re
import textwrap
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from gradstep.form.rule import Rule, registry

if TYPE_CHECKING:
    from rich.console import Console

NONE = "-"
_TITLES = {"rule": "Rules", "stage": "Other stages", "variant": "Rules and stages as other libraries have them"}
_YEAR = re.compile(r"(?<![\d:.])(?:18|19|20)\d\d(?!\d|\.\d)")  # 1412 of arXiv:1412.6980 is none


def print_list(screen: "Console") -> None:
    """Print a line for each rule and stage; those of the user stand among the library's."""
    import_module("gradstep.variants")  # which registers more
    rows: dict[str, list[list[str]]] = {kind: [] for kind in _TITLES}
    for name, rule in registry(None).items():
        kind = "variant" if rule.module.startswith("gradstep.variants.") else rule.kind
        rows[kind].append([name, *facts([rule]).values(), year(rule) or NONE, title(rule)])
    head = ["name", *facts([]), "year", "source"]
    wide = [max(len(row[k]) for own in rows.values() for row in [head, *own]) for k in range(len(head))]
    narrow = screen.is_terminal and sum(wide) + 2 * len(wide) > screen.width  # a file or a pipe has no width
    for kind, own in rows.items():
        screen.print("\n" * (kind != "rule") + _TITLES[kind], style="bold")
        for row in [head, *own]:
            if narrow:
                _stack(screen, row, wide[0])
                continue
            line = "  ".join(f"{cell:{size}}" for cell, size in zip(row, wide, strict=True))
            screen.print(f"  {line.rstrip()}", soft_wrap=True)


def _stack(screen: "Console", row: Sequence[str], name: int) -> None:
    """Print a row that is longer than a line: its name and facts, and its source beneath them, wrapped at words."""
    first, *facts, source = row
    for text, indent in ((f"  {first:{name}}  {'  '.join(facts)}", 6), (f"    {source}", 4)):
        for line in textwrap.wrap(text, screen.width, subsequent_indent=" " * indent, break_on_hyphens=False):
            screen.print(line, soft_wrap=True)


def facts(rules: Sequence[Rule]) -> dict[str, str]:
    """Return the slots of a chain, the bytes that they take for each float32 parameter, and what its updates see.

    ``8+``: and slots of a shape of their own, which ``(rows)`` and the like tell.
    """
    slots = [(name, rule.shapes.get(name)) for rule in rules for name in rule.state]
    plain = sum(shape is None for _, shape in slots)
    return {
        "state": " ".join(f"{name}({shape})" if shape else name for name, shape in slots) or NONE,
        "bytes": f"{4 * plain}{'+' if plain < len(slots) else ''}",
        "kind": kind(rules),
    }


def kind(rules: Sequence[Rule]) -> str:
    """Return ``"elementwise"``; ``"by sums"`` where sums over arrays come before it; or ``"whole arrays"``."""
    if any(rule.whole for rule in rules):
        return "whole arrays"
    return "by sums" if any(rule.measure for rule in rules) else "elementwise"


def title(rule: Rule) -> str:
    """Return the first line of its docstring: its name and its source."""
    return re.sub(r":\w+:(?=`)|`", "", rule.doc.partition("\n")[0])


def year(rule: Rule) -> str:
    """Return the first year that its docstring names, that of its paper; empty where there is none."""
    found = _YEAR.search(rule.doc)
    return found.group() if found else ""
