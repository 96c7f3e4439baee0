"""What README and docs show runs as it stands: the Python blocks of a page, one after the other."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_the_code_of_a_page_runs(page, tmp_path):
    # README quotes adam.py, which the next test compares
    code = [block for block in blocks(page) if "import" in block or "@rule" not in block]
    script = tmp_path / f"{page.stem}.py"
    script.write_text("\n".join(code), encoding="utf-8")
    # a process of its own: a page may register a rule
    done = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_quotes_adam_as_it_is():
    source = (ROOT / "src/gradstep/rules/adam.py").read_text(encoding="utf-8")
    quoted = next(code for code in blocks(ROOT / "README.md") if "@rule" in code)
    assert [line for line in quoted.splitlines() if line] == [
        line for line in source[source.index("def scalars") :].splitlines() if line
    ]


def test_the_readme_has_the_two_set_up_lines():
    assert "```\npip install '.[all]' && gradstep compare digits-mlp\npip install '.[dev]' && pytest\n```" in (
        ROOT / "README.md"
    ).read_text(encoding="utf-8")


def test_links_of_pages_lead_somewhere():
    for page in [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs/decisions").glob("*.md")]:
        prose = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#:]+)\)", prose):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
