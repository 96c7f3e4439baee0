"""Questions to an array's namespace: dtypes that it can compute in, complex numbers as pairs of reals."""

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from typing import Any

import array_api_compat
import numpy as np

from gradstep.errors import GradstepTypeError
from gradstep.naming import as_float, is_real

_REAL = {
    "float16": "float32",  # stored in 16 bits, computed in 32
    "bfloat16": "float32",
    "float32": "float32",
    "float64": "float64",
    "complex64": "float32",
    "complex128": "float64",
}
_PIECE = 1 << 16  # elements: large enough to be quick, small enough for a cache


def namespace(*arrays: Any) -> Any:
    """The array-API namespace of arrays; NumPy's own, since its wrapper would import all that NumPy loads lazily."""
    if all(isinstance(x, np.ndarray | np.generic) for x in arrays):
        return np
    return array_api_compat.array_namespace(*arrays)


def dtype_name(x: Any) -> str:
    """``float32`` for that dtype in any namespace and byte order."""
    dtype = x.dtype
    return _numpy_name(dtype) if isinstance(dtype, np.dtype) else str(dtype).rpartition(".")[2]


@lru_cache(maxsize=256)
def _numpy_name(dtype: np.dtype[Any]) -> str:
    return dtype.name  # NumPy computes the name anew each time


def compute_dtype(x: Any, name: str) -> str:
    """The real dtype in which the parameter ``name`` is updated.

    Raises
    ------
    GradstepTypeError
        For dtypes that no rule computes in.
    """
    real = _REAL.get(dtype_name(x))
    if real is None:
        raise GradstepTypeError(
            f"parameter {name!r} has dtype {dtype_name(x)}; optimizers need float16, bfloat16, float32, float64, "
            f"complex64 or complex128; convert it, for example with x.astype(float)."
        )
    return real


def is_complex(x: Any) -> bool:
    """Return True for an array of complex numbers."""
    return dtype_name(x).startswith("complex")


def is_masked(x: Any) -> bool:
    """Return True for one of NumPy's masked arrays; a plain one is not asked, for that would load :mod:`numpy.ma`."""
    return type(x) is not np.ndarray and isinstance(x, np.ndarray) and isinstance(x, np.ma.MaskedArray)


def refuse_masked(what: str, x: Any) -> None:
    """Refuse one of NumPy's masked arrays, whose mask would be lost; ``what`` names it in the error.

    Raises
    ------
    GradstepTypeError
        For a masked array.
    """
    if is_masked(x):
        raise GradstepTypeError(f"{what} is a masked array; fill it first.")


def is_low(x: Any) -> bool:
    """Return True for an array of 16-bit floats."""
    return dtype_name(x) in ("float16", "bfloat16")


def as_reals(x: Any) -> Any:
    """An array's numbers as they are computed with: real, of at least 32 bits.

    A complex array becomes one of its real and imaginary parts, one axis longer: every rule is elementwise on the
    parts, torch's convention for complex parameters.
    """
    if is_low(x):
        xp = namespace(x)
        return x.astype(np.float32) if xp is np else xp.astype(x, xp.float32)
    if not is_complex(x):
        return x
    if array_api_compat.is_numpy_array(x):
        x = np.asarray(x)
        return np.stack([x.real, x.imag], axis=-1)
    xp = namespace(x)
    return xp.stack([xp.real(x), xp.imag(x)], axis=-1)


def pieces(x: Any) -> Iterator[Any]:
    """Yield an array's elements in C order, a part of them at a time, so that what is made of a part stays small.

    Namespaces whose slices are copies, such as JAX, give the whole array at once.
    """
    if not (isinstance(x, np.ndarray) or array_api_compat.is_torch_array(x)):
        yield x
        return
    flat = x.reshape(-1)
    for begin in range(0, flat.shape[0], _PIECE):
        yield flat[begin : begin + _PIECE]


def as_complex(pairs: Any, like: Any) -> Any:
    """Return pairs of reals as complex numbers where ``like`` is complex; else as they are."""
    if not is_complex(like):
        return pairs
    if array_api_compat.is_jax_array(like):
        from jax.lax import complex as join  # pyright: ignore[reportMissingImports]  # jax is there when its arrays are

        return join(pairs[..., 0], pairs[..., 1])
    if array_api_compat.is_torch_array(like):
        import torch  # pyright: ignore[reportMissingImports]  # torch is there when its arrays are

        return torch.view_as_complex(pairs.contiguous())
    if array_api_compat.is_numpy_array(like):
        out = np.empty(pairs.shape[:-1], like.dtype)
        out.real, out.imag = pairs[..., 0], pairs[..., 1]
        return out
    # Elsewhere this is all there is: multiplying by 1j makes NaN of an infinite part and loses signs of zeros.
    return pairs[..., 0] + 1j * pairs[..., 1]


def as_stored(reals: Any, like: Any) -> Any:
    """The inverse of :func:`as_reals` for an array that was like ``like``: 16 bits are rounded to, half to even."""
    if not is_low(like):
        return as_complex(reals, like)
    xp = namespace(like)
    return reals.astype(like.dtype) if xp is np else xp.astype(reals, like.dtype)


