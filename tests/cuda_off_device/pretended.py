"""CUDA devices pretended to torch: their tensors lie in this host's memory, where a stand-in's grids find them.

A tensor lies on a device where its storage does; what is computed from it, its gradient included, lies there as well.
As on a device, torch refuses to compute with tensors of several, or to hand one to NumPy.
"""

from types import SimpleNamespace

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree

from gradstep.engine.cuda import arrays

from .stand_in import StandIn

HOST = torch.device("cpu")
BETWEEN = ("copy_", "__setitem__", "_has_compatible_shallow_copy_type")  # what takes tensors of several devices


class OnDevice(StandIn):
    """A driver of one pretended device."""

    def __init__(self, device=0, **options):
        super().__init__(**options)
        self.device = device

    def place(self, x):
        found = arrays.place(x)
        return found if found is not None and found.device == self.device else None

    def reader(self, values):
        return arrays.reader(values)

    def stream(self, x):
        return arrays.stream(x)


class Pretended(TorchFunctionMode):
    """Torch has two CUDA devices while this is entered.

    Attributes
    ----------
    drivers
        Of each device.
    streams
        The number of each device's current stream.
    """

    def __init__(self, monkeypatch):
        super().__init__()
        self.drivers, self.streams = [OnDevice(0), OnDevice(1)], [7, 8]
        self.known = {}  # the storages of devices by their identity; they are kept, so that no other gets it
        monkeypatch.setattr("gradstep.engine.cuda.driver.available", lambda: (object(), ""))
        monkeypatch.setattr("gradstep.engine.cuda.driver.nvidia", lambda x: self.drivers[arrays.place(x).device])
        monkeypatch.setattr("torch.cuda.is_available", lambda: True)
        monkeypatch.setattr("torch.cuda.current_stream", self._stream)

    def launched(self, device=0):
        """The launches of a device since this was last asked."""
        calls = self.drivers[device].calls
        found = [x for x in calls if x[0] == "launch"]
        calls.clear()
        return found

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        of = getattr(getattr(func, "__self__", None), "__name__", "")  # the attribute that is read or set
        x = args[0] if args else None
        if name == "__get__" and of in ("device", "is_cuda"):
            device = self._device(x)
            return device if of == "device" else device.type == "cuda"
        if name == "as_tensor" and isinstance(x, Bare):  # which torch looks at where it has CUDA
            return self._placed(torch.from_numpy(x.x), _device(kwargs["device"]))
        if name in ("to", "cpu", "cuda") and isinstance(x, torch.Tensor):
            return self._moved(name, x, args[1:], kwargs)
        found = [y for y in _pytree.tree_leaves((args, kwargs)) if isinstance(y, torch.Tensor)]
        devices = {self._device(y) for y in found if y.ndim} or {self._device(y) for y in found}
        if name in ("numpy", "__array__") and devices - {HOST}:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        if len(devices) > 1 and name not in BETWEEN and of != "data":
            raise RuntimeError(f"Expected all tensors to be on the same device, but found {devices} in {name}.")
        device = self._device(x) if name in BETWEEN else next(iter(devices), HOST)
        if kwargs.get("device") is not None and name != "_parse_to":  # which only reads what a module is asked for
            device, kwargs["device"] = _device(kwargs["device"]), HOST
        return self._placed(func(*args, **kwargs), device)

    def _placed(self, made, device):
        for y in _pytree.tree_leaves(made) if device != HOST else ():
            if isinstance(y, torch.Tensor):
                storage = _storage(y)
                self.known.setdefault(storage._cdata, (storage, device))
        return made

    def _device(self, x):
        return self.known.get(_storage(x)._cdata, (None, HOST))[1]

    def _moved(self, name, x, args, kwargs):
        named = [y for y in (*args, *kwargs.values()) if isinstance(y, torch.device | str | torch.Tensor)]
        device = {"cpu": HOST, "cuda": _device("cuda")}.get(name) or self._device(x)
        for y in named:
            device = self._device(y) if isinstance(y, torch.Tensor) else _device(y)
        dtypes = [y.dtype for y in named if isinstance(y, torch.Tensor)]
        dtypes += [y for y in (*args, *kwargs.values()) if isinstance(y, torch.dtype)]
        y = x.to(dtypes[0]) if dtypes else x
        if device != self._device(x) or kwargs.get("copy"):
            y = y.clone()
        return self._placed(y, device)

    def _stream(self, device):
        return SimpleNamespace(cuda_stream=self.streams[device.index])


def _device(what):
    device = torch.device(what)
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def _storage(x):
    x = x.detach()
    return (x if x.layout is torch.strided else x._values()).untyped_storage()


class Bare:
    """Memory with the interface of arrays on a device and nothing else, as numba's: a NumPy array's."""

    def __init__(self, x):
        self.x = x

    @property
    def __cuda_array_interface__(self):
        found = self.x.__array_interface__
        return {**{key: found[key] for key in ("shape", "typestr", "data", "strides")}, "version": 3, "stream": None}
