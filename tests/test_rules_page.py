"""docs/rules.md: every rule stands there, with the bytes that it takes."""

import re
from pathlib import Path

import pytest

from gradstep import rules, stages
from gradstep.cli.listing import facts

PAGE = (Path(__file__).parents[1] / "docs/rules.md").read_text(encoding="utf-8")
ROWS = {name: own.split(" | ") for name, own in re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE)}


@pytest.mark.parametrize("name", rules.__all__)
def test_every_rule_stands_there_with_its_bytes(name):
    assert name in ROWS, f"docs/rules.md needs a row for {name}: its bytes, its times (or a dash), what it is"
    size, *_, what = ROWS[name]
    assert size == facts([getattr(rules, name)])["bytes"]
    assert len(ROWS[name]) == 4
    assert len(what.split()) > 3


def test_stages_stand_there_with_their_bytes():
    table = PAGE.split("## Around a rule")[1].split("## Sources")[0]
    rows = {name: own.split(" | ") for name, own in re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE)}
    assert rows.keys() == set(stages.__all__)
    for name, (place, size, what, source) in rows.items():
        assert place in ("before", "behind"), name
        assert size == facts([getattr(stages, name)])["bytes"], name
        assert len(what.split()) > 3, name
        assert re.search(r"\d", source), f"{name} needs a paper with its year, or a library with its version"


def test_no_other_rule_stands_there():
    tables = PAGE.split("## What each costs")[1].split("## Around a rule")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", tables, re.MULTILINE)) <= set(rules.__all__)


def test_every_claim_about_comparisons_has_a_source():
    cited, listed = set(re.findall(r"\[(\d)\](?!\()", PAGE)), set(re.findall(r"^(\d)\. ", PAGE, re.MULTILINE))
    assert cited == listed


def test_there_are_as_many_rules_as_the_readme_says_or_more():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    [count] = re.findall(r"(\d+) rules\s\(`gradstep show --list`\)", readme)
    assert len(rules.__all__) >= int(count)
