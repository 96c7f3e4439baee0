"""The two 16-bit floats. Stochastic rounding adds noise to the bits that are dropped, and cuts them off.

Noise never makes infinity of a finite number: one between the largest finite number and what rounds to infinity
becomes the largest finite number. Infinities stay; a NaN becomes the quiet NaN of its sign.
"""

import numpy as np

from gradstep.array.storage.format import INFINITY, MAGNITUDE, Format, Stored, Values, Words, pattern
from gradstep.errors import GradstepTypeError


class Bfloat16(Format):
    """The upper half of a float32. NumPy has no such dtype; the package ml_dtypes has."""

    name, bits = "bfloat16", 16
    largest = 0x7F7F0000  # as a float32 pattern

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Bfloat16.

        Raises
        ------
        GradstepTypeError
            Where ml_dtypes is not installed.
        """
        try:
            from ml_dtypes import bfloat16  # pyright: ignore[reportMissingImports]  # not needed by anything else
        except ImportError:
            raise GradstepTypeError(
                "bfloat16 arrays need the package ml_dtypes, which is not installed; run: pip install 'gradstep[low]'."
            ) from None
        return np.dtype(bfloat16)

    def encode(self, values: Values, noise: Words | None = None) -> Stored:
        """Round to bfloat16, to even or by the noise; NaN stays NaN."""
        x = pattern(values)
        to_even = 0x7FFF + (x >> 16 & 1)
        up = to_even if noise is None else np.where((x & MAGNITUDE) < self.largest, noise, 0x8000)
        codes = np.where((x & MAGNITUDE) > INFINITY, x >> 16 & 0x8000 | 0x7FC0, x + up >> 16)
        return (codes.astype(np.uint16).view(self.dtype),)

    def decode(self, stored: Stored) -> Values:
        """Widen to float32, exactly."""
        return (stored[0].view(np.uint16).astype(np.uint32) << 16).view(np.float32)


class Float16(Format):
    """IEEE half precision: 10 bits of mantissa down to 2**-14, below that multiples of 2**-24."""

    name, bits = "float16", 16
    normal = 2.0**-14
    infinite = 0x477FF000  # 65520, which rounds to infinity

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Float16."""
        return np.dtype(np.float16)

    def encode(self, values: Values, noise: Words | None = None) -> Stored:
        """Round to float16, to even or by the noise; NaN stays NaN."""
        x = pattern(values)
        with np.errstate(over="ignore", invalid="ignore"):
            codes = values.astype(np.float16).view(np.uint16)
            size = np.abs(values)
            moved = pattern(size + np.float32(self.normal)) - (1 << 23)
        if noise is not None:
            # The sum of a small number and 2**-14 has the multiples of 2**-24 in the same bits as a larger number.
            shifted = np.where(size < self.normal, moved, x & MAGNITUDE)
            rounded = np.minimum(shifted - (112 << 23) + (noise >> 3) >> 13, 0x7BFF) | x >> 16 & 0x8000
            codes = np.where((x & MAGNITUDE) < self.infinite, rounded, codes)
        codes = np.where((x & MAGNITUDE) > INFINITY, x >> 16 & 0x8000 | 0x7E00, codes)
        return (codes.astype(np.uint16).view(np.float16),)

    def decode(self, stored: Stored) -> Values:
        """Widen to float32, exactly."""
        with np.errstate(invalid="ignore"):
            return stored[0].astype(np.float32)
