"""Processes of MPI, by mpi4py: its calls on buffers alone, so that nothing is pickled."""

from itertools import accumulate
from typing import Any

from gradstep.distributed.comm import Buffer, Counts


class OverMPI:
    """The processes of a communicator of mpi4py, of which it takes a copy: its messages meet no others."""

    def __init__(self, comm: Any) -> None:
        self._comm = comm.Dup()
        self.rank, self.size = int(comm.Get_rank()), int(comm.Get_size())

    def alltoallv(self, send: Buffer, send_counts: Counts, receive: Buffer, receive_counts: Counts) -> None:
        """Call Alltoallv."""
        self._comm.Alltoallv([send, _placed(send_counts)], [receive, _placed(receive_counts)])

    def allgatherv(self, send: Buffer, receive: Buffer, counts: Counts) -> None:
        """Call Allgatherv."""
        self._comm.Allgatherv(send, [receive, _placed(counts)])

    def reduce_scatter(self, send: Buffer, receive: Buffer, counts: Counts) -> None:
        """Call Reduce_scatter, whose order of summation is the library's own."""
        self._comm.Reduce_scatter(send, receive, list(counts))


def _placed(counts: Counts) -> tuple[list[int], list[int]]:
    ends = list(accumulate(counts))
    return list(counts), [end - count for end, count in zip(ends, counts, strict=True)]
