"""``gradstep check`` of a rule: each test, what it asks, and what to write where it fails.

The tests are the laws of :mod:`gradstep.testing`.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from gradstep.cli.common import WRONG, console
from gradstep.errors import GradstepValueError
from gradstep.form.rule import Rule, Stage
from gradstep.testing import MEANINGS, Case, judge
from gradstep.testing.meanings import suggested_units

STYLES = {"obeyed": "green", "broken": "bold red", "excepted": "yellow", "silent": "dim"}
SAID = {"obeyed": "passed", "broken": "FAILED", "excepted": "excepted", "silent": "not run"}


def rules_of(thing: Any, name: str) -> list[Rule]:
    """Return the rules to check in what a file has: none of what is no rule and no chain.

    Raises
    ------
    GradstepValueError
        For a chain of the library's own rules.
    """
    if isinstance(thing, Rule):
        return [thing]
    if not isinstance(thing, Stage):
        return []
    rules = {part.rule.name: part.rule for part in thing.parts if not part.rule.module.startswith("gradstep.")}
    if not rules:
        raise GradstepValueError(
            f"{name} is a chain of Gradstep's own rules; there is nothing of yours in it to check."
        )
    return list(rules.values())


def judged(rules: Sequence[Rule], name: str, seed: int, json: bool) -> int:
    """Print the verdict of each law on each rule, and what to write; return the exit code."""
    from gradstep.text import to_json

    content: dict[str, Any] = {}
    for rule in rules:
        case = Case(rule, seed=seed)
        found = judge(case)
        answers = {law: _answer(case, law) for law, x in found.items() if x.word == "broken"}
        content[rule.name] = {
            law: {
                "verdict": x.word,
                "why": x.text,
                "asks": MEANINGS[law].asks if law in MEANINGS else "",
                "write": answers.get(law, ""),
            }
            for law, x in found.items()
        }
        if not json:
            _show(rule.name, name, content[rule.name])
    if json:
        sys.stdout.write(to_json({"checked": name, "laws": content}) + "\n")
    return WRONG if any(x["verdict"] == "broken" for laws in content.values() for x in laws.values()) else 0


def _show(rule: str, name: str, laws: dict[str, dict[str, str]]) -> None:
    """Print the laws as tests, one a line; then of each that failed the evidence, and what to write."""
    screen = console()
    screen.print(f"{rule} of {name}", style="bold")
    for law, x in laws.items():
        why = f" ({x['why']})" if x["verdict"] in ("silent", "excepted") else ""
        screen.print(f"  {SAID[x['verdict']]:8}  {law}: {x['asks']}{why}", style=STYLES[x["verdict"]], soft_wrap=True)
    broken = {law: x for law, x in laws.items() if x["verdict"] == "broken"}
    for law, x in broken.items():
        screen.print(f"\n{law} failed", style="bold red")
        screen.print(f"  found: {x['why']}", soft_wrap=True)
        screen.print(f"  write: {x['write']}", soft_wrap=True)
    obeyed = sum(x["verdict"] == "obeyed" for x in laws.values())
    end = "; ".join(
        [
            f"{obeyed} of {len(laws)} tests passed",
            *([f"failed: {', '.join(broken)}"] if broken else ["none failed"]),
            *([f"skipped: {', '.join(others)}"] if (others := _skipped(laws)) else []),
        ]
    )
    screen.print(f"\n{end}.", soft_wrap=True)
    if not broken and laws["oracle"]["verdict"] == "silent":
        screen.print(
            "To compare the numbers with the paper's, write the formula a second time and hand it over as the oracle: "
            "gradstep.testing.check_rule(rule, oracle=...).",
            soft_wrap=True,
        )


def _skipped(laws: Mapping[str, Any]) -> list[str]:
    """Return the tests that say nothing of a rule."""
    return [law for law, x in laws.items() if x["verdict"] not in ("obeyed", "broken")]


def _answer(case: Case, law: str) -> str:
    """Return what the author of a rule may write where it breaks a law."""
    if law not in MEANINGS:
        return f"leave it out of exceptions=; there are {', '.join(MEANINGS)}"
    if law in case.rule.exceptions:
        return f"leave {law!r} out of exceptions=, or do what its reason says"
    more = ""
    if law == "units" and (own := suggested_units(case)) is not None:
        more = f". It passes with units={own!r}"
    return f'{MEANINGS[law].answer}{more}. Where it is meant so: exceptions={{"{law}": "the reason"}}'
