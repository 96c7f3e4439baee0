"""The numbers of docs/pasted.md are those that its script computes."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PASTED = runpy.run_path(str(ROOT / "benchmarks/pasted.py"))


def test_the_page_has_the_numbers_of_the_script():
    page = (ROOT / "docs/pasted.md").read_text("utf-8")
    for table in (PASTED["defects"](), PASTED["numbers"]()):
        assert "\n".join(table) in page


def test_a_copy_that_is_right_is_not_off():
    assert PASTED["off"](PASTED["ADAM"], PASTED["ADAM"]) == 0
    assert PASTED["ratio"](PASTED["ADAM"], PASTED["ADAM"], 10) == 1


def test_the_limits_that_the_page_names():
    stays, _ = PASTED["COPIES"]["Adam, corrected as if t were 1 for ever"]
    assert PASTED["ratio"](stays, PASTED["ADAM"], 8_000) == pytest.approx(0.001**0.5 / 0.1, rel=5e-3)
    high, _ = PASTED["COPIES"]["Adam, exponent t + 1 in the corrections"]
    first = (1 - 0.9) / (1 - 0.9**2) * ((1 - 0.999**2) / (1 - 0.999)) ** 0.5
    assert PASTED["ratio"](high, PASTED["ADAM"], 1) == pytest.approx(first, rel=1e-6)
