"""A driver as the engine needs it, and NVIDIA's own, through ``cuda-bindings``."""

import ctypes
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from itertools import starmap
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gradstep.engine.cuda import arrays, ptx
from gradstep.engine.cuda.arrays import Place, Reader
from gradstep.engine.cuda.grid import NVPTX, Machine
from gradstep.errors import DeviceError

_WITHOUT_TIMES = 2  # an event that only marks a place: CU_EVENT_DISABLE_TIMING


class Launch(NamedTuple):
    """A grid to run: a function, its blocks, the threads of each, and its three integers."""

    function: Any
    blocks: int
    threads: int
    arguments: tuple[int, int, int]


class Driver(Protocol):
    """A device with its memory, for arrays of one context.

    Everything is done in the order of one stream; only :meth:`read` and :meth:`wait` wait. What fails raises
    :class:`gradstep.errors.DeviceError`.
    """

    machine: Machine

    def place(self, x: Any) -> Place | None:
        """Return where an array lies; None where it is no plain array on a device."""
        ...

    def reader(self, values: Sequence[Any]) -> Reader | None:
        """Return a quicker way to the addresses of arrays like these than :meth:`place`, where there is one."""
        ...

    def stream(self, x: Any) -> int:
        """Return the current stream of the library that made an array."""
        ...

    def check_not_captured(self, stream: int) -> None:
        """Refuse a stream whose work is being recorded for a graph."""
        ...

    def load(self, assembly: str, names: Sequence[str]) -> dict[str, Any]:
        """Return the functions of an assembly text by name."""
        ...

    def allocate(self, nbytes: int) -> "Room":
        """Return memory of the device, all zeros."""
        ...

    def pinned(self, nbytes: int) -> "HostRoom":
        """Return memory of the host that copies can go to and from at any time."""
        ...

    def event(self) -> Any:
        """Return a mark to be set in a stream."""
        ...

    def record(self, event: Any, stream: int) -> None:
        """Set a mark behind all that was asked of a stream so far."""
        ...

    def wait_for(self, event: Any) -> None:
        """Wait until the device has come to a mark."""
        ...

    def write(self, address: int, source: NDArray[Any], stream: int) -> None:
        """Copy pinned memory to the device."""
        ...

    def read(self, sink: NDArray[Any], address: int, stream: int) -> None:
        """Copy from the device to pinned memory, and wait for it."""
        ...

    def wait(self, stream: int) -> None:
        """Wait for all that was asked of a stream."""
        ...

    def launch(self, launches: Sequence[Launch], done: list[Any], stream: int) -> None:
        """Run grids one after the other; ``done`` gets an item for each that is started.

        No signal handler runs before all of them are.
        """
        ...


class Room(Protocol):
    """Memory, for as long as this object lives."""

    address: int


class HostRoom(Room, Protocol):
    """Memory of the host, with all of it as an array of bytes."""

    array: NDArray[np.uint8]


class _Room:
    """Memory that a driver has given."""

    def __init__(self, free: Callable[[int], None], address: int, nbytes: int, *, is_host: bool) -> None:
        self.free, self.address = free, address
        if is_host:
            bytes_: Any = (ctypes.c_uint8 * max(1, nbytes)).from_address(address)
            self.array = np.frombuffer(bytes_, np.uint8)[:nbytes]

    def __del__(self) -> None:
        with suppress(Exception):  # a context that is lost has nothing to give back, and a process that ends no driver
            self.free(self.address)


def nvidia(x: Any) -> "NvidiaDriver":
    """Return the driver for the context in which an array lies.

    Raises
    ------
    DeviceError
        Where there is no driver, or it does not work.
    """
    bindings, why = available()
    if bindings is None:
        raise DeviceError(f"{why}; nothing was changed.")
    place = arrays.place(x)
    assert place is not None  # noqa: S101 - a plain array on a device
    context = _answer(bindings, bindings.cuPointerGetAttribute(_context_of(bindings), place.address), "find a context")
    return _driver(int(context), place.device)


@cache
def _driver(context: int, device: int) -> "NvidiaDriver":
    bindings, _ = available()
    return NvidiaDriver(bindings, context, device)


@cache
def available() -> tuple[Any, str]:
    """Return NVIDIA's bindings to the driver and ``""``, or None and the reason why this machine has none."""
    try:
        driver: Any = import_module("cuda.bindings.driver")  # of the extra [cuda]; it has no types
    except ImportError:
        return None, "cuda-bindings is not installed; pip install 'gradstep[cuda]'"
    if not ptx.is_available():
        return None, "this llvmlite can write no PTX; take the wheel from PyPI"
    try:
        answer = driver.cuInit(0)
    except RuntimeError:  # its words for a library that is not there
        return None, "this machine has no driver of NVIDIA's"
    if int(answer[0]):
        return None, f"the driver does not start: {_name(driver, answer[0])}"
    return driver, ""


