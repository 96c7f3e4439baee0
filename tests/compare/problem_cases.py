"""What the tests of problems share."""

import pytest

from gradstep.compare.problems import PROBLEMS, find_problem


def problem(text):
    """The problem of that name; the test is skipped where its data are not installed."""
    needed = PROBLEMS[text.partition(":")[0]]().needs
    if needed is not None:
        pytest.importorskip(needed)
    return find_problem(text)
