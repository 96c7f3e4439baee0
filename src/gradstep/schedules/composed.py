"""Schedules of several phases: a warm-up and what follows it, or one schedule after another."""
# ruff: noqa: N801 - schedules read as words: lr=gs.schedules.cosine(1e-3, 1000)

import math
from bisect import bisect_right
from collections.abc import Sequence

from gradstep.errors import GradstepValueError
from gradstep.schedules.base import Schedule, schedule
from gradstep.schedules.decaying import cosine
from gradstep.schedules.fields import count, miscount
from gradstep.schedules.ramps import SHAPES, Shape, ramp


@schedule
class warmup(Schedule):
    """A straight line from ``start`` to ``then(0)``, after which ``then`` runs: ``then(t - steps)`` from t = ``steps``.

    With ``start = 0`` the first update moves nothing: ``then(0) / steps`` as a start makes use of it. Source: Goyal et
    al. 2017, arXiv:1706.02677, section 2.2 (gradual warm-up).

    Parameters
    ----------
    steps
        Number of updates before ``then`` starts; with 0 it starts at once.
    then
        The schedule to warm up for.
    start
        Value at t = 0.
    """

    steps: int
    then: Schedule
    start: float = 0.0

    def _at(self, t: int) -> float:
        if t < self.steps:
            return ramp(self.start, self.then(0), t, self.steps)
        return self.then(t - self.steps)


def warmup_cosine(peak: float, steps: int, warmup_steps: int, final: float = 0.0, start: float = 0.0) -> warmup:
    """``warmup(warmup_steps, cosine(peak, steps - warmup_steps, final), start)``; ends at t = ``steps``.

    As in optax's ``warmup_cosine_decay_schedule``, the warm-up is a part of ``steps``.

    Parameters
    ----------
    peak
        Value at t = ``warmup_steps``.
    steps
        Number of updates in all, more than ``warmup_steps``.
    warmup_steps
        Number of updates from ``start`` to ``peak``, at least 0.
    final, start
        Values from t = ``steps`` on, and at t = 0.

    Returns
    -------
    warmup
        The two schedules, composed.
    """
    steps = count(1)("warmup_cosine: steps", steps)
    rise = count(0)("warmup_cosine: warmup_steps", warmup_steps)
    if rise >= steps:
        raise GradstepValueError(f"warmup_cosine: warmup_steps must be less than steps={steps}, not {rise}.")
    return warmup(rise, cosine(peak, steps - rise, final), start)


@schedule
class one_cycle(Schedule):
    """Up to a high peak, and down to almost nothing.

    From ``peak / div_factor`` at t = 0 to ``peak`` at t = ``max(1, floor(rise steps))``, and on to
    ``peak / div_factor / final_div_factor`` at t = ``steps``.

    Source: Smith & Topin 2017, arXiv:1708.07120, in the form of two phases that fastai gave it; with the shape
    ``"cosine"`` it is optax's ``cosine_onecycle_schedule``. PyTorch's ``OneCycleLR`` ends each phase an update earlier.

    Parameters
    ----------
    peak
        The highest value.
    steps
        Number of updates in all, at least 1.
    rise
        Fraction of them before the peak; more than 0, at most 1.
    div_factor, final_div_factor
        What divides the peak to give the first value, and the first value to give the last; more than 0.
    shape
        Of both phases; see :class:`wsd`.
    """

    peak: float
    steps: int
    rise: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    shape: Shape = "cosine"

    def _at(self, t: int) -> float:
        start, top, shape = self.peak / self.div_factor, max(1, int(self.rise * self.steps)), SHAPES[self.shape]
        if t < top:
            return ramp(start, self.peak, t, top, shape)
        return ramp(self.peak, start / self.final_div_factor, t - top, self.steps - top, shape)


@schedule
class inverse_sqrt(Schedule):
    """A straight line from ``start`` to ``peak``, then ``peak sqrt(warmup_steps / t)``.

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 3 ("Noam"): ``peak = (d_model warmup_steps)^-0.5`` and
    ``start = 0``, in fairseq's convention, whose count is the ``t`` of here. With ``start = peak = warmup_steps^-0.5``
    it is T5's ``1 / sqrt(max(t, warmup_steps))`` (Raffel et al. 2020, arXiv:1910.10683, section 3.1.2).

    Parameters
    ----------
    peak
        Value at t = ``warmup_steps``.
    warmup_steps
        Number of updates before the peak, at least 1.
    start
        Value at t = 0.
    """

    peak: float
    warmup_steps: int
    start: float = 0.0

    def _at(self, t: int) -> float:
        if t < self.warmup_steps:
            return ramp(self.start, self.peak, t, self.warmup_steps)
        return self.peak * math.sqrt(self.warmup_steps / t)


@schedule
class wsd(Schedule):
    """Warm-up, stable, decay: up in a straight line, level for as long as can be, and down at the end.

    The last ``cooldown_steps`` updates go from ``peak`` to ``final``; with u the fraction of them that is over,
    ``final + (peak - final) w(u)`` where w(u) is

    - ``"linear"``: ``1 - u``;
    - ``"cosine"``: ``(1 + cos(pi u)) / 2``;
    - ``"1-sqrt"``: ``1 - sqrt(u)``;
    - ``"1-square"``: ``1 - u^2``.

    Source: Hu et al. 2024 (MiniCPM), arXiv:2404.06395; the shapes and ``"1-sqrt"``: Hägele et al. 2024,
    arXiv:2405.18392. Each ends at ``final``, which pytorch_optimizer's ``get_wsd_schedule`` leaves out of all but the
    cosine.

    Parameters
    ----------
    peak
        Value after the warm-up and before the cool-down.
    steps
        Number of updates in all, not less than both of the following together.
    warmup_steps
        Number of updates from ``start`` to ``peak``, at least 0.
    cooldown_steps
        Number of updates from ``peak`` to ``final``, at least 1.
    final, start
        Values from t = ``steps`` on, and at t = 0 if there is a warm-up.
    shape
        ``"linear"``, ``"cosine"``, ``"1-sqrt"`` or ``"1-square"``.
    """

    peak: float
    steps: int
    warmup_steps: int
    cooldown_steps: int
    final: float = 0.0
    start: float = 0.0
    shape: Shape = "linear"

    def _at(self, t: int) -> float:
        if t < self.warmup_steps:
            return ramp(self.start, self.peak, t, self.warmup_steps)
        cooling = max(0, t - (self.steps - self.cooldown_steps))
        return ramp(self.peak, self.final, cooling, self.cooldown_steps, SHAPES[self.shape])

    def _problem(self) -> str | None:
        both = self.warmup_steps + self.cooldown_steps
        return f"warm-up and cool-down take {both} updates, more than steps={self.steps}" if both > self.steps else None


@schedule
class join(Schedule):
    """One schedule after another, each with a clock of its own; optax's ``join_schedules``.

    Parameters
    ----------
    schedules
        One more than there are boundaries: ``schedules[i](t - boundaries[i - 1])`` from ``t = boundaries[i - 1]`` on.
    boundaries
        Values of t, at least 1, strictly increasing.
    """

    schedules: Sequence[Schedule]
    boundaries: Sequence[int]

    def _at(self, t: int) -> float:
        i = bisect_right(self.boundaries, t)
        return self.schedules[i](t - self.boundaries[i - 1] if i else t)

    def _problem(self) -> str | None:
        return miscount("schedules", self.schedules, self.boundaries)
