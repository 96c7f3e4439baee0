"""Eight bits a number, and a power of two for each block of 256: state in a quarter of the memory.

The code c of a block with the scale s stands for

    s * (2 ** (c // 8) * (1 + c % 8 / 8) - 1)

which is 0 for c = 0, then nine numbers evenly apart by s / 8, then ever wider steps of at most an eighth of a number.
The sum of a number and s is a float whose upper bits are the code: this is the whole of encoding, and nothing in it is
a denormal float, so a CPU that flushes those gives the same bits. Signed numbers have c in 0 to 127 and a sign bit,
squares and sizes have c in 0 to 255. s is such that the block's largest number has a code near the end: 2 ** (e - 14),
for squares 2 ** (e - 30), where that number is in [2 ** e, 2 ** (e + 1)), but no less than 2 ** -100.

Rounded at random, |error| < (|x| + s) / 8 and the mean error is zero, for squares and sizes down to s / 8. One of those
between 0 and s / 8 becomes s / 8: one that vanished would make a step without bound. Zeros stay zeros, of either sign.
Sizes are what signed numbers are divided by, without a root. Their s is 2 ** (e - 11): the smallest size is the scale
of signed numbers as large, and above that a signed number is rounded by less than an eighth of itself.
A block with a number that is not finite, or is 2 ** 127 or more, has the scale NaN, the codes 0, and decodes to NaN.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradstep.array.storage.format import INFINITY, MAGNITUDE, Format, Stored, Values, Words, pattern

BLOCK = 256
LOST = 20  # bits of a float32's mantissa that are rounded away: three stay
SMALLEST = 27 << 23  # 2 ** -100: denormal numbers vanish beside it
TOO_LARGE = 254 << 23  # 2 ** 127: beside it a code might stand for infinity
NAN = 0x7FC00000
DEPTHS = {"signed8": 14, "squares8": 30, "sizes8": 11}  # binary orders from the scale to the largest number


class Blocks(Format):
    """Eight bits for a number.

    Parameters
    ----------
    name
        ``"signed8"``, ``"squares8"`` or ``"sizes8"``; of the latter two, which are never negative, a sign is dropped.
    """

    bits = 8
    block: ClassVar[int] = BLOCK

    def __init__(self, name: str) -> None:
        self.name, self.signed = name, name == "signed8"
        self.depth = DEPTHS[name]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Uint8."""
        return np.dtype(np.uint8)

    def scales(self, largest: Words) -> Values:
        """The scales of blocks, from the bits of their largest magnitudes."""
        orders = np.maximum((largest & INFINITY).astype(np.int32) - (self.depth << 23), SMALLEST)
        return np.where(largest < TOO_LARGE, orders, NAN).astype(np.uint32).view(np.float32)

    def encode(self, values: Values, noise: Words | None = None) -> Stored:
        """Round to the nearest code of each block's scale; ties go away from zero."""
        x = _table(pattern(values))
        size = x & MAGNITUDE
        scales = self.scales(size.max(axis=1, initial=0))
        s = scales[:, None]
        up = 1 << LOST - 1 if noise is None else (_table(noise) << LOST - 16) + (1 << LOST - 17)
        with np.errstate(invalid="ignore"):
            codes = pattern(size.view(np.float32) + s) + up - pattern(s) >> LOST
        codes = codes | x >> 24 & 0x80 if self.signed else np.where(size == 0, 0, np.maximum(codes, 1))
        codes = np.where(np.isnan(s), 0, codes)
        return codes.astype(np.uint8).reshape(-1)[: values.size], scales

    def decode(self, stored: Stored) -> Values:
        """Return the float32 numbers of codes and their blocks' scales."""
        codes, scales = stored
        c, s = _table(codes).astype(np.uint32), scales[:, None]
        sizes = ((c & 0x7F if self.signed else c) << LOST) + pattern(s)
        x = np.where(np.isnan(s), s, sizes.view(np.float32) - s)
        if self.signed:
            x = (pattern(x) | (c & 0x80) << 24).view(np.float32)
        return x.reshape(-1)[: codes.size]


def _table(x: NDArray[Any]) -> NDArray[Any]:
    """One block a row, the last one filled up with zeros."""
    rows = -(-x.size // BLOCK)
    return np.pad(x, (0, rows * BLOCK - x.size)).reshape(rows, BLOCK)