class NvidiaDriver:
    """NVIDIA's driver in one context: that of whoever made the arrays."""

    machine = NVPTX

    def __init__(self, bindings: Any, context: int, device: int) -> None:
        self.bindings, self.device = bindings, device
        self._context = bindings.CUcontext(context)
        self._launch = bindings.cuLaunchKernel
        self._modules: dict[str, Any] = {}
        self._lock = threading.Lock()

    def place(self, x: Any) -> Place | None:
        """Return where an array lies; None where it is no plain array on this device."""
        found = arrays.place(x)
        return found if found is not None and found.device == self.device else None

    def reader(self, values: Sequence[Any]) -> Reader | None:
        """Return a quicker way to the addresses of arrays like these than :meth:`place`, where there is one."""
        return arrays.reader(values)

    def stream(self, x: Any) -> int:
        """Return the current stream of the library that made an array."""
        return arrays.stream(x)

    def check_not_captured(self, stream: int) -> None:
        """Refuse a stream whose work is being recorded for a graph."""
        status = self._ask("cuStreamIsCapturing", "look at the stream", stream)
        if int(status):
            raise DeviceError(
                "a step can't be recorded in a CUDA graph, for its numbers depend on t, which the host counts; record "
                "the gradients alone, and step after each replay. Nothing was changed."
            )

    def load(self, assembly: str, names: Sequence[str]) -> dict[str, Any]:
        """Return the functions of an assembly text by name; a text is loaded once."""
        with self._lock:
            module = self._modules.get(assembly)
            if module is None:
                text = ptx.of(assembly).encode() + b"\0"
                module = self._modules[assembly] = self._ask("cuModuleLoadData", "load a kernel", text)
        return {name: self._ask("cuModuleGetFunction", "load a kernel", module, name.encode()) for name in names}

    def allocate(self, nbytes: int) -> Room:
        """Return memory of the device, all zeros."""
        what = f"find {nbytes} bytes of memory"
        address = int(self._ask("cuMemAlloc", what, max(1, nbytes)))
        room = _Room(lambda x: self._ask("cuMemFree", "free memory", x), address, nbytes, is_host=False)
        self._ask("cuMemsetD8", what, address, 0, max(1, nbytes))
        self.wait(0)  # its own stream, which others do not wait for
        return room

    def pinned(self, nbytes: int) -> HostRoom:
        """Return memory of the host that copies can go to and from at any time."""
        address = int(self._ask("cuMemAllocHost", f"find {nbytes} bytes of the host's memory", max(1, nbytes)))
        return _Room(lambda x: self._ask("cuMemFreeHost", "free memory", x), address, nbytes, is_host=True)

    def event(self) -> Any:
        """Return a mark to be set in a stream."""
        return self._ask("cuEventCreate", "make an event", _WITHOUT_TIMES)

    def record(self, event: Any, stream: int) -> None:
        """Set a mark behind all that was asked of a stream so far."""
        self._ask("cuEventRecord", "record an event", event, stream)

    def wait_for(self, event: Any) -> None:
        """Wait until the device has come to a mark."""
        self._ask("cuEventSynchronize", "finish its work", event)

    def write(self, address: int, source: NDArray[Any], stream: int) -> None:
        """Copy pinned memory to the device."""
        self._ask("cuMemcpyHtoDAsync", "copy to the device", address, source.ctypes.data, source.nbytes, stream)

    def read(self, sink: NDArray[Any], address: int, stream: int) -> None:
        """Copy from the device to pinned memory, and wait for it."""
        self._ask("cuMemcpyDtoHAsync", "copy from the device", sink.ctypes.data, address, sink.nbytes, stream)
        self.wait(stream)

    def wait(self, stream: int) -> None:
        """Wait for all that was asked of a stream."""
        self._ask("cuStreamSynchronize", "finish its work", stream)

    def launch(self, launches: Sequence[Launch], done: list[Any], stream: int) -> None:
        """Run grids one after the other; ``done`` gets an item for each that is started."""
        kinds = (ctypes.c_int64,) * 3
        calls = [(x.function, x.blocks, 1, 1, x.threads, 1, 1, 0, stream, (x.arguments, kinds), 0) for x in launches]
        with self._current():
            done.extend(starmap(self._launch, calls))  # one call of C code, in which no signal handler runs
        for k, answer in enumerate(done):
            if int(answer[0]):
                del done[k:]
                _answer(self.bindings, answer, "start a kernel")

    def _ask(self, name: str, what: str, *arguments: Any) -> Any:
        with self._current():
            answer = getattr(self.bindings, name)(*arguments)
        return _answer(self.bindings, answer, what)

    @contextmanager
    def _current(self) -> Generator[None]:
        """The context is that of this thread."""
        _answer(self.bindings, self.bindings.cuCtxPushCurrent(self._context), "enter the context of the arrays")
        try:
            yield
        finally:
            self.bindings.cuCtxPopCurrent()


def _context_of(bindings: Any) -> Any:
    return bindings.CUpointer_attribute.CU_POINTER_ATTRIBUTE_CONTEXT


def _answer(bindings: Any, answer: tuple[Any, ...], what: str) -> Any:
    """Return what a call gave, or raise the error that it tells."""
    error, *values = answer
    if int(error):
        raise DeviceError(f"the device could not {what}: {_name(bindings, error)}.")
    return values[0] if values else None


def _name(bindings: Any, error: Any) -> str:
    """Return an error's name, and what it means."""
    words = [bindings.cuGetErrorName(error)[-1], bindings.cuGetErrorString(error)[-1]]
    return " ".join(x.decode() if isinstance(x, bytes) else str(x) for x in words)
