"""A study across two hosts, made of network namespaces: the link is cut in the middle, and the same command goes on."""

import json
import re
import time
from importlib.util import find_spec

import pytest

from clusters import Hosts, Processes, dask_scheduler, dask_worker, end, until, why_no_hosts
from compare_support import table_of, timeless
from gradstep.compare import Study, compare
from support import COMMAND

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(find_spec("distributed") is None, reason="needs gradstep[dask]"),
]
WAIT = 5
OWN = """
import time
import numpy as np
from beside import SCALE

class P:
    params = np.ones(2)
    def value_and_grad(self, x):
        time.sleep(0.01)
        return float(SCALE * x @ x), 2 * SCALE * x
"""


@pytest.fixture(scope="module")
def hosts():
    if (reason := why_no_hosts()) is not None:
        pytest.skip(reason)
    with Hosts() as hosts:
        yield hosts


def test_a_study_across_two_hosts_whose_link_is_cut(hosts, tmp_path):
    """The lead is on one host; scheduler and worker are on the other, which has no file of the study's."""
    study = tmp_path / "study"
    study.mkdir()
    (study / "own.py").write_text(OWN)
    (study / "beside.py").write_text("SCALE = 1.5")
    command = ["compare", "own.py:P", "--optimizers", "sgd", "--seeds", "6", "--trials", "4", "--steps", "30", "--json"]
    blind = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs none {study} && exec "$@"', "sh"]
    with Processes(tmp_path) as processes:
        far = [*hosts.before(1), *blind]
        _, address = dask_scheduler(processes, host=hosts.address(1), before=hosts.before(1))
        worker = dask_worker(processes, "worker", address, before=far)
        command += ["--backend", "dask", "--scheduler", address, "--wait", str(WAIT), "--out", "out"]
        lead = [*hosts.before(0), "env", "-C", study, *COMMAND, *command]

        first = processes.start("first", lead)
        until(lambda: True if len(runs(tmp_path / "first.log")) >= 3 else None, processes)
        hosts.cut()
        began = time.monotonic()
        assert first.wait(timeout=60) == 2, processes.said()
        assert time.monotonic() - began < 4 * WAIT + 10
        *_, said = (tmp_path / "first.log").read_text().splitlines()
        found = re.fullmatch(
            rf"gradstep: the connection to {address} was lost; (\d+) of 11 runs are kept in out, and the same command "
            r"goes on\.",
            said,
        )
        assert found, said
        kept = runs(tmp_path / "first.log")
        assert int(found[1]) == len(kept) == len(Study.load(study / "out").runs)

        hosts.mend()
        end(worker)
        dask_worker(processes, "again", address, before=far)
        second = processes.start("second", lead)
        assert second.wait(timeout=120) == 0, processes.said()
        assert runs(tmp_path / "second.log")[: len(kept)] == kept  # with their seconds: not made again
    whole = compare("sgd", str(study / "own.py:P"), seeds=6, trials=4, steps=30, jobs=1)
    there = Study.load(study / "out")
    assert table_of(there) == table_of(whole)
    assert sorted(timeless(there), key=lambda x: x.key) == sorted(timeless(whole), key=lambda x: x.key)


def runs(log):
    """The lines of a log that tell of a run."""
    lines = [line for line in log.read_text().splitlines() if line.startswith('{"event": "run"')]
    return [json.loads(line) for line in lines if line.endswith("}")]