def to_numpy(x: Any) -> np.ndarray:
    """The array on the host, as NumPy."""
    if array_api_compat.is_torch_array(x):
        x = x.detach().cpu()
        if dtype_name(x) == "bfloat16":  # torch refuses to hand it over
            from ml_dtypes import bfloat16  # pyright: ignore[reportMissingImports]
            from torch import uint16  # pyright: ignore[reportMissingImports]

            return x.view(uint16).numpy().view(bfloat16)
    elif array_api_compat.is_cupy_array(x):
        x = x.get()
    return np.asarray(x)


def put(x: Any, values: np.ndarray) -> None:
    """Write a NumPy array of the same shape and dtype into an array of any namespace that can be written to."""
    if isinstance(x, np.ndarray):
        x[...] = values
        return
    if array_api_compat.is_torch_array(x):
        import torch  # pyright: ignore[reportMissingImports]  # torch is there when its arrays are

        native = np.array(values, values.dtype.newbyteorder("="), order="C")
        low = dtype_name(x) == "bfloat16"
        tensor = torch.from_numpy(native.view(np.uint16)).view(torch.bfloat16) if low else torch.from_numpy(native)
        x.detach().copy_(tensor)
        return
    x[...] = namespace(x).asarray(values, device=array_api_compat.device(x))


def placed(values: np.ndarray, like: Any) -> Any:
    """Return a NumPy array's numbers in the namespace of ``like``, where that lies."""
    xp, device = namespace(like), array_api_compat.device(like)
    dtype = getattr(xp, _numpy_name(values.dtype))
    if values.size and not any(values.strides):  # one number, broadcast
        return xp.full(values.shape, float(values[(0,) * values.ndim]), dtype=dtype, device=device)
    out = xp.zeros(values.shape, dtype=dtype, device=device)
    put(out, values)
    return out


def is_bare(x: Any) -> bool:
    """Return True for memory of a CUDA device with no operations of ours around it, such as numba's arrays."""
    return hasattr(x, "__cuda_array_interface__") and not array_api_compat.is_array_api_obj(x)


def clothed(name: str, x: Any, like: Any = None) -> Any:
    """Return such memory as an array of CuPy or torch, of the one that ``like`` is of: nothing is copied.

    Raises
    ------
    GradstepTypeError
        Where neither package is installed.
    """
    if like is None or array_api_compat.is_cupy_array(like):
        with suppress(ImportError):
            return import_module("cupy").asarray(x)
    with suppress(ImportError):
        return import_module("torch").as_tensor(x, device="cuda" if like is None else like.device)
    raise GradstepTypeError(
        f"{name} is a {type(x).__name__} on a CUDA device, and neither CuPy nor torch is installed, of which one is "
        f"needed to hold the state."
    )


def copied(x: Any) -> Any:
    """A copy, in the same namespace and without a graph."""
    if array_api_compat.is_torch_array(x):
        return x.detach().clone()
    return namespace(x).asarray(x, copy=True)


def filled(x: Any, shape: tuple[int, ...], value: Any) -> Any:
    """An array of that shape, all of whose real numbers are ``value``: of the dtype in which ``x`` is computed.

    It lies where ``x`` lies. One of JAX's is bound to a device only where ``x`` is, for what is bound decides where a
    jit runs, and is traced anew when what it is computed with is not.
    """
    xp, dtype = namespace(x), x.dtype if is_complex(x) else getattr(namespace(x), compute_dtype(x, "x"))
    value = value + 1j * value if is_complex(x) else value
    if not array_api_compat.is_jax_array(x):
        return xp.full(shape, value, dtype=dtype, device=array_api_compat.device(x))
    if shape == x.shape:
        return xp.full_like(x, value, dtype=dtype)
    from jax.core import Tracer  # pyright: ignore[reportMissingImports]  # jax is there when its arrays are

    is_bound = not isinstance(x, Tracer) and x.committed
    return xp.full(shape, value, dtype=dtype, device=array_api_compat.device(x) if is_bound else None)


def duplicate(x: Any) -> Any:
    """Copy an array with all that a user relies on: a tensor that requires a gradient still does."""
    out = copied(x)
    return out.requires_grad_() if getattr(x, "requires_grad", False) is True else out


def largest(dtype: str) -> float:
    """The largest finite number of a real dtype."""
    return float(np.finfo(dtype).max)


def extremes(dtypes: set[str]) -> tuple[float, float]:
    """The smallest positive and the largest number of the narrowest of some real dtypes."""
    info = np.finfo("float32" if "float32" in dtypes else "float64")
    return float(info.smallest_normal) * float(info.eps), float(info.max)


def one_number(name: str, value: Any) -> float:
    """Return a real number, of Python or as an array without axes, as a float; ``name`` is its name in errors.

    Raises
    ------
    GradstepTypeError
        For anything else.
    """
    if getattr(value, "shape", None) == () and not is_complex(value):
        return float(to_numpy(value)[()])
    if is_real(value):
        return as_float(value)
    raise GradstepTypeError(f"{name} must be one number, not {value!r}.")
