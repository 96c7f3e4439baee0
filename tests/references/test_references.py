"""Other libraries' constructors step as those libraries did: against recordings, with NumPy alone."""

from collections import namedtuple

import pytest

import gradstep as gs
from references.cases import DTYPES, SHAPES, STEPS, Trajectory, cases, read, recorded
from references.compare import KNOWN, TOLERANCE, ULPS, allowance, copied, distance, followed, known, made, ulps

RECORDINGS = {library: read(library) for library in DTYPES}
CASES = [case for library in DTYPES for case in cases(library)]
WITH_AVERAGES = [case for case in CASES if case.arguments.get("use_ema")]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def recording(case):
    return recorded(case, *RECORDINGS[case.library])


def whole(case):
    """How far the whole trajectory is from the recorded one."""
    task, theirs = recording(case)
    return distance(followed(case, task)[0], theirs.theta)


@every_case
def test_the_whole_trajectory(case):
    assert whole(case) <= allowance(case)


@every_case
def test_a_name_is_its_constructor(case):
    task, _ = recording(case)
    assert distance(followed(case, task, by_name=True)[0], followed(case, task)[0]) == 0


@pytest.mark.parametrize("case", WITH_AVERAGES, ids=str)
def test_the_averages_of_keras(case):
    task, theirs = recording(case)
    kept = [
        {name: x for name in SHAPES for key, x in state.items() if key.endswith(f"/{name}_average")}
        for state in theirs.state
    ]
    _, averages = followed(case, task)
    assert distance(averages, kept) <= allowance(case)
