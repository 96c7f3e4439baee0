"""Interface of a storage format: float32 numbers to stored arrays and back."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

Stored: TypeAlias = tuple[NDArray[Any], ...]
Values: TypeAlias = NDArray[np.float32]
Words: TypeAlias = NDArray[np.uint32]

MAGNITUDE = 0x7FFFFFFF  # the bits of a float32 without its sign
INFINITY = 0x7F800000


class Format(ABC):
    """A format in which float32 numbers are stored.

    Attributes
    ----------
    name : str
        What a user calls it.
    bits : int
        Of a stored number, the share of its block's scale left out.
    block : int
        Numbers that share a scale; 0 where each stands alone.
    """

    name: str
    bits: int
    block: ClassVar[int] = 0

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the stored numbers."""

    @abstractmethod
    def encode(self, values: Values, noise: Words | None = None) -> Stored:
        """Round float32 numbers to stored ones.

        Parameters
        ----------
        values
            Float32, shape (n,).
        noise
            Uniform on 0 to 65535, shape (n,): a number is rounded up in magnitude with a chance equal to its place
            between its two neighbours. None rounds to the nearest, ties to even where the format is a float's.

        Returns
        -------
        tuple of arrays
            The stored numbers, shape (n,) and of dtype ``dtype``; with blocks also their scales, float32 of shape
            (ceil(n / block),).
        """

    @abstractmethod
    def decode(self, stored: Stored) -> Values:
        """The float32 numbers, shape (n,), that were stored."""


def pattern(values: Values) -> Words:
    """The bits of float32 numbers."""
    return np.ascontiguousarray(values, np.float32).view(np.uint32)
