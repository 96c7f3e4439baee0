"""Ramps: values between two ends.

A shape goes from the fractions of the way that are gone and left to the weights of the second end and the first. Both
are handed through, as 1 - x would lose the digits of the smaller one.
"""

import math
from collections.abc import Callable
from typing import Literal

Weights = Callable[[float, float], tuple[float, float]]
Shape = Literal["linear", "cosine", "1-sqrt", "1-square"]


def _linear(gone: float, left: float) -> tuple[float, float]:
    return gone, left


def half_wave(gone: float, left: float) -> tuple[float, float]:
    """Give ``(1 -+ cos(pi gone)) / 2`` without the cancellation."""
    return math.sin(math.pi / 2 * gone) ** 2, math.sin(math.pi / 2 * left) ** 2


def _one_minus_sqrt(gone: float, left: float) -> tuple[float, float]:
    return math.sqrt(gone), left / (1 + math.sqrt(gone))  # the latter is 1 - sqrt(gone)


def _one_minus_square(gone: float, left: float) -> tuple[float, float]:
    return gone * gone, left * (1 + gone)


SHAPES: dict[Shape, Weights] = {
    "linear": _linear,
    "cosine": half_wave,
    "1-sqrt": _one_minus_sqrt,
    "1-square": _one_minus_square,
}


def ramp(start: float, final: float, t: int, steps: int, shape: Weights = _linear) -> float:
    """From ``start`` at t = 0 to ``final`` at t = ``steps`` and after."""
    return final if t >= steps else mix(start, final, *shape(t / steps, (steps - t) / steps))


def mix(start: float, final: float, gone: float, left: float) -> float:
    """Weigh two ends; from the nearer one, so that each is met exactly and neither is passed."""
    return start + gone * (final - start) if gone < left else final + left * (start - final)
