"""Sums whose bits depend on nothing but the numbers: not on threads, shards, chunks or the engine.

A sum goes in blocks of 4096 elements, the last one padded with zeros, in float64: sixteen lanes are added in order,
then halved. The blocks are joined by :func:`math.fsum`, which is exact. The compiled engine does the same.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

BLOCK = 4096
LANES = 16


def block_sums(x: NDArray[np.float64]) -> list[float]:
    """The sums of the 4096-element blocks of ``x``, read in C order, each in the fixed order of lanes.

    Parameters
    ----------
    x
        float64, of any shape.
    """
    flat = np.ascontiguousarray(x, np.float64).reshape(-1)
    if flat.size == 0:
        return []
    blocks = -(-flat.size // BLOCK)
    rows = BLOCK // LANES if blocks > 1 else -(-flat.size // LANES)  # rows of zeros at the end add nothing
    padded = np.zeros(blocks * rows * LANES)
    padded[: flat.size] = flat
    table = padded.reshape(blocks, rows, LANES)
    lanes = np.zeros((blocks, LANES))
    for row in range(rows):
        lanes += table[:, row]
    while lanes.shape[1] > 1:
        half = lanes.shape[1] // 2
        lanes = lanes[:, :half] + lanes[:, half:]
    return lanes[:, 0].tolist()


def joined(blocks: Iterable[float]) -> float:
    """The sum of block sums; not finite where one of them is not, or where it overflows."""
    try:
        return math.fsum(blocks)
    except (OverflowError, ValueError):  # fsum's words for an infinite sum and for inf - inf
        return math.inf


def totals(blocks: Sequence[Sequence[list[float]]], *, is_joint: bool) -> list[list[float]]:
    """Return the sum of each thing that is measured, of each array; ``is_joint``: of all of them together.

    Parameters
    ----------
    blocks
        For each array the block sums of each thing.
    """
    if is_joint and len(blocks) > 1:
        blocks = [[list(chain(*own)) for own in zip(*blocks, strict=True)]]
    return [list(map(joined, own)) for own in blocks]


def axis_sums(x: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the sums along one of the last two axes, which is kept: sixteen lanes are added in order, then halved.

    Parameters
    ----------
    x
        float64, of at least two axes.
    axis
        -1 or -2.
    """
    *stack, rows, columns = x.shape
    n = x.shape[axis]
    lanes = np.zeros((*stack, rows, LANES) if axis == -1 else (*stack, LANES, columns))
    for begin in range(0, n, LANES):
        part = slice(begin, min(begin + LANES, n))
        if axis == -1:
            lanes[..., : part.stop - begin] += x[..., part]
        else:
            lanes[..., : part.stop - begin, :] += x[..., part, :]
    half = LANES
    while half > 1:
        half //= 2
        lanes = lanes[..., :half] + lanes[..., half:] if axis == -1 else lanes[..., :half, :] + lanes[..., half:, :]
    return lanes
