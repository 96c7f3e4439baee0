"""Jumps of a function along a line: they change what it is over a distance, and no derivative knows of them."""

from collections.abc import Callable

import numpy as np

HALF = 8  # values on either side of the middle, at equal distances
ORDER = 4  # of the differences: a smooth function leaves little of itself in them, a jump its height or more
NARROWER = 1e-6  # of the distance at which it was seen: a jump is as high there as before
SAFETY = 3.0  # by which a ramp up to a jump may be wider than the jump is high


def explains(at: Callable[[float], float], apart: float, least: float, most: float, noise: float) -> bool:
    """Return True where the function jumps by what two slopes differ over the distance to the jump.

    Where a value rises between its jumps and falls at them, or the reverse, its slope at the point is not that over
    many of them, which is what the author of its gradient means.

    Parameters
    ----------
    at
        The function along the line.
    apart
        The difference of the slope that was measured and that given.
    least, most
        Distances to look at, each ten times the one before.
    noise
        Of the values: lower jumps are not seen.
    """
    distance = least
    while distance <= most:
        if _jumps(at, abs(apart), distance, noise):
            return True
        distance *= 10
    return False


def _jumps(at: Callable[[float], float], apart: float, distance: float, noise: float) -> bool:
    """Look closer and closer at the nearest place that is not smooth, as long as it is not."""
    middle, reach = 0.0, distance
    while reach > NARROWER * distance:
        places = middle + reach * np.arange(-HALF, HALF + 1) / HALF
        values = np.array([at(float(t)) for t in places])
        if not np.isfinite(values).all():
            return False
        found = np.abs(np.diff(values, ORDER))
        centres = places[ORDER // 2 : -(ORDER // 2)]
        away = np.maximum(np.abs(centres), distance / HALF)
        high = found >= np.maximum(apart * away / SAFETY, 100 * noise)
        if not high.any():
            return False
        near = int(np.argmax(found) if middle else np.argmin(np.where(high, np.abs(centres), np.inf)))
        middle, reach = float(centres[near]), reach * (ORDER // 2 + 1) / HALF
    return True
