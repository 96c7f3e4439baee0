"""The device on which contenders are timed where it is not the CPU: its clock, its memory and its name."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol

from gradstep.errors import GradstepValueError


class Device(Protocol):
    """A device whose work goes on when a call has returned.

    Attributes
    ----------
    name
        Of the card.
    """

    name: str

    def mark(self) -> Any:
        """Set a mark behind all that the device was asked for so far."""
        ...

    def us(self, pairs: Sequence[tuple[Any, Any]]) -> list[float]:
        """Return the microseconds between the marks of each pair, when all is done."""
        ...

    def wait(self) -> None:
        """Wait until all is done."""
        ...

    def free(self) -> int:
        """Return the bytes that are free."""
        ...

    def peak(self, step: Callable[[], object]) -> int:
        """Return the bytes that were taken at most while ``step`` ran."""
        ...


class Cuda:
    """The CUDA device that is torch's current one; marks are events in its current stream."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.name = str(torch.cuda.get_device_name())

    def mark(self) -> Any:
        """Set a mark behind all that the device was asked for so far."""
        event = self.torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def us(self, pairs: Sequence[tuple[Any, Any]]) -> list[float]:
        """Return the microseconds between the marks of each pair, when all is done."""
        self.wait()
        return [1000.0 * begin.elapsed_time(end) for begin, end in pairs]

    def wait(self) -> None:
        """Wait until all is done."""
        self.torch.cuda.synchronize()

    def free(self) -> int:
        """Return the bytes that are free, those that torch keeps for itself left out."""
        return int(self.torch.cuda.mem_get_info()[0])

    def peak(self, step: Callable[[], object]) -> int:
        """Return the bytes of torch's that were taken at most while ``step`` ran; our kernels take none."""
        cuda = self.torch.cuda
        cuda.reset_peak_memory_stats()
        before = cuda.memory_allocated()
        step()
        self.wait()
        return int(cuda.max_memory_allocated() - before)


def cuda() -> Cuda:
    """Return the CUDA device of this machine.

    Raises
    ------
    GradstepValueError
        Where there is none, or something that it needs is missing.
    """
    from gradstep.engine import compiled_engine

    compiled, why = compiled_engine()
    if compiled is not None:
        from gradstep.engine.cuda import driver

        why = driver.available()[1]
    if why:
        raise GradstepValueError(f"--device cuda: {why}.")
    try:
        torch = import_module("torch")
    except ImportError:
        raise GradstepValueError("--device cuda: torch is not installed, which has the peers and the arrays.") from None
    if not torch.cuda.is_available():
        raise GradstepValueError("--device cuda: this torch has no CUDA device; install a build for CUDA.")
    return Cuda(torch)
