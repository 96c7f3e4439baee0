"""Processes of torch.distributed, over gloo: torch's tensors share the memory of the buffers."""

from typing import Any

from gradstep.distributed.comm import Buffer, Counts, parted
from gradstep.errors import GradstepValueError


class OverTorch:
    """The processes of a process group of torch.distributed.

    Raises
    ------
    GradstepValueError
        For a group whose backend takes no arrays in the memory of the CPU.
    """

    def __init__(self, group: Any) -> None:
        from torch import distributed, from_numpy  # pyright: ignore[reportMissingImports]

        self._calls: Any = distributed
        self._tensor: Any = from_numpy
        self._group = group
        self.rank, self.size = int(self._calls.get_rank(group)), int(self._calls.get_world_size(group))
        backend = str(self._calls.get_backend(group))
        if backend != "gloo":
            raise GradstepValueError(
                f"comm is a process group over {backend}, and the arrays are in the memory of the CPU; "
                f'make one over gloo: torch.distributed.new_group(backend="gloo").'
            )

    def alltoallv(self, send: Buffer, send_counts: Counts, receive: Buffer, receive_counts: Counts) -> None:
        """Call all_to_all_single."""
        self._calls.all_to_all_single(
            self._tensor(receive), self._tensor(send), list(receive_counts), list(send_counts), group=self._group
        )

    def allgatherv(self, send: Buffer, receive: Buffer, counts: Counts) -> None:
        """Let each process broadcast its own: gloo gathers equal parts alone."""
        for rank, part in enumerate(parted(receive, counts)):
            if rank == self.rank:
                part[...] = send
            if part.size:
                self._calls.broadcast(
                    self._tensor(part), src=self._calls.get_global_rank(self._group, rank), group=self._group
                )

    def reduce_scatter(self, send: Buffer, receive: Buffer, counts: Counts) -> None:
        """Call all_reduce, of which each process keeps its part: gloo scatters equal parts alone."""
        whole = send.copy()
        self._calls.all_reduce(self._tensor(whole), group=self._group)
        receive[...] = parted(whole, counts)[self.rank]
