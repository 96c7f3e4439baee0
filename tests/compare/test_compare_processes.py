"""The process apart: what it makes of calls that load much."""

import os
import time

import numpy as np
import pytest

from gradstep.compare.processes import Apart

KEPT = []


def loaded(megabytes):
    """Keep so much memory, and return the process."""
    KEPT.append(np.ones(megabytes << 17))
    return os.getpid()


@pytest.mark.process
@pytest.mark.filterwarnings("error")
def test_data_that_stays_is_no_leak():
    """Loky ends a process that has grown by 300 MB, where psutil is installed, and may lose the call behind that."""
    pytest.importorskip("psutil")
    own = Apart()
    try:
        first = own.call(loaded, 1)
        for _ in range(3):
            time.sleep(1.1)  # it looks once a second
            assert own.call(loaded, 150) == first
    finally:
        own.end()
