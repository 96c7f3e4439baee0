"""A step that processes on two hosts share over gloo, and a link between these that is cut and mended."""

import importlib.util
import sys
import time

import pytest
import training
from processes import ENVIRONMENT, HERE

from clusters import START, Hosts, Processes, until, why_no_hosts
from gradstep.distributed import Sharded

STEPS, PORT = 40, 29400


@pytest.mark.process
def test_gloo_over_a_link_that_is_cut_ends_in_a_sentence_and_goes_on(tmp_path):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    import linked

    if why := why_no_hosts():
        pytest.skip(f"two hosts cannot be made here: {why}")
    with Hosts() as hosts, Processes(tmp_path) as processes:

        def begun(name):
            """Start both processes; return them, and their outputs."""
            command = [sys.executable, "-W", "ignore", HERE / "linked.py", f"{hosts.address(0)}:{PORT}"]
            started = [
                processes.start(
                    f"{name}-{rank}",
                    [*command, rank, tmp_path / "run", STEPS],
                    hosts.before(rank),
                    GLOO_SOCKET_IFNAME=hosts.interface(rank),
                    **ENVIRONMENT,
                )
                for rank in (0, 1)
            ]
            return started, [tmp_path / f"{name}-{rank}.log" for rank in (0, 1)]

        first, logs = begun("first")
        until(lambda: "step 5" in logs[0].read_text() or None, processes)
        hosts.cut()
        cut = time.monotonic()
        assert [one.wait(timeout=START) for one in first] == [2, 2], processes.said()
        assert time.monotonic() - cut < 5 * linked.SILENCE
        for log in logs:
            last = log.read_text().splitlines()[-1]
            assert last.startswith("the processes have lost one another ("), processes.said()
            assert last.endswith("); start all of them again from the last checkpoint.")
        hosts.mend()
        second, logs = begun("second")
        assert [one.wait(timeout=START) for one in second] == [0, 0], processes.said()
        lines = [[x for x in log.read_text().splitlines() if x.startswith(("begins", "hash"))] for log in logs]
        assert int(lines[0][0].removeprefix("begins at ")) >= 4
        alone = Sharded(training.parameters(), micro_batches=6, **training.SETTINGS["adamw_clip_ema"]())
        for t in range(STEPS):
            alone.step(training.gradient(t, i, alone.params) for i in alone.mine)
        assert [own[-1] for own in lines] == [f"hash {training.digest(alone.params)}"] * 2
