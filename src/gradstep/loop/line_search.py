"""A line search for the strong Wolfe conditions.

Nocedal & Wright 2006, *Numerical Optimization*, Algorithms 3.5 and 3.6, with the cubic of equation 3.59. Along the line
the value is phi(alpha), and its derivative the slope; a point is taken where

    phi(alpha) <= phi(0) + c1 alpha phi'(0)   and   |phi'(alpha)| <= c2 |phi'(0)|.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FARTHEST, NEAREST = 10.0, 1.1  # times the last step, while the line still falls
EDGE = 0.1  # of a bracket: no nearer to its ends is tried
SHRINKS = 2 / 3  # of its length in two trials, or the next one is at its middle


@dataclass(frozen=True)
class Trial:
    """A point of the line.

    Attributes
    ----------
    alpha
        The step to it.
    value, slope
        phi and its derivative; the value is infinite where something there is not finite.
    falls
        Whether the value has fallen enough: the first condition.
    found
        What the caller has found there.
    """

    alpha: float
    value: float
    slope: float
    falls: bool = False
    found: Any = None


def search(phi: Callable[[float], Trial], start: Trial, alpha: float, c2: float, most: int) -> Trial | None:
    """Return a point where both conditions hold; or, where none is found, the lowest that falls enough, or None.

    Parameters
    ----------
    phi
        Evaluates a point.
    start
        The point with ``alpha = 0``, whose slope is negative.
    alpha
        The first step to try.
    c2
        Of the second condition.
    most
        Points to try.
    """
    low, high = start, None
    lengths = [math.inf, math.inf]  # of the bracket, in the last two trials
    for _ in range(most):
        here = phi(alpha)
        if here.falls and abs(here.slope) <= c2 * -start.slope:
            return here
        if not here.falls or (low is not start and here.value >= low.value):
            high = here
        elif here.slope * (1.0 if high is None else high.alpha - low.alpha) >= 0:
            low, high = here, low
        elif high is None:
            low, alpha = here, _further(low, here)
            continue
        else:
            low = here
        length = abs(high.alpha - low.alpha)
        alpha = (low.alpha + high.alpha) / 2 if length > SHRINKS * lengths[0] else _between(low, high)
        lengths = [lengths[1], length]
    return None if low is start else low


def _further(before: Trial, here: Trial) -> float:
    """Return a step beyond ``here``, where the line still falls: the cubic's lowest point, within limits."""
    nearest, farthest = NEAREST * here.alpha, FARTHEST * here.alpha
    found = _lowest(before, here)
    return farthest if found is None or found <= here.alpha else min(max(found, nearest), farthest)


def _between(low: Trial, high: Trial) -> float:
    """Return a step within a bracket: the cubic's lowest point, not too near to an end, or the middle."""
    begin, end = sorted((low.alpha, high.alpha))
    margin = EDGE * (end - begin)
    found = _lowest(low, high)
    return (begin + end) / 2 if found is None else min(max(found, begin + margin), end - margin)


def _lowest(a: Trial, b: Trial) -> float | None:
    """Return the lowest point of the cubic through two values and slopes (equation 3.59); None where there is none."""
    if not (math.isfinite(b.value) and math.isfinite(a.value)):
        return None
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.alpha - b.alpha)
    square = d1 * d1 - a.slope * b.slope
    if not 0 <= square < math.inf:
        return None
    d2 = math.copysign(math.sqrt(square), b.alpha - a.alpha)
    below = b.slope - a.slope + 2 * d2
    found = b.alpha - (b.alpha - a.alpha) * ((b.slope + d2 - d1) / below) if below else math.nan
    return found if math.isfinite(found) else None
