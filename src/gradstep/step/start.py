"""Parameters and state before the first step."""

from collections.abc import Mapping, Sequence
from typing import Any

import array_api_compat
import numpy as np

from gradstep.array.memory import packed
from gradstep.array.namespaces import (
    as_complex,
    as_reals,
    compute_dtype,
    copied,
    filled,
    is_complex,
    is_masked,
    largest,
    placed,
    to_numpy,
)
from gradstep.engine.eager import within
from gradstep.engine.tensor import Tensor, check_alike
from gradstep.errors import GradstepTypeError, NonFiniteError
from gradstep.form.chain import Program
from gradstep.form.matrices import Identity
from gradstep.step.precision import Precision, stored_start


def check_parameters(names: Sequence[str], leaves: Sequence[Any]) -> None:
    """Refuse parameters that cannot be optimized: by dtype, masked, or not finite."""
    for name, x in zip(names, leaves, strict=True):
        limit = largest(compute_dtype(x, name))
        if is_masked(x):
            raise GradstepTypeError(f"parameter {name!r} is a masked array; optimize its data, or freeze it.")
        if not within(x, limit):
            raise NonFiniteError(f"parameter {name!r} has an element that is not finite; start from finite numbers.")


def start_slots(
    program: Program, name: str, x: Any, values: Mapping[str, float], *, for_copies: bool = False
) -> dict[str, Any]:
    """Return a parameter's state before the first update: contiguous, in native order, of its dtype.

    It has the parameter's shape too, but where a rule of whole arrays declares another.

    Parameters
    ----------
    name, x
        The parameter.
    values
        The hyperparameters by flat name: a slot may start at one.
    for_copies
        Whether NumPy's are there to be copied alone: then a number takes no memory, and ``"theta"`` is ``x``.
    """
    is_light = for_copies and isinstance(x, np.ndarray)
    program.check_shape(name, x)
    out: dict[str, Any] = {}
    for i, keys in enumerate(program.slots):
        for j, key in enumerate(keys):
            shape = program.shape(key, x.shape)
            how = program.start(i, j, values)
            if how == "theta":
                start = as_reals(x if is_light else copied(x))
            elif callable(how):
                pairs = as_reals(copied(x))
                start = how(pairs, **{k: values[flat] for k, flat in program.keys[i].items()})
                check_alike(f"start of {key} for {name!r}", start, pairs)
                start = copied(start)
            elif isinstance(how, Identity):
                out[key] = _native(how.added_to(filled(x, shape, 0.0)))
                continue
            elif is_light:
                pair = as_complex(np.full(2 if is_complex(x) else (), how, compute_dtype(x, name)), x)
                out[key] = np.broadcast_to(pair.astype(pair.dtype.newbyteorder("=")), shape)
                continue
            else:
                out[key] = _native(filled(x, shape, how))
                continue
            out[key] = _native(as_complex(start, x))
    return out


def stored_slots(
    program: Program, precision: Precision, name: str, x: Any, values: Mapping[str, float]
) -> dict[str, Any]:
    """Return :func:`start_slots` as ``precision`` stores them; those of NumPy's lie in one piece of memory."""
    host = x if precision.is_default or isinstance(x, np.ndarray) else to_numpy(x)  # where numbers are encoded
    out = start_slots(program, name, host, values, for_copies=True)
    if not precision.is_default:
        out = stored_start(precision.layout(x, name, program), host, out)
    if host is not x:
        return {key: placed(y, x) for key, y in out.items()}
    if all(isinstance(y, np.ndarray) for y in out.values()):
        out = dict(zip(out, packed(list(out.values())), strict=True))
    return out


def tensor(program: Program, precision: Precision, name: str, x: Any, own: Mapping[str, Any], row: int) -> Tensor:
    """Return a parameter with its state ``own`` as engines take it; ``row`` is that of its scalars."""
    slots = tuple(tuple(own[key] for key in keys) for keys in program.slots)
    if precision.is_default:
        return Tensor(name, x, slots, row)
    scales = [own[f"{key}.scale"] for keys in program.slots for key in keys if f"{key}.scale" in own]
    return Tensor(name, x, slots, row, precision.layout(x, name, program), tuple(scales), own.get("master"))


def _native(x: Any) -> Any:
    if array_api_compat.is_numpy_array(x):
        x = np.asarray(x)
        return np.ascontiguousarray(x, x.dtype.newbyteorder("=")).reshape(x.shape)
    return x
