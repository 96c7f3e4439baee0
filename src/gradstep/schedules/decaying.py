"""Schedules that hold a value or let it fall: steadily, in drops, or again and again."""
# ruff: noqa: N801 - schedules read as words: lr=gs.schedules.cosine(1e-3, 1000)

from bisect import bisect_right
from collections.abc import Sequence

from gradstep.schedules.base import Schedule, schedule
from gradstep.schedules.fields import miscount
from gradstep.schedules.ramps import half_wave, mix, ramp


@schedule
class constant(Schedule):
    """The same value for ever.

    Parameters
    ----------
    value
        The value.
    """

    value: float

    def _at(self, t: int) -> float:  # noqa: ARG002
        return self.value


@schedule
class linear(Schedule):
    """A straight line: ``start + (final - start) t / steps``, then ``final``; optax's ``linear_schedule``.

    Parameters
    ----------
    start, final
        Values at t = 0 and from t = ``steps`` on; either may be the larger.
    steps
        Number of updates from one to the other, at least 1.
    """

    start: float
    steps: int
    final: float = 0.0

    def _at(self, t: int) -> float:
        return ramp(self.start, self.final, t, self.steps)


@schedule
class polynomial(Schedule):
    """A power of what is left: ``final + (start - final) (1 - t / steps)^power``; optax's ``polynomial_schedule``.

    Parameters
    ----------
    start, final
        Values at t = 0 and from t = ``steps`` on; either may be the larger.
    steps
        Number of updates from one to the other, at least 1.
    power
        More than 0; 1 is a straight line, 0.9 the "poly" policy of DeepLab (Chen et al. 2017, arXiv:1606.00915).
    """

    start: float
    steps: int
    power: float
    final: float = 0.0

    def _at(self, t: int) -> float:
        return ramp(self.start, self.final, t, self.steps, lambda _, left: (1 - left**self.power, left**self.power))


@schedule
class exponential(Schedule):
    """Geometric decay: ``max(start factor^(t / steps), final)``; optax's ``exponential_decay``.

    Parameters
    ----------
    start
        Value at t = 0, not less than ``final``.
    steps
        Number of updates in which the value falls by ``factor``, at least 1.
    factor
        More than 0, at most 1.
    final
        The floor, at least 0; the value never leaves it once it is there.
    staircase
        Whether to round ``t / steps`` down, so that the value falls in jumps.
    """

    start: float
    steps: int
    factor: float
    final: float = 0.0
    staircase: bool = False

    def _at(self, t: int) -> float:
        return max(self.start * self.factor ** (t // self.steps if self.staircase else t / self.steps), self.final)

    def _problem(self) -> str | None:
        good = self.start >= self.final >= 0
        return None if good else f"start >= final >= 0 is needed, not start={self.start} and final={self.final}"


@schedule
class step(Schedule):
    """A drop every ``steps`` updates: ``start factor^floor(t / steps)``; PyTorch's ``StepLR``.

    Parameters
    ----------
    start
        Value at t = 0.
    steps
        Number of updates from one drop to the next, at least 1.
    factor
        More than 0, at most 1.
    """

    start: float
    steps: int
    factor: float = 0.1

    def _at(self, t: int) -> float:
        return self.start * self.factor ** (t // self.steps)


@schedule
class piecewise(Schedule):
    """Given values between given boundaries; a new value holds from its boundary on, as in PyTorch's ``MultiStepLR``.

    Keras's ``PiecewiseConstantDecay`` changes one update later: add 1 to its boundaries.

    Parameters
    ----------
    values
        One more than there are boundaries: ``values[i]`` while ``boundaries[i - 1] <= t < boundaries[i]``.
    boundaries
        Values of t, at least 1, strictly increasing.
    """

    values: Sequence[float]
    boundaries: Sequence[int]

    def _at(self, t: int) -> float:
        return self.values[bisect_right(self.boundaries, t)]

    def _problem(self) -> str | None:
        return miscount("values", self.values, self.boundaries)


@schedule
class cosine(Schedule):
    """Half a wave: ``final + (peak - final) (1 + cos(pi t / steps)) / 2``, then ``final``.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5, one period; optax's ``cosine_decay_schedule``, but
    that ``final`` is a value and not a fraction of the peak.

    Parameters
    ----------
    peak, final
        Values at t = 0 and from t = ``steps`` on.
    steps
        Number of updates from one to the other, at least 1.
    """

    peak: float
    steps: int
    final: float = 0.0

    def _at(self, t: int) -> float:
        return ramp(self.peak, self.final, t, self.steps, half_wave)


@schedule
class cosine_restarts(Schedule):
    """A cosine that starts anew whenever it ends (SGDR).

    ``final + (top - final) (1 + cos(pi t_i / T_i)) / 2`` at the t_i-th update of cycle i = 0, 1, ..., which is
    ``T_i = steps t_mult^i`` updates long and starts at ``top = final + (peak - final) decay^i``. The update that would
    have the value ``final`` is the first of the next cycle, so ``final`` is approached and not reached.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5; ``decay`` is ``m_mul`` of Keras's
    ``CosineDecayRestarts``.

    Parameters
    ----------
    peak, final
        Value at t = 0, and the one that each cycle comes down to.
    steps
        Number of updates in the first cycle, at least 1.
    t_mult
        How many times longer each cycle is than the one before: a whole number, at least 1.
    decay
        Height of each cycle over ``final``, relative to the one before; more than 0, at most 1.
    """

    peak: float
    steps: int
    final: float = 0.0
    t_mult: int = 1
    decay: float = 1.0

    def _at(self, t: int) -> float:
        cycle, length = 0, self.steps
        if self.t_mult == 1:
            cycle, t = divmod(t, length)
        while t >= length:
            cycle, t, length = cycle + 1, t - length, length * self.t_mult
        height = self.decay**cycle
        return ramp(mix(self.peak, self.final, 1 - height, height), self.final, t, length, half_wave)
