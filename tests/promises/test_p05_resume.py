"""P5: stop anywhere, go on in a new process: the same bits of parameters, state, counters and random numbers."""

import pytest

from promises.conftest import run_program
from promises.resume import ENGINES, STOPS

pytest.importorskip("ml_dtypes")
pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stopped")


@pytest.fixture(scope="module")
def rules(full):
    """Every rule, or one of each form."""
    return ["full"] if full else []


@pytest.fixture(scope="module")
def whole(folder, rules):
    return run_program("resume.py", "begin", folder, *rules)


def test_the_same_bits_in_a_new_process(whole, folder, rules, figure):
    resumed = run_program("resume.py", "end", folder, *rules)
    assert len(resumed) == len(whole) * len(STOPS)
    assert [key for key, sha in resumed.items() if sha != whole[key.rpartition("; ")[0]]] == []
    if len(ENGINES) == 2:
        figure("P5", "identical SHA-256: {n} / {n}", n=len(resumed))


def test_control_one_thing_set_back_is_seen(whole, folder, rules, control):
    """A slot, t, the host's memory, the random generator, a schedule: each on its own."""
    seen = run_program("resume.py", "sabotage", folder, *rules)
    for what in ("slot", "t", "memory", "rng", "hyper"):
        runs = {key: sha for key, sha in seen.items() if key.endswith(f"; {what}")}
        equal = [key for key, sha in runs.items() if sha == whole[key.rpartition("; ")[0]]]
        assert runs
        assert equal == []
        if len(ENGINES) == 2:
            control("P5", f"{what} set back: another hash {{n}} / {{n}}", n=len(runs))
