"""Arrays as they come: any dtype, layout, byte order and bits, drawn by Hypothesis."""

import numpy as np
from hypothesis import strategies as st

try:
    from ml_dtypes import bfloat16
except ImportError:
    bfloat16 = None

FLOATS = ["f2", "f4", "f8", "c8", "c16", *([bfloat16] if bfloat16 else [])]
DTYPES = [*FLOATS, "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]
LAYOUTS = ("C", "F", "strided", "negative", "transposed", "offset", "big-endian", "read-only", "memory-mapped", "inner")


@st.composite
def arrays(draw, dtypes=tuple(DTYPES), layouts=LAYOUTS, finite=False, folder=None):
    """An array and the name of its layout; any bits at all (NaNs with any payload) unless they should be finite."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    layout = draw(st.sampled_from(layouts))
    n = int(np.prod(shape))
    if finite:
        values = draw(st.lists(st.integers(-50, 50), min_size=n, max_size=n))
        x = (np.array(values, "f8") / 4).astype(dtype).reshape(shape)
    elif dtype.kind == "b":
        x = (np.frombuffer(draw(st.binary(min_size=n, max_size=n)), "u1") % 2 == 1).reshape(shape)
    else:
        raw = draw(st.binary(min_size=n * dtype.itemsize, max_size=n * dtype.itemsize))
        x = np.frombuffer(raw, np.uint8).copy().view(dtype).reshape(shape)
    return laid_out(x, layout, folder), layout


def laid_out(x, layout, folder=None):
    """The same bits in another layout."""
    if layout == "C" or (layout == "memory-mapped" and not x.size):
        return x.copy()
    if layout == "F":
        return np.asarray(x, order="F").copy("F")
    if layout == "big-endian":
        return swapped(x)
    if layout == "read-only":
        out = x.copy()
        out.flags.writeable = False
        return out
    if layout == "memory-mapped":
        words = np.memmap(folder / "mapped", np.uint8, "w+", shape=(x.nbytes,))
        words[:] = np.frombuffer(x.tobytes(), np.uint8)
        return words.view(x.dtype).reshape(x.shape)
    if layout == "transposed":
        out = np.empty(x.shape[::-1], x.dtype).T
    elif layout == "offset":
        out = np.empty(x.size + 1, x.dtype)[1:].reshape(x.shape)
    elif layout == "inner":
        out = np.empty((*x.shape, 2), x.dtype)[..., 1]
    else:
        step = 2 if layout == "strided" else -1
        out = np.empty(tuple(n * abs(step) for n in x.shape), x.dtype)[(..., *[slice(None, None, step)] * x.ndim)]
    out[...] = x
    return out


def swapped(x):
    """The same values in the other byte order; bits are moved as integers, so that none can change."""
    if x.dtype.itemsize == 1 or x.dtype.name == "bfloat16":
        return x.copy()
    return x.byteswap().view(x.dtype.newbyteorder())


def words(x):
    """Dtype, byte order, shape and every bit of an array."""
    return x.dtype.name, x.dtype.newbyteorder("=") == x.dtype, x.shape, raw(x)


def raw(x):
    """All bits in C order, element by element, with no help from NumPy's casts."""
    return b"".join(x[place].tobytes() for place in np.ndindex(x.shape))
