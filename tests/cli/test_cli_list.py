"""``gradstep show --list``: a line for each rule and stage, from its own declaration and docstring."""

import contextlib
import io
import re

import pytest

from gradstep import rules
from gradstep.cli import main
from gradstep.cli.listing import title, year
from gradstep.rule import registry, rule


@pytest.fixture(scope="module")
def shown():
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["show", "--list"]) == 0
    return out.getvalue()


def test_every_rule_and_stage_has_a_line(shown):
    lines = [line for line in shown.splitlines() if line.startswith("  ") and not line.startswith("  name ")]
    assert sorted(line.split()[0] for line in lines) == list(registry(None))


def test_a_line_tells_state_bytes_kind_year_and_source(shown):
    rows = {line.split()[0]: re.split(r"  +", line.strip()) for line in shown.splitlines() if line}
    assert rows["adam"][1:5] == ["m v", "8", "elementwise", "2015"]
    assert rows["adam"][5] == "Adam. Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1."
    assert rows["sgd"][1:5] == ["-", "0", "elementwise", "1847"]
    assert rows["lamb"][1:5] == ["m v", "8", "by sums", "2020"]
    assert rows["adafactor"][1:5] == ["r(rows) c(columns)", "0+", "whole arrays", "2018"]
    assert rows["muon"][1:5] == ["b", "4", "whole arrays", "2024"]
    assert rows["maximize"][1:5] == ["-", "0", "elementwise", "-"]


@pytest.mark.parametrize("name", rules.__all__)
def test_a_rule_says_when_it_was_published_and_where(name):
    rule = registry()[name]
    assert 1847 <= int(year(rule)) <= 2030
    assert year(rule) in title(rule), "the first line of its docstring names the paper"


@pytest.mark.usefixtures("own_registry")
def test_a_rule_of_ones_own_stands_there_too(capsys):
    @rule(lambda lr=0.1: {"lr": lr})
    def mine(theta, g, lr):
        """Mine. Noether 1918."""
        return theta - lr * g, g

    assert main(["show", "--list"]) == 0
    assert re.search(r"\n  mine +- +0 +elementwise +1918 +Mine. Noether 1918.\n", capsys.readouterr().out)
