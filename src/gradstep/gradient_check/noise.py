"""Noise of a function's value: how far it may be off, from the digits that it has and from differences of values."""

from collections.abc import Callable, Sequence
from math import factorial

import numpy as np

POINTS = 15  # values at equal distances along a line
DISTINCT = 8  # of them, at least, where a distance shows noise: nearer, most lie on one step of a staircase
LARGE = (1.0, -1.0, 10.0, -10.0, 100.0, -100.0)  # where nearer values are all alike: one step of a staircase?
DISTANCES = (0.75, 0.6, 0.4, 0.3, 0.2, 0.1)  # powers of the precision, relative to the parameters
UNIFORM = 12**-0.5  # standard deviation of numbers that are rounded to multiples of 1


def noise(at: Callable[[float], float], eps: float, value: float) -> float:
    """Return the noise of a function's value, as a standard deviation.

    It is the largest of three: the rounding of ``value``; the step of which all values are multiples, where there is
    one; and what differences of order 3 to 6 leave over of values at equal distances, the
    least of any distance at which these differ (Moré and Wild, Estimating computational noise, SIAM J. Sci.
    Comput. 33, 2011). A function that is smooth but at a coarse scale is not noisy. Where too few values differ for
    that, they lie on a staircase, and its least step counts; a function that is the same everywhere has none.

    Parameters
    ----------
    at
        The function along a line on which all parameters move, each in proportion to its size.
    eps
        The precision in which it is called.
    value
        Its value at 0.
    """
    seen: list[float] = []
    found: list[float] = []
    for power in DISTANCES:
        if power < 0.4 and found:
            break  # seen at small distances
        values = [at((i - POINTS // 2) * eps**power) for i in range(POINTS)]
        if not np.isfinite(values).all():
            continue
        seen += values
        if len(set(values)) >= DISTINCT:
            found.append(left_over(values))
    if not found:
        far = [value, *seen] if len({value, *seen}) > 1 else [value, *(at(t) for t in LARGE)]
        found = np.diff(np.unique([x for x in far if np.isfinite(x)])).tolist()
    return max(eps * abs(value), min(found, default=0.0), UNIFORM * granule(seen, eps))


def left_over(values: Sequence[float]) -> float:
    """Return the standard deviation of the noise in values at equal distances, by their differences."""
    with np.errstate(over="ignore"):
        return min(
            float(np.sqrt(factorial(n) ** 2 / factorial(2 * n) * np.mean(np.square(np.diff(values, n)))))
            for n in range(3, 7)
        )


def granule(values: Sequence[float], eps: float) -> float:
    """Return the step of which all differences of these values are multiples: 0 where there is none but rounding.

    Numbers of few digits have one, binary or decimal, and shares of a count.
    """
    different = np.unique(values)
    if len(different) < DISTINCT:
        return 0.0
    rounding = 4 * eps * float(np.max(np.abs(different)))
    gaps = np.concatenate([[0.0], np.diff(different)])
    apart = np.abs(gaps[:, None] - gaps)
    step = float(np.min(apart[apart > 32 * rounding], initial=np.inf))  # of two gaps, where no two values are so near
    counts = gaps[1:] / step
    countable = counts * rounding < 0.02 * step  # beyond, the step is not known well enough to count by it
    off = np.abs(counts - np.round(counts))[countable]
    return step if len(off) >= DISTINCT - 1 and float(np.max(off)) < 0.05 else 0.0
