"""What README and docs show runs as it stands: the Python blocks of a page, one after the other."""

import math
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gradstep.cli import check, main, run_progress
from gradstep.loop.start import SKIPS
from gradstep.runs import findings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/migrating").glob("*.md"))]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.process
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_the_code_of_a_page_runs(page, tmp_path):
    # README quotes adam.py, which the next test compares
    code = [block for block in blocks(page) if "import" in block or "@rule" not in block]
    script = tmp_path / f"page_{page.stem}.py"  # scipy.md must not hide SciPy
    script.write_text("\n".join(code), encoding="utf-8")
    # a process of its own: a page may register a rule
    done = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_commands_of_own_problems_print_what_stands_there(tmp_path, monkeypatch, capsys):
    """One after the other, in a folder with the page's code as line.py. A line may end in ..., or be that alone."""
    page = ROOT / "docs/own-problems.md"
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest-xdist sets it
    monkeypatch.setattr(run_progress, "EVERY", math.inf)  # lines that a slow machine shows in between
    monkeypatch.setattr(check.Progress, "evaluated", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "line.py").write_text("\n".join(blocks(page)), encoding="utf-8")
    shown = re.findall(r"```\n\$ gradstep (.*?)\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert [command.split()[0] for command, _ in shown] == ["run", "run", "check", "check"]
    for command, expected in shown:
        assert main(shlex.split(command)) == ("forgotten" in command)
        printed, err = capsys.readouterr()
        assert err == ""
        wanted = re.escape(steady(expected)).replace(r"\.\.\.", ".*")
        assert re.fullmatch(wanted, steady(printed), re.DOTALL), printed


def steady(text):
    """A text without what differs from time to time: seconds, errors of rounding, rules and blanks at the end."""
    for pattern, instead in ((r"\d+\.\d s\n", "TIME\n"), (r"\d\.\de-1[5-7]", "ROUNDING"), ("─+", "─"), (" +\n", "\n")):
        text = re.sub(pattern, instead, text)
    return text


def test_the_thresholds_of_findings_stand_in_the_page():
    page = (ROOT / "docs/own-problems.md").read_text(encoding="utf-8")
    at = findings.__globals__
    for said in (
        f"a share of less than {at['TINY']:.0e} of the parameters",
        f"at least {at['LARGE']:.0%} of what it was in the first {at['FEW']} steps",
        f"more than {at['OFTEN']:.0%} of the steps",
        f"more than {at['OFTEN']:.0%} of the bounded",
        f"more than {at['STILL']:.0%} of the descent",
        f"more than {at['STILL']:.0%} of the whole descent",
        f"fewer than {at['FEW']} steps are not judged, and a descent only from {10 * at['FEW']} steps on",
        f"after {SKIPS} in a row",
    ):
        assert said in page


def test_the_readme_quotes_adam_as_it_is():
    source = (ROOT / "src/gradstep/rules/adam.py").read_text(encoding="utf-8")
    fences = re.findall(r"```\w*\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    quoted = next(code for code in fences if "@rule" in code)
    assert [line for line in quoted.splitlines() if line] == [
        line for line in source[source.index("def scalars") :].splitlines() if line
    ]


def test_the_readme_shows_what_show_prints(capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [quoted] = re.findall(r"```\n(What differs\n.*?)```", text, flags=re.DOTALL)
    assert main(["show", "torch.Adam", "keras.Adam", "optax.adam"]) == 0
    printed = capsys.readouterr().out
    assert quoted in "\n".join(line.rstrip() for line in printed.splitlines())


def test_the_readme_has_the_two_set_up_lines():
    assert "```\npip install '.[all]' && gradstep compare digits-mlp\npip install '.[dev]' && pytest\n```" in (
        ROOT / "README.md"
    ).read_text(encoding="utf-8")


def test_links_of_pages_lead_somewhere():
    for page in [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs/decisions").glob("*.md")]:
        prose = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#:]+)\)", prose):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
