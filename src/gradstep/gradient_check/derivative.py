"""Derivatives of a function along a line, measured: by a complex step, by central differences, from either side."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import factorial

import numpy as np

from gradstep.array.namespaces import is_complex
from gradstep.gradient_check.function import RealFunction, Reals, sizes

Line = Callable[[float], float]
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
    kink
        Whether those differ however small the step.
    """

    value: float
    error: float
    left: float
    right: float
    kink: bool = False

    @property
    def gap(self) -> float:
        """The distance between the sides' slopes."""
        return abs(self.right - self.left)


def noise(function: RealFunction, rng: np.random.Generator) -> float:
    """Return the noise of the function's value: rounding, at least.

    The differences of order 3 to 6 of seven values along a line leave nothing else over (Moré and Wild, Estimating
    computational noise, SIAM J. Sci. Comput. 33, 2011).
    """
    step = function.eps**0.4
    lines = [sizes(x) * rng.choice([-1.0, 1.0], x.shape) for x in function.origins]
    values = [
        function.at({k: x + i * step * d for k, (x, d) in enumerate(zip(function.origins, lines, strict=True))})
        for i in range(7)
    ]
    least = function.eps * abs(function.value)
    found = [
        np.sqrt(factorial(n) ** 2 / factorial(2 * n) * np.mean(np.square(np.diff(values, n)))) for n in range(3, 7)
    ]
    return max(least, float(np.min(found))) if np.isfinite(found).all() else 10 * least


def differences(
    line: Line, here: float, step: float, finest: float, noise: float, rounding: float, wanted: float
) -> Slope | None:
    """The derivative at 0 by central differences, extrapolated (Richardson); ``None`` without values on both sides.

    Parameters
    ----------
    line, here
        The function, and its value at 0.
    step, finest
        The first to be tried, and the least: others follow until the error is small enough or noise rules.
    noise
        How far a value may be off.
    rounding
        The error, times the step, that comes of places which are rounded.
    wanted
        An error that is small enough, relative to the derivative.
    """
    best: Slope | None = None
    before: Slope | None = None
    for n in range(10):
        h = step / 10**n
        slope = _extrapolated(line, here, h, noise, rounding)
        if slope is None:
            continue
        if best is None or slope.error < best.error:
            best = slope
        if best.error <= wanted * abs(best.value) or 4 * noise / h > best.error / 2:
            break
        if before is not None and _alike(slope, before) and h > (closest := max(finest, 1600 * noise / slope.gap)):
            near = _extrapolated(line, here, closest, noise, rounding)
            if near is not None and _alike(near, slope):
                return replace(near, kink=True)
        before = slope
    for h in (10 * step, 100 * step):
        if best is None or best.error <= wanted * abs(best.value):
            break
        slope = _extrapolated(line, here, h, noise, rounding)
        if slope is None or slope.error > best.error:
            break
        best = slope
    return best


def _extrapolated(line: Line, here: float, h: float, noise: float, rounding: float) -> Slope | None:
    """Extrapolate from three steps: ``h``, a half and a quarter of it."""
    steps = h / np.array([1.0, 2.0, 4.0])
    above, below = (np.array([line(sign * t) for t in steps]) for sign in (1.0, -1.0))
    if not (np.isfinite(above).all() and np.isfinite(below).all()):
        return None
    rights, lefts = (above - here) / steps, (here - below) / steps
    central = (rights + lefts) / 2
    fourth = (4 * central[1:] - central[:-1]) / 3
    right, left = (float(2 * side[2] - side[1]) for side in (rights, lefts))
    # A kink within reach shows in the gap between the sides, perhaps by chance not in the central differences.
    error = abs(fourth[1] - fourth[0]) + abs(right - left) / 2 + (4 * noise + rounding) / h
    return Slope(float((16 * fourth[1] - fourth[0]) / 15), float(error), left, right)


def _alike(a: Slope, b: Slope) -> bool:
    """Return True where the sides are apart, and by as much, at two steps."""
    return a.gap > 0 and abs(a.gap - b.gap) <= 0.1 * a.gap


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
