"""Sensitivity to the learning rate: the cost of a rate beside the best one, and the width of the usable rates."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep.compare.evidence.statistics.tables import Array, table
from gradstep.errors import GradstepValueError

WITHIN = 0.02  # of what the best run gained: of 3 nats, 0.06


@dataclass(frozen=True)
class Sensitivity:
    """The result of :func:`lr_sensitivity`.

    Attributes
    ----------
    value
        E[min(loss, loss0) - best] over the rates: 0 if every rate is as good as the best.
    low, high
        The least and the greatest usable rate.
    decades
        log10(high / low).
    open
        Whether the usable rates reach the least or the greatest rate that was tried, and so may go on beyond.
    """

    value: float
    low: float
    high: float
    decades: float
    open: bool


def lr_sensitivity(rates: Any, losses: Any, start: float, within: float = WITHIN) -> Sensitivity:
    """Learning-rate sensitivity, and the decades around the best rate that are usable.

    The sensitivity is the mean over the rates of min(loss, loss0) - best, in the unit of the loss (Wortsman et al.
    2023, arXiv 2309.14322, section 2.2): the rates are taken to lie evenly on a log axis, as those of a grid or a
    quasi-random sequence do. A diverged run costs what a run costs that never left the start.

    A rate is usable if its loss, straight between neighbours on a log axis of rates, is above the best by at most
    ``within`` times what the best run gained, loss0 - best; so neither the unit of a loss nor a floor under it changes
    the answer. Only rates that are usable all the way from the best one count.

    Parameters
    ----------
    rates
        Array [rate], positive, all different, in any order.
    losses
        Array [rate]: final losses (medians over seeds), infinity for a diverged one.
    start
        loss0, the loss before the first step: the cap.
    within
        A fraction between 0 and 1.

    Returns
    -------
    Sensitivity
        Where no rate brought the loss below the start: value and decades 0, ``low`` and ``high`` NaN.

    Raises
    ------
    GradstepValueError
        For rates and losses that are not of one length, NaN, rates that are not positive and finite or repeat, or a
        start or ``within`` out of range.
    """
    rates, losses = table("rates", rates, "rate"), table("losses", losses, "rate")
    if len(rates) != len(losses):
        raise GradstepValueError(f"rates: give one loss for each, not {len(losses)} for {len(rates)}.")
    if not (rates.min() > 0 and rates.max() < np.inf and len(np.unique(rates)) == len(rates)):
        raise GradstepValueError("rates: give positive numbers, each once; take the median over seeds first.")
    if not np.isfinite(start) or losses.min() == -np.inf:
        raise GradstepValueError(f"start: the cap is a finite loss, and no loss is minus infinity, not {start}.")
    if not 0 < within < 1:
        raise GradstepValueError(f"within: a fraction between 0 and 1, not {within}.")
    order = np.argsort(rates)
    decade, capped = np.log10(rates[order]), np.minimum(losses[order], start)
    k = int(capped.argmin())
    best = float(capped[k])
    if best == start:
        return Sensitivity(0.0, np.nan, np.nan, 0.0, False)
    level = best + within * (start - best)
    down, below = _reach(decade[k::-1], capped[k::-1], level)
    up, above = _reach(decade[k:], capped[k:], level)
    low = float(rates[order][0]) if below else float(10**down)
    high = float(rates[order][-1]) if above else float(10**up)
    return Sensitivity(float(np.mean(capped - best)), low, high, up - down, below or above)


def _reach(x: Array, y: Array, level: float) -> tuple[float, bool]:
    """Return the x at which ``y``, from its first point on, rises above ``level``; else the last x and True."""
    over = np.flatnonzero(y > level)
    if not len(over):
        return float(x[-1]), True
    i = int(over[0])
    return float(x[i - 1] + (x[i] - x[i - 1]) * (level - y[i - 1]) / (y[i] - y[i - 1])), False
