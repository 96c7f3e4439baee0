"""Communicators of other libraries, as a :class:`gradstep.distributed.comm.Comm`."""

from typing import Any

from gradstep.distributed.comm import Comm, Serial
from gradstep.distributed.mpi import OverMPI
from gradstep.distributed.torch_group import OverTorch
from gradstep.errors import GradstepTypeError


def as_comm(comm: Any) -> Comm:
    """Return the :class:`Comm` of a communicator of mpi4py, of a process group of torch, or of nothing.

    Raises
    ------
    GradstepTypeError
        For anything else.
    """
    if comm is None:
        return Serial()
    home = type(comm).__module__.split(".")[0]
    if home == "mpi4py":
        return OverMPI(comm)
    if home == "torch":
        return OverTorch(comm)
    if isinstance(comm, Comm):
        return comm
    raise GradstepTypeError(
        f"comm must be a communicator of mpi4py, a process group of torch.distributed or None, not {comm!r}."
    )
