"""What every Comm must do, said once; run in threads, and in processes by ``python comm_cases.py mpi|gloo ...``.

Numbers are such that each element tells who sent it to whom.
"""

import sys

import numpy as np

from gradstep.distributed.libraries import as_comm


def check(comm):
    """Raise an AssertionError with the evidence where a call gives other numbers than the definition."""
    rank, size = comm.rank, comm.size
    for dtype in ("int64", "float32", "float64"):
        for width in (0, 1, 5):
            # What a sends to b: as many as a + b, or nothing where that is a multiple of three.
            table = [[0 if (a + b) % 3 == 0 else width * (a + b) for b in range(size)] for a in range(size)]
            column = [row[rank] for row in table]
            send = np.repeat([1 + rank * 100 + b for b in range(size)], table[rank]).astype(dtype)
            wanted = np.repeat([1 + a * 100 + rank for a in range(size)], column).astype(dtype)
            receive = np.full_like(wanted, -1)
            comm.alltoallv(send, table[rank], receive, column)
            assert receive.tobytes() == wanted.tobytes(), (dtype, width, "alltoallv", receive, wanted)

            counts = [width * (a % 3) for a in range(size)]
            own = np.full(counts[rank], rank + 1, dtype)
            receive, wanted = np.full(sum(counts), -1, dtype), np.repeat(np.arange(1, size + 1), counts).astype(dtype)
            comm.allgatherv(own, receive, counts)
            assert receive.tobytes() == wanted.tobytes(), (dtype, width, "allgatherv", receive, wanted)

            send = np.arange(sum(counts)).astype(dtype) + rank
            receive = np.full(counts[rank], -1, dtype)
            comm.reduce_scatter(send, receive, counts)
            wanted = (np.arange(sum(counts)) * size + sum(range(size))).astype(dtype)
            wanted = np.split(wanted, np.cumsum(counts)[:-1])[rank]
            assert receive.tobytes() == wanted.tobytes(), (dtype, width, "reduce_scatter", receive, wanted)
    return rank, size


def communicator(kind, *more):
    """Return a communicator of this process; ``more`` is for gloo: a file, the rank and the number of processes."""
    if kind == "mpi":
        from mpi4py import MPI

        return MPI.COMM_WORLD
    import torch.distributed as dist

    path, rank, size = more
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=int(rank), world_size=int(size))
    return dist.group.WORLD


def over(*words):
    return as_comm(communicator(*words))


if __name__ == "__main__":
    import processes

    own = over(*sys.argv[1:])
    processes.tell(own.rank, check(own))
