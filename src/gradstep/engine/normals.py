"""Standard normal numbers for rules that draw them: a function of seed, update, name, stage and place in the array.

The random bits are those of :mod:`gradstep.array.storage`, under keys that rounding does not use; the compiled engine
makes the same numbers in its kernels. They have 23 random bits, and are 5.3 at most.
"""

from typing import Any

import array_api_compat
import numpy as np

from gradstep.array.namespaces import as_reals, namespace
from gradstep.array.storage import draws, tensor_key
from gradstep.engine.tensor import Tensor
from gradstep.form.chain import Normal
from gradstep.form.vocabulary import normal_number

LOST = 9  # of 32 random bits; the rest, and a half, is exact in float32
SHARE = 2.0**-23
BLOCK = 1 << 14  # numbers that are made at once: each takes a dozen arrays for a while


def use(place: int) -> int:
    """Return the number of the draw of the stage at a place of its chain: rounding counts from 0 up, this down."""
    return 255 - place


def normals(tensor: Tensor, step: int) -> Normal:
    """Return what gives the numbers that the stage at a place draws for a tensor, in the update whose key is ``step``.

    They have the shape, namespace and computing dtype of its real numbers.
    """

    def normal(place: int) -> Any:
        like = as_reals(tensor.value)
        key, z = tensor_key(step, tensor.number, use(place)), np.empty(int(np.prod(like.shape)), tensor.dtype)
        for start in range(0, z.size, BLOCK):
            part = z[start : start + BLOCK]
            bits = draws(key, part.size, start) >> np.uint32(LOST)
            with np.errstate(all="ignore"):  # where() leaves branches out
                part[:] = normal_number((bits.astype(z.dtype) + 0.5) * SHARE)
        z = z.reshape(like.shape)
        xp = namespace(like)
        if xp is np:
            return z
        return xp.asarray(z, device=None if array_api_compat.is_jax_array(like) else array_api_compat.device(like))

    return normal
