"""Memory of a tensor of torch that lies in this process: all of it, or of a DTensor the shard."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from gradstep.array.storage import FORMATS
from gradstep.errors import GradstepTypeError, GradstepValueError

torch: Any = import_module("torch")  # type checkers would take this package for it


def is_ready(x: Any) -> bool:
    """Return True where a parameter has numbers: it is no lazy one, and not on the meta device."""
    return not torch.nn.parameter.is_lazy(x) and x.device.type != "meta"


def is_dtensor(x: Any) -> bool:
    """Return True for a DTensor, of which a process has a shard."""
    return not _is_plain(x) and hasattr(x, "to_local")


def is_whole(x: Any) -> bool:
    """Return True where this process has all of a tensor."""
    if not is_dtensor(x):
        return True
    return all(n == 1 or how.is_replicate() for n, how in zip(x.device_mesh.shape, x.placements, strict=True))


def local(x: Any) -> Any:
    """Return what this process has of a tensor, as a tensor that shares its memory."""
    if not is_dtensor(x):
        return x
    with torch.no_grad():
        return x.to_local()


def local_gradient(name: str, g: Any, x: Any) -> Any:
    """Return what this process has of a gradient, placed as the parameter is: a collective where it is not.

    Raises
    ------
    GradstepTypeError
        When one of both is a DTensor and the other is none.
    """
    if is_dtensor(g) is not is_dtensor(x):
        kinds = ["a plain tensor", "a DTensor"]
        raise GradstepTypeError(
            f"gradient {name!r} is {kinds[is_dtensor(g)]}, and the parameter {kinds[is_dtensor(x)]}; "
            f"make the one what the other is."
        )
    if is_dtensor(g) and g.placements != x.placements:
        g = g.redistribute(x.device_mesh, x.placements)
    return local(g)


def spread(y: Any, x: Any) -> Any:
    """Return a local tensor in the form of the parameter ``x``: as a DTensor that shares its memory where it is one."""
    if not is_dtensor(x):
        return y
    made = import_module("torch.distributed.tensor").DTensor.from_local
    return made(y, x.device_mesh, x.placements, run_check=False, shape=x.shape, stride=x.stride())


def check_parameter(name: str, x: Any) -> None:
    """Refuse a parameter whose memory cannot be had.

    Raises
    ------
    GradstepTypeError
        For other tensor subclasses than DTensor.
    GradstepValueError
        For a sparse one, and for a DTensor whose numbers are sums that are not made yet.
    """
    if x.layout is not torch.strided:
        raise GradstepValueError(f"parameter {name!r} is sparse ({x.layout}); its gradient may be, not it itself.")
    if is_dtensor(x):
        if any(how.is_partial() for how in x.placements):
            raise GradstepValueError(
                f"parameter {name!r} is a DTensor of partial sums, {x.placements}; redistribute it."
            )
    elif not _is_plain(x):
        raise GradstepTypeError(
            f"parameter {name!r} is a {type(x).__name__}, a tensor subclass whose memory is not known here; "
            f"parameters are plain tensors or DTensors."
        )


def in_numpy(x: Any) -> bool:
    """Return True where NumPy can share a tensor's memory: then the compiled engine runs on it."""
    is_known = x.dtype != torch.bfloat16 or find_spec("ml_dtypes") is not None
    return x.device.type == "cpu" and is_known and not x.is_conj() and not x.is_neg()


def on_cuda(x: Any) -> bool:
    """Return True where a tensor lies on a CUDA device."""
    return x.device.type == "cuda"


def as_array(x: Any) -> Any:
    """Return the array that shares a tensor's memory; torch itself hides that of bfloat16."""
    return x.view(torch.int16).numpy().view(FORMATS["bfloat16"].dtype) if x.dtype == torch.bfloat16 else x.numpy()


def as_tensor(x: Any) -> Any:
    """Return the tensor that shares an array's memory."""
    return torch.from_numpy(x) if isinstance(x, np.ndarray) else x


def _is_plain(x: Any) -> bool:
    """Return True for a tensor whose class does not stand between torch's operations and the memory."""
    return type(x).__torch_dispatch__ is torch.Tensor.__torch_dispatch__
