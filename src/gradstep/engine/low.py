"""Tensors that are stored in fewer bits than they are computed in, for the eager engine: the reference, on NumPy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.array.namespaces import as_reals
from gradstep.array.storage import BLOCKS, FORMATS, draws, high, low, tensor_key
from gradstep.engine.tensor import Tensor


def loaded(tensor: Tensor) -> tuple[Any, list[Any]]:
    """Theta and all slots as float32 arrays."""
    theta = as_reals(tensor.value) if tensor.master is None else _followed(tensor)
    scales = iter(tensor.scales)
    slots: list[Any] = []
    for x, name in zip(tensor.flat, tensor.storage.slots, strict=True):
        if name is None:
            slots.append(x)
        else:
            stored = (x.reshape(-1), next(scales)) if name in BLOCKS else (x.reshape(-1),)
            slots.append(FORMATS[name].decode(stored).reshape(x.shape))
    return theta, slots


def _followed(tensor: Tensor) -> NDArray[np.float32]:
    """The master copies; a number of the parameter that is not its copy rounded, for it was set, stands for itself."""
    form, x, master = FORMATS[tensor.storage.dtype], np.ravel(np.asarray(tensor.value)), np.ravel(tensor.master)
    x = x.astype(x.dtype.newbyteorder("="))
    (codes,) = form.encode(master)
    theta = np.where(codes.view(np.uint16) == x.view(np.uint16), master, form.decode((x,)))
    return theta.reshape(tensor.value.shape)


def kept(tensor: Tensor, theta: Any, value: Any) -> Any:
    """Return what the next step reads where ``theta`` was stored as ``value``: theta itself, of a master copy too."""
    layout = tensor.storage
    if tensor.master is not None or layout.dtype not in FORMATS:
        return theta
    return FORMATS[layout.dtype].decode((np.ravel(value),)).reshape(tensor.value.shape)


def stored(tensor: Tensor, theta: Any, slots: Sequence[Any], step: int) -> list[tuple[Any, Any]]:
    """Each array of the tensor, and what it becomes; ``step`` is the update's key."""
    layout = tensor.storage
    n = tensor.value.size
    bits = [draws(tensor_key(step, tensor.number, use), n) for use in range(layout.draws)]
    noise = [None if at is None else (low, high)[at[1]](bits[at[0]]) for at in layout.noise]
    out: list[tuple[Any, Any]] = []
    if layout.dtype in FORMATS:
        (value,) = FORMATS[layout.dtype].encode(np.ravel(theta), noise[0])
        out.append((tensor.value, value.reshape(tensor.value.shape)))
    else:
        out.append((tensor.value, np.array(theta)))  # a rule may return an argument itself
    if tensor.master is not None:
        out.append((tensor.master, np.array(theta)))
    scales = iter(tensor.scales)
    for x, name, values, random in zip(tensor.flat, layout.slots, slots, noise[1:], strict=True):
        if name is None:
            out.append((x, np.array(values)))
            continue
        codes, *scale = FORMATS[name].encode(np.ravel(values), random)
        out.append((x, codes.reshape(x.shape)))
        out += [(next(scales), y) for y in scale]
    return out
