"""Schedules that fall along a curve of their own."""
# ruff: noqa: N801 - schedules read as words: lr=gs.schedules.rex(1e-3, 1000)

import math

from gradstep.schedules.base import Schedule, schedule
from gradstep.schedules.ramps import SHAPES, Shape, ramp


@schedule
class inverse_time(Schedule):
    """One over the time: ``start / (1 + rate t / steps)^power``.

    Source: Robbins & Monro 1951; with ``power = 1`` it is Keras's ``InverseTimeDecay``. With ``steps = rate = 1`` it is
    ``start / (t + 1)^power``, river's ``InverseScaling`` and scikit-learn's ``"invscaling"``.

    Parameters
    ----------
    start
        Value at t = 0.
    steps
        Number of updates that count as one unit of time, at least 1.
    rate
        By how much the divisor grows in that time; more than 0.
    power
        More than 0.
    staircase
        Whether to round ``t / steps`` down, so that the value falls in jumps.
    """

    start: float
    steps: int
    rate: float = 1.0
    power: float = 1.0
    staircase: bool = False

    def _at(self, t: int) -> float:
        return self.start / (1 + self.rate * (t // self.steps if self.staircase else t / self.steps)) ** self.power


@schedule
class power(Schedule):
    """A power of the time, under a ceiling: ``min(peak, scale t^-power)``; ``peak`` at t = 0.

    Source: Shen et al. 2024, arXiv:2408.13359 ("Power scheduler"): ``min(peak, a b n^-0.51)`` for ``n`` tokens in
    batches of ``b``, so that ``scale = a b (tokens per update)^-0.51``; the paper's ``a`` is 4.6 with muP. For its
    warm-up there is :class:`warmup`.

    Parameters
    ----------
    peak
        The highest value.
    scale
        Value at t = 1, if that is not above the peak; more than 0.
    power
        More than 0.
    """

    peak: float
    scale: float
    power: float = 0.51

    def _at(self, t: int) -> float:
        return self.peak if t == 0 else min(self.peak, self.scale * float(t) ** -self.power)


@schedule
class rex(Schedule):
    """Reflected exponential: ``final + (peak - final) (1 - p) / (1 - p / 2)`` with ``p = t / steps``, then ``final``.

    Source: Chen, Wolfe & Kyrillidis 2021, arXiv:2107.04197.

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
        return ramp(self.peak, self.final, t, self.steps, lambda gone, left: (gone / (1 + left), 2 * left / (1 + left)))


@schedule
class tanh(Schedule):
    """Hyperbolic tangent: ``final + (peak - final) (1 - tanh(lower (1 - p) + upper p)) / 2`` with ``p = t / steps``.

    Both ends are where the curve is flat: with the defaults it begins within a millionth of ``peak``, and comes down to
    0.25 % of the way from ``final``; from t = ``steps`` on it is ``final`` itself.

    Source: Hsueh, Li & Wu 2019, arXiv:1806.01593; the defaults are timm's ``TanhLRScheduler``'s.

    Parameters
    ----------
    peak, final
        What the curve comes from, and the value from t = ``steps`` on.
    steps
        Number of updates, at least 1.
    lower, upper
        The tangent's argument at t = 0 and at t = ``steps``.
    """

    peak: float
    steps: int
    final: float = 0.0
    lower: float = -7.0
    upper: float = 3.0

    def _at(self, t: int) -> float:
        return ramp(self.peak, self.final, t, self.steps, self._weights)

    def _weights(self, gone: float, left: float) -> tuple[float, float]:
        x = 2 * (self.lower * left + self.upper * gone)
        return _falling(-x), _falling(x)


@schedule
class k_decay(Schedule):
    """A ramp whose clock runs slowly first: ``final + (peak - final) w((t / steps)^k)^power``, then ``final``.

    w is the shape: for ``"cosine"`` ``(1 + cos(pi (t / steps)^k)) / 2``, for ``"linear"`` with a power the polynomial
    ``(1 - (t / steps)^k)^power``.

    Source: Zhang & Li 2020, arXiv:2004.05909; ``k_decay`` of timm's ``CosineLRScheduler`` and ``PolyLRScheduler``.

    Parameters
    ----------
    peak, final
        Values at t = 0 and from t = ``steps`` on.
    steps
        Number of updates from one to the other, at least 1.
    k
        More than 0; with 1 the clock runs evenly, above 1 the value stays high for longer.
    shape
        See :class:`wsd`.
    power
        Of what is left; more than 0.
    """

    peak: float
    steps: int
    k: float
    final: float = 0.0
    shape: Shape = "cosine"
    power: float = 1.0

    def _at(self, t: int) -> float:
        return ramp(self.peak, self.final, t, self.steps, self._weights)

    def _weights(self, gone: float, left: float) -> tuple[float, float]:
        late = gone**self.k  # and 1 - late without the cancellation
        weights = SHAPES[self.shape](late, -math.expm1(self.k * math.log1p(-left)) if left < 1 else 1.0)
        return weights if self.power == 1 else (1 - weights[1] ** self.power, weights[1] ** self.power)


def _falling(x: float) -> float:
    """Return ``1 / (1 + exp(x))``, which is ``(1 - tanh(x / 2)) / 2``."""
    return 1 / (1 + math.exp(x)) if x < 700 else 0.0
