"""Schedules that go up and down: in cycles, through given values, and in Chebyshev's order."""
# ruff: noqa: N801 - schedules read as words: lr=gs.schedules.cyclic(1e-4, 1e-2, 500, 500)

import math
from bisect import bisect_right
from collections.abc import Sequence

from gradstep.errors import GradstepValueError
from gradstep.form.hyper import Domain
from gradstep.schedules.base import Schedule, schedule
from gradstep.schedules.fields import count, miscount, number
from gradstep.schedules.ramps import SHAPES, Shape, mix, ramp

_LONGEST = 52  # doublings: no run is longer, and the angle keeps its digits


@schedule
class cyclic(Schedule):
    """Up in a straight line and down again, for ever; PyTorch's ``CyclicLR``.

    In cycle i = 0, 1, ... it goes from ``start`` to ``start + (peak - start) decay^i factor^t`` and back. PyTorch's
    mode ``"triangular"`` is the default, ``"triangular2"`` is ``decay=0.5``, ``"exp_range"`` is ``factor=gamma``.

    ``peak`` may be the smaller one. So a momentum runs against the rate:
    ``momentum=cyclic(0.95, 0.85, steps_up, steps_down)`` beside ``lr=cyclic(1e-4, 1e-2, steps_up, steps_down)``.

    Source: Smith 2017, arXiv:1506.01186.

    Parameters
    ----------
    start, peak
        Values at t = 0, and at t = ``steps_up`` where nothing decays.
    steps_up, steps_down
        Number of updates from the one to the other, and back; at least 1.
    decay
        Height of each cycle relative to the one before; more than 0, at most 1.
    factor
        What the height is multiplied by at each update; more than 0, at most 1.
    """

    start: float
    peak: float
    steps_up: int
    steps_down: int
    decay: float = 1.0
    factor: float = 1.0

    def _at(self, t: int) -> float:
        up, down = self.steps_up, self.steps_down
        cycle, k = divmod(t, up + down)
        gone, left = (k / up, (up - k) / up) if k < up else ((up + down - k) / down, (k - up) / down)
        height = self.decay**cycle * self.factor**t
        return mix(self.start, self.peak, gone * height, left if height == 1 else 1 - gone * height)


@schedule
class piecewise_interpolate(Schedule):
    """From each of some values to the next, then the last one; optax's ``piecewise_interpolate_schedule``.

    optax has factors where the values are here: its ``{boundary: factor}`` from ``init_value`` is
    ``values=[init_value, init_value factor_1, init_value factor_1 factor_2, ...]``.

    Parameters
    ----------
    values
        One more than there are boundaries: ``values[0]`` at t = 0, ``values[i]`` at t = ``boundaries[i - 1]``.
    boundaries
        Values of t, at least 1, strictly increasing.
    shape
        Of the way from one to the next; see :class:`wsd`.
    """

    values: Sequence[float]
    boundaries: Sequence[int]
    shape: Shape = "linear"

    def _at(self, t: int) -> float:
        i = bisect_right(self.boundaries, t)
        if i == len(self.boundaries):
            return self.values[-1]
        begin = self.boundaries[i - 1] if i else 0
        return ramp(self.values[i], self.values[i + 1], t - begin, self.boundaries[i] - begin, SHAPES[self.shape])

    def _problem(self) -> str | None:
        return miscount("values", self.values, self.boundaries)


def one_cycle_three_phase(
    peak: float,
    steps: int,
    rise: float = 0.3,
    back: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    shape: Shape = "linear",
) -> piecewise_interpolate:
    """Up to a high peak, down to the start, and on to almost nothing.

    With the shape ``"linear"`` it is optax's ``linear_onecycle_schedule``. PyTorch's ``OneCycleLR(three_phase=True)``,
    whose shape is the cosine, has ``back = 2 rise`` and ends each phase an update or two earlier.

    Source: Smith & Topin 2017, arXiv:1708.07120.

    Parameters
    ----------
    peak
        The highest value.
    steps
        Number of updates in all.
    rise, back
        Fractions of them before the peak, and before the value is back at its start: ``0 < rise < back < 1``.
    div_factor, final_div_factor
        What divides the peak to give the first value, and the first value to give the last; more than 0.
    shape
        Of each phase; see :class:`wsd`.

    Returns
    -------
    piecewise_interpolate
        Through the four values.

    Raises
    ------
    GradstepValueError
        When a phase has no update.
    """
    name, positive = "one_cycle_three_phase", number(Domain(0.0, open_low=True))
    steps, top = count(3)(f"{name}: steps", steps), number()(f"{name}: peak", peak)
    start = top / positive(f"{name}: div_factor", div_factor)
    last = start / positive(f"{name}: final_div_factor", final_div_factor)
    ends = [int(number()(f"{name}: {key}", x) * steps) for key, x in (("rise", rise), ("back", back))]
    if not 0 < ends[0] < ends[1] < steps:
        raise GradstepValueError(
            f"{name}: each phase needs an update: 0 < rise < back < 1, not {rise} and {back} of {steps} steps."
        )
    return piecewise_interpolate([start, top, start, last], [*ends, steps], shape)


@schedule
class chebyshev(Schedule):
    """The inverse roots of a Chebyshev polynomial, in an order that keeps gradient descent stable, again and again.

    ``1 / (c - r cos(pi (s(t) + 1/2) / n))`` where ``c, r = (1 / low +- 1 / peak) / 2``, ``n = 2^doublings``, and s is
    the fractal permutation of 0 ... n - 1: ``s(2 i) = s'(i)`` and ``s(2 i + 1) = n - 1 - s'(i)``, s' being that of
    n / 2. For gradient descent without momentum on a quadratic whose curvatures are between ``1 / peak`` and
    ``1 / low``: after n updates the error is the least that can be.

    Source: Agarwal, Goel & Zhang 2021, arXiv:2103.01338, sections 2 and 3.

    Parameters
    ----------
    low, peak
        Between these all values are: one over the largest and the smallest curvature; ``0 < low <= peak``.
    doublings
        A cycle is ``2^doublings`` updates long; 0 to 52.
    """

    low: float
    peak: float
    doublings: int

    def _at(self, t: int) -> float:
        n = 1 << self.doublings
        place, t, doublings = 0, t % n, self.doublings
        signs: list[int] = []  # of each level, from the outermost
        while doublings:
            signs.append(t & 1)
            t, doublings = t >> 1, doublings - 1
        for level, odd in enumerate(reversed(signs), 1):
            place = (1 << level) - 1 - place if odd else place
        angle = math.pi / 2 * ((place + 0.5) / n)
        # c - r cos(2 angle) is sin(angle)^2 / low + cos(angle)^2 / peak: no cancellation
        return self.low / (math.sin(angle) ** 2 + math.cos(angle) ** 2 * (self.low / self.peak))

    def _problem(self) -> str | None:
        if not 0 < self.low <= self.peak:
            return f"0 < low <= peak is needed, not low={self.low} and peak={self.peak}"
        return None if self.doublings <= _LONGEST else f"doublings must be at most {_LONGEST}, not {self.doublings}"
