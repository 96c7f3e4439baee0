"""Derivatives of a function along a line, measured: by a complex step, by central differences, from either side."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradstep.array.namespaces import is_complex
from gradstep.gradient_check.function import RealFunction, Reals

SCALES = 10  # steps, each a tenth of the one before, from the first downwards
UPWARDS = 8  # and upwards, where none of them was small enough an error
SAFETY = 3.0  # estimated errors by which a measurement may be off


@dataclass(frozen=True)
class Slope:
    """A derivative by differences.

    Attributes
    ----------
    value, error
        The derivative and an estimate of its error.
    left, right
        The one-sided derivatives.
    step
        The largest distance from the point at which the function was asked.
    spread
        The part of the error that shows in the values: they make no smooth curve.
    kink
        Whether the sides' derivatives differ however small the step.
    flat
        Whether no value differed from that at the point.
    """

    value: float
    error: float
    left: float
    right: float
    step: float
    spread: float
    kink: bool = False
    flat: bool = False

    @property
    def gap(self) -> float:
        """The distance between the sides' slopes."""
        return abs(self.right - self.left)

    def excludes(self, other: "Slope") -> bool:
        """Return True where this and another cannot both be right."""
        return abs(self.value - other.value) > SAFETY * (self.error + other.error)

    def prefers(self, value: float, other: "Slope") -> bool:
        """Return True where this is much nearer to a value than to another slope, from which its error parts it."""
        apart = abs(self.value - other.value)
        return apart > self.error + other.error and SAFETY * abs(self.value - value) < apart


class Line:
    """A function along a line, and its derivative at 0 by differences over smaller and smaller steps.

    Parameters
    ----------
    at, here
        The function, and its value at 0.
    steps
        The step to be tried first, the least, and one that is as long as the parameters are large.
    noise
        The noise of the function's value. Where the values of a line lie on a staircase, its steps count too.
    rounding
        The error, times the step, that comes of places which are rounded.
    """

    def __init__(
        self,
        at: Callable[[float], float],
        here: float,
        steps: tuple[float, float, float],
        noise: float,
        rounding: float,
    ) -> None:
        self.at, self.here = at, here
        self.first, self.finest, self.length = steps
        self.noise, self.rounding = noise, rounding

    def slopes(self) -> Iterator[Slope]:
        """Generate the derivative over one step after the other; those without values on both sides are left out."""
        before: Slope | None = None
        least = np.inf
        for n in range(SCALES):
            slope = self.slope(self.first / 10**n)
            if slope is None:
                continue
            yield slope
            if before is not None and (near := self._kink(before, slope)) is not None:
                yield near
                return
            least = min(least, slope.error)
            if 4 * self.noise / slope.step > least:
                break
            before = slope
        for n in range(1, UPWARDS + 1):
            slope = self.slope(self.first * 10**n)
            if slope is None:
                break
            if slope.flat and slope.step > self.length:
                continue  # a function that turns within so large a step may come back
            yield slope
            if n >= 3 and slope.error > 10 * least:
                break
            least = min(least, slope.error)

    def slope(self, h: float) -> Slope | None:
        """Extrapolate from three steps, ``h``, a half and a quarter (Richardson); None where there is no value."""
        steps = h / np.array([1.0, 2.0, 4.0])
        above, below = (np.array([self.at(sign * t) for t in steps]) for sign in (1.0, -1.0))
        if not (np.isfinite(above).all() and np.isfinite(below).all()):
            return None
        self._see_stairs(above, below)
        rights, lefts = (above - self.here) / steps, (self.here - below) / steps
        central = (rights + lefts) / 2
        fourth = (4 * central[1:] - central[:-1]) / 3
        right, left = (float(2 * side[2] - side[1]) for side in (rights, lefts))
        # A kink within reach shows in the gap between the sides, perhaps by chance not in the central differences.
        spread = float(abs(fourth[1] - fourth[0]) + abs(right - left) / 2)
        error = spread + (4 * self.noise + self.rounding) / h
        flat = bool((above == self.here).all() and (below == self.here).all())
        return Slope(float((16 * fourth[1] - fourth[0]) / 15), error, left, right, h, spread, flat=flat)

    def _see_stairs(self, above: Reals, below: Reals) -> None:
        """Take the height of a step for noise where either side has values on two steps at most."""
        sides = [np.unique([self.here, *side]) for side in (above, below)]
        if all(len(side) <= 2 for side in sides):
            heights = [float(side[1] - side[0]) for side in sides if len(side) == 2]
            self.noise = max(self.noise, min(heights, default=0.0))

    def _kink(self, before: Slope, slope: Slope) -> Slope | None:
        """Return the slope at the smallest step that noise allows, where the sides differ there as at two others."""
        if not _alike(slope, before) or slope.step <= (closest := max(self.finest, 1600 * self.noise / slope.gap)):
            return None
        near = self.slope(closest)
        return replace(near, kink=True) if near is not None and _alike(near, slope) else None


def _alike(a: Slope, b: Slope) -> bool:
    """Return True where the sides are apart, and by as much, at two steps."""
    return a.gap > 0 and abs(a.gap - b.gap) <= 0.1 * a.gap


def is_rough(best: Slope, slopes: Sequence[Slope], noise: float) -> bool:
    """Return True where the values at smaller steps than the best are less smooth, and by more than their noise.

    Then the function turns within the step, or its noise is larger than it seems.
    """
    return any(
        one.step < best.step and one.spread > 2 * best.spread + 40 * noise / one.step for one in slopes if not one.flat
    )


def settled(slopes: Sequence[Slope], noise: float) -> Slope | None:
    """Return the slope to be believed: of the least error, or a finer one that contradicts it.

    A derivative is of the point itself: what a large step shows without seeing that the function turns within it
    does not count against a smaller step, whose error by noise is known.

    Parameters
    ----------
    slopes
        Of one line, from coarse to fine.
    noise
        Of the line's values, as it was known in the end.
    """
    seen = [replace(one, error=max(one.error, 4 * noise / one.step)) for one in slopes]
    if any(not one.flat for one in seen):
        seen = [one for one in seen if not one.flat]  # they lie on one step of a staircase
    best: Slope | None = None
    for slope in sorted(seen, key=lambda one: -one.step):
        if best is None or slope.error <= best.error or (slope.excludes(best) and _steady(slope, seen)):
            best = slope
    return best


def _steady(slope: Slope, seen: Sequence[Slope]) -> bool:
    """Return True where another step shows the same derivative."""
    return any(one is not slope and not one.excludes(slope) and 10 * one.error < abs(slope.value) for one in seen)


def complex_step(function: RealFunction, k: int, direction: Reals, step: float, noise: float) -> float | None:
    """The derivative along a direction by Im f(x + ihd) / h; ``None`` where the function does not carry it through."""
    if not function.double or is_complex(function.leaves[k]):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            value = function.raw(k, function.origins[k] + 1j * step * direction)
        if not np.iscomplexobj(value):
            return None
        value = complex(value)
    except Exception:  # noqa: BLE001, RUF100 - it does not take complex numbers
        return None
    fits = abs(value.real - function.value) <= 1e-6 * abs(function.value) + 100 * noise
    return value.imag / step if fits and np.isfinite(value.imag) else None
