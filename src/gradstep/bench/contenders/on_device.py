"""Contenders over torch's tensors on a CUDA device: Gradstep itself, its guest in torch, and what only moves data."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.bench.contenders.base import Arrays, load
from gradstep.bench.contenders.ours import GradstepContender, Moving, stage_of
from gradstep.bench.contenders.torch_optim import TorchStep
from gradstep.bench.work import Work


class GradstepOnDevice(GradstepContender):
    """``gs.Optimizer(..., engine="cuda")`` over a dict of tensors; all of ``opt.step(grads)`` is timed.

    Parameters
    ----------
    work, arrays, **options
        See :class:`~gradstep.bench.contenders.ours.GradstepContender`.
    """

    def __init__(self, work: Work, arrays: Arrays, **options: Any) -> None:
        self.torch = load("torch")
        super().__init__(work, arrays, engine="cuda", **options)

    def dtype_of(self, work: Work) -> Any:
        """Return torch's."""
        return getattr(self.torch, work.dtype)

    def gradients(self, arrays: Arrays) -> dict[str, Any]:
        """A dict by name."""
        return {f"w{k}": self.torch.from_numpy(x).to(device="cuda", dtype=self.dtype) for k, x in enumerate(arrays)}

    def parameters(self) -> list[NDArray[Any]]:
        """Return the parameters as NumPy arrays."""
        return [np.asarray(x.cpu().double()) for x in self.params.values()]


class StreamsOnDevice(Moving, GradstepOnDevice):
    """As many arrays as the work has, moved by the engine's own kernel with no more arithmetic than one sum."""

    def __init__(self, work: Work, arrays: Arrays) -> None:
        super().__init__(work, arrays, on_nonfinite="ignore")


class GuestOnDevice(TorchStep):
    """``gs.interop.torch.Optimizer(..., engine="cuda")``; ``p.grad`` is set before the clock runs.

    Parameters
    ----------
    work, arrays
        See :class:`~gradstep.bench.contenders.base.Kind`.
    """

    device = "cuda"

    def make(self, work: Work) -> Any:
        """The guest."""
        return load("gradstep.interop.torch").Optimizer(self.params, stage_of(work), engine="cuda")
