"""Schedules made of others at the same t: multiplied, scaled, shaken."""
# ruff: noqa: N801 - schedules read as words: lr=gs.schedules.scaled(0.1, cosine(1e-3, 1000))

import math
from collections.abc import Sequence

from gradstep.schedules.base import Schedule, schedule

_WORD = (1 << 64) - 1


@schedule
class product(Schedule):
    """Several schedules multiplied; PyTorch's ``ChainedScheduler`` of factors.

    ``product([cosine(1e-3, 1000), exponential(1.0, 100, 0.9)])`` is a cosine that falls faster.

    Parameters
    ----------
    schedules
        The factors, at least one; all have the same t.
    """

    schedules: Sequence[Schedule]

    def _at(self, t: int) -> float:
        return math.prod(one(t) for one in self.schedules)

    def _problem(self) -> str | None:
        return None if self.schedules else "schedules must be at least one"


@schedule
class scaled(Schedule):
    """A multiple of another schedule: ``factor then(t)``.

    In ``groups=`` there is ``gs.times(factor)``, which follows whatever the others have.

    Parameters
    ----------
    factor
        Any number.
    then
        The schedule.
    """

    factor: float
    then: Schedule

    def _at(self, t: int) -> float:
        return self.factor * self.then(t)


@schedule
class noisy(Schedule):
    """Another schedule, shaken: ``then(t) (1 + amount u)``, u uniform in [-1, 1).

    u is a function of ``seed`` and t alone, so a run that is resumed has the same noise: the first 53 bits of
    SplitMix64's number t + 1 from a state that is ``seed`` mixed once (Steele, Lea & Flood 2014). It is timm's
    ``lr_noise`` with ``noise_type="uniform"``, whose draws are PyTorch's and differ.

    Parameters
    ----------
    then
        The schedule.
    amount
        The largest share by which a value differs; more than 0, at most 1.
    seed
        An integer, at least 0.
    """

    then: Schedule
    amount: float
    seed: int = 0

    def _at(self, t: int) -> float:
        word = _mixed(_mixed(self.seed) + (t + 1) * 0x9E3779B97F4A7C15)
        return self.then(t) * (1 + self.amount * ((word >> 11) * 2.0**-52 - 1))


def _mixed(x: int) -> int:
    """Return SplitMix64's output for a state."""
    x &= _WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _WORD
    return x ^ (x >> 31)
