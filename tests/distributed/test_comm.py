"""Who hands numbers from process to process does what the definition says."""

import threading

import comm_cases
import numpy as np
import processes
import pytest

from gradstep.distributed.comm import Comm, Serial, in_threads
from gradstep.distributed.libraries import as_comm
from gradstep.errors import GradstepTypeError


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_threads(size):
    assert in_threads(size, comm_cases.check) == [(rank, size) for rank in range(size)]


def test_one_process_by_itself():
    assert comm_cases.check(Serial()) == (0, 1)
    assert isinstance(as_comm(None), Serial)
    assert isinstance(Serial(), Comm)


def test_a_comm_of_ones_own_is_taken_as_it_is():
    own = Serial()
    assert as_comm(own) is own


def test_anything_else_is_refused():
    with pytest.raises(GradstepTypeError, match="a communicator of mpi4py, a process group"):
        as_comm("world")


def test_a_thread_that_fails_keeps_nobody_waiting():
    def f(comm):
        if comm.rank == 1:
            raise ZeroDivisionError
        comm.allgatherv(np.zeros(1), np.zeros(3), [1, 1, 1])

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        in_threads(3, f)
    assert threading.active_count() == before


@pytest.mark.process
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("kind", ["openmpi", "mpich", "gloo"])
def test_processes(kind, size, tmp_path):
    found = processes.run(kind, size, "comm_cases.py", folder=tmp_path)
    assert found == [[rank, size] for rank in range(size)]
