"""Studies over a network: a scheduler and a worker of dask on another host, and a link that is cut and mended."""

import contextlib
import time
from importlib.util import find_spec

import pytest

from clusters import START, Hosts, Processes, dask_scheduler, dask_worker, until, why_no_hosts
from compare_support import table_of
from gradstep.compare import Study, compare
from gradstep.errors import GradstepError
from support import COMMAND

pytestmark = pytest.mark.process
OWN = """
import time
import numpy as np

class P:
    params = np.ones(2)

    def __init__(self, seed):
        self.scale = 1.0 + seed

    def value_and_grad(self, x):
        time.sleep(0.02)
        return float(self.scale * x @ x), 2 * self.scale * x
"""
ASKED = {"optimizers": "sgd,adam", "problems": "own.py:P", "seeds": 4, "trials": 2, "steps": 20}
WAIT = 11.0  # seconds: dask takes no fewer


@pytest.mark.skipif(find_spec("dask") is None, reason="needs gradstep[dask]")
def test_a_link_that_is_cut_is_told_in_time_and_the_same_command_goes_on(tmp_path, monkeypatch):
    if why := why_no_hosts():
        pytest.skip(f"two hosts cannot be made here: {why}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    with Hosts() as hosts, Processes(tmp_path) as processes:
        far = {"before": hosts.before(1)}
        _, address = dask_scheduler(processes, host=hosts.address(1), **far)
        dask_worker(processes, "worker", address, **far)
        words = [word for key, x in ASKED.items() if key != "problems" for word in (f"--{key}", x)]
        command = [*COMMAND, "compare", "own.py:P", *words, "--out", "study"]
        command += ["--backend", "dask", "--scheduler", address, "--wait", WAIT]
        lead = processes.start("lead", command, hosts.before(0))
        until(lambda: made() >= 4 or None, processes)
        hosts.cut()
        cut = time.monotonic()
        assert lead.wait(timeout=START) == 2, processes.said()
        assert time.monotonic() - cut < 3 * WAIT  # to notice, to ask once more, and to give up
        kept, said = made(), (tmp_path / "lead.log").read_text()
        assert "Traceback" not in said
        assert said.splitlines()[-1] == (
            f"gradstep: the connection to {address} was lost; {kept} of 14 runs are kept in study, and the same "
            f"command goes on."
        )
        hosts.mend()
        assert processes.start("again", command, hosts.before(0)).wait(timeout=2 * START) == 0, processes.said()
        assert kept < made()
    assert table_of(Study.load("study")) == table_of(compare(**ASKED, jobs=2))


def made():
    """The runs that are kept by now."""
    with contextlib.suppress(GradstepError, OSError):
        return len(Study.load("study").runs)
    return 0
