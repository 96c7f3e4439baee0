"""Steps that several processes share, each with the state of its part of the parameters alone.

``opt = gs.distributed.Sharded(params, "adam", comm=MPI.COMM_WORLD, micro_batches=8)`` has the bits of one process on
any number of them. See ``docs/distributed.md``.
"""

from gradstep.distributed.comm import Comm, in_threads
from gradstep.distributed.sharded import Sharded

__all__ = ["Comm", "Sharded", "in_threads"]
