"""The blocks of README and docs can be pasted into a prompt, one after the other."""

import codeop
import importlib.util
import os
import subprocess
import sys

import pytest

from test_docs import PAGES, ROOT, blocks

PROMPTS = {
    "plain": ["-i", "-q"],
    "IPython": ["-m", "IPython", "--simple-prompt", "--colors=NoColor", "--no-banner", "--no-confirm-exit"],
}
FAILURES = ("Traceback", "Error:", "Error ", "Cell In")


def paste(block):
    """Take a block line by line, as the interactive interpreter does; raise its SyntaxError."""
    lines = []
    for line in [*block.splitlines(), ""]:
        lines.append(line)
        if codeop.compile_command("\n".join(lines), symbol="single") is not None:
            lines = []
    assert not lines


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_a_prompt_reads_every_block_of_every_page(page):
    for block in blocks(page):
        try:
            paste(block)
        except SyntaxError as error:
            pytest.fail(f"{page.name}: a prompt refuses line {error.lineno} of\n{block}")


@pytest.mark.parametrize("block", ["for x in []:\n    pass\nx = 1", "class A:\n    a = 1\n\n    b = 2\n"])
def test_a_block_that_no_prompt_takes_is_seen(block):
    with pytest.raises(SyntaxError):
        paste(block)


@pytest.mark.process
@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_readme_pastes_into_a_prompt(prompt, tmp_path):
    shown = pasted(prompt, blocks(ROOT / "README.md"), tmp_path)
    assert not any(word in shown for word in FAILURES), shown


@pytest.mark.process
def test_control_a_block_that_fails_is_seen(tmp_path):
    shown = pasted("plain", ["1 / 0\n"], tmp_path)
    assert any(word in shown for word in FAILURES)


def pasted(prompt, code, tmp_path):
    """Return all that a prompt shows of blocks that are pasted into it."""
    if prompt == "IPython" and importlib.util.find_spec("IPython") is None:
        pytest.skip("IPython is not installed; it comes with '.[dev]'")
    text = "\n".join([*code, "print('pasted', 'all')\n"])
    done = subprocess.run(
        [sys.executable, *PROMPTS[prompt]],
        input=text,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), "PYTHON_BASIC_REPL": "1", "TERM": "dumb"},
        timeout=300,
        check=False,
    )
    shown = done.stdout + done.stderr
    assert "pasted all" in shown
    return shown
