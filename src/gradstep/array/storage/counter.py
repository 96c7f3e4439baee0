"""Random bits from a counter: the same for the same seed, update, tensor and element, however the work is cut up.

A key of 64 bits is made for each tensor (by its name) and update by splitmix64, a published generator. Element i then
has the 32 bits that a hash of i and the key gives. Two multiplications mix well enough only because the counter goes in
strides of STRIDE, which costs nothing where sixteen elements are done at once; with strides of one, pairs of bits are
related.
"""

import numpy as np
from numpy.typing import NDArray

_64 = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15  # the golden ratio's fraction, made odd: the stride of splitmix64
SPLITMIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
STRIDE = 0x9E3779B9  # the same for 32 bits
ROUNDS = ((16, 0x21F0AAAD), (15, 0x735A2D97))  # with a last shift by 15: a published 32-bit hash
LAST = 15


def step_key(seed: int, t: int) -> int:
    """The key of update ``t`` under a seed: any integers, taken modulo 2**64."""
    return _splitmix(_splitmix(seed, 0), t)


def tensor_number(name: str) -> int:
    """The number by which a tensor of that name has bits of its own, whatever stands beside it: below 2**48."""
    from hashlib import sha256  # imported here: it is slow, and few arrays have random bits

    return int.from_bytes(sha256(name.encode("utf-8", "surrogatepass")).digest()[:6], "little")


def tensor_key(step: int, tensor: int, use: int = 0) -> int:
    """The key of a tensor's draw number ``use``, below 256, in the update whose key is ``step``."""
    return _splitmix(step, tensor << 8 | use)


def draws(key: int, n: int, start: int = 0) -> NDArray[np.uint32]:
    """The random bits of the elements ``start`` to ``start + n - 1``, shape (n,), 32 for each."""
    i = np.arange(start, start + n, dtype=np.uint64)
    keys = np.uint64(key) + (i >> np.uint64(32)) * np.uint64(GAMMA)
    x = i.astype(np.uint32) * np.uint32(STRIDE)
    for part, (shift, factor) in zip((keys, keys >> np.uint64(32)), ROUNDS, strict=True):
        x = x + part.astype(np.uint32)
        x = (x ^ x >> np.uint32(shift)) * np.uint32(factor)
    return x ^ x >> np.uint32(LAST)


def low(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The noise, 0 to 65535, in the low half of each draw."""
    return bits & np.uint32(0xFFFF)


def high(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The noise, 0 to 65535, in the high half of each draw."""
    return bits >> np.uint32(16)


def _splitmix(state: int, n: int) -> int:
    """Number ``n`` of the generator that starts at ``state``."""
    z = state + (n + 1) * GAMMA & _64
    for shift, factor in SPLITMIX:
        z = (z ^ z >> shift) * factor & _64
    return z
