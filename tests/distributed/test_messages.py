"""The messages of an exact step, as docs/distributed.md counts them."""

import numpy as np
import pytest

from gradstep.distributed import Sharded, in_threads
from gradstep.distributed.tree import expected

BLOCK = 4096


class Counted:
    """Counts what comes from others by ``alltoallv``."""

    def __init__(self, comm):
        self.comm, self.rank, self.size = comm, comm.rank, comm.size
        self.messages = self.numbers = 0

    def alltoallv(self, send, send_counts, receive, receive_counts):
        theirs = [n for rank, n in enumerate(receive_counts) if rank != self.rank and n]
        self.messages, self.numbers = self.messages + len(theirs), self.numbers + sum(theirs)
        self.comm.alltoallv(send, send_counts, receive, receive_counts)

    def __getattr__(self, name):
        return getattr(self.comm, name)


@pytest.mark.parametrize(("size", "count"), [(2, 8), (3, 64), (7, 64), (8, 64), (12, 5)])
def test_a_process_receives_the_nodes_of_the_others(size, count):
    piece = 2 * BLOCK

    def f(comm):
        counted = Counted(comm)
        params = np.zeros(size * piece, np.float32)
        opt = Sharded(params, "sgd", comm=counted, micro_batches=count)
        opt.step(np.ones_like(params) for _ in opt.mine)
        return counted.messages, counted.numbers

    sent = [len(own) for own in expected(count, size)]
    wanted = [sum(sent) - own for own in sent]
    assert in_threads(size, f) == [(n, n * piece) for n in wanted]
