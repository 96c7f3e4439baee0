"""Findings about a run, each of one sentence."""

import math
from statistics import median

from gradstep.runs.summary import Curve, Summary

TINY = 1e-7  # an update of that share of the parameters moves few bits of a float32
LARGE = 0.1  # of the first gradients' norm: a run that ends above it has not converged
OFTEN = 0.5  # of the steps
STILL = 0.05  # of the whole descent, in the last tenth of the steps
FEW = 10  # steps: fewer show nothing


def findings(summary: Summary) -> list[str]:
    """Warnings, the gravest first."""
    graver = _not_finite, _stalled, _rose, _rounded, _frozen, _rate
    return [text for text in (f(summary) for f in (*graver, _skipped, _clipped, _blocked, _past, _falling)) if text]


def _not_finite(s: Summary) -> str:
    return f"not finite: {s.reason}" if s.kind == "non-finite" else ""


def _stalled(s: Summary) -> str:
    return f"stalled: {s.reason}" if s.kind == "stalled" else ""


def _rose(s: Summary) -> str:
    if not (math.isfinite(s.first) and math.isfinite(s.last)) or s.t < FEW or s.last <= s.first:
        return ""
    return (
        f"lr at an edge: the value ended at {s.last:.4g}, above the {s.first:.4g} where it began; the learning rate is "
        f"probably too large, try a tenth of it."
    )


def _rounded(s: Summary) -> str:
    shares, norms, rates = _tail(s, "unmoved"), _tail(s, "grad_norm"), _tail(s, "lr")
    if not shares or not norms or s.t < FEW or median(shares) <= OFTEN or (rates and median(rates) == 0.0):
        return ""
    if median(norms) < LARGE * median(s.curves["grad_norm"].values[:FEW]):
        return ""  # it has converged
    return (
        f"rounded away: {median(shares):.0%} of the parameters' elements did not move in the last updates though they "
        f"have gradients; the steps round to nothing in their dtype. Keep masters (master=True) or round at random "
        f'(rounding="stochastic") where they have 16 bits, use float64 where they have 32, or a larger learning rate.'
    )


def _frozen(s: Summary) -> str:
    ratios, norms = _tail(s, "update_ratio"), _tail(s, "grad_norm")
    first = s.curves["grad_norm"].values[:FEW] if "grad_norm" in s.curves else []
    if not ratios or not norms or s.t < FEW:
        return ""
    ratio, norm, then = median(ratios), median(norms), median(first)
    if ratio >= TINY or norm < LARGE * then or then == 0:
        return ""
    return (
        f"frozen: the last updates moved the parameters by a share of {ratio:.1g}, while the gradient, {norm:.3g}, is "
        f"still {norm / then:.0%} of what it was at first; the learning rate is too small, or one huge gradient has "
        f"filled the averages."
    )


def _rate(s: Summary) -> str:
    lr = s.curves.get("lr")
    if lr is None or s.t < FEW:
        return ""
    if lr.values[-1] == 0.0:
        still = next((k for k, x in enumerate(reversed(lr.values)) if x), len(lr.values))
        return f"lr at an edge: the learning rate was 0 in the last {still} steps; they brought nothing."
    flat = next((k for k, x in enumerate(reversed(lr.values)) if x != lr.values[-1]), len(lr.values))
    if len(lr.values) > flat > len(lr.values) // 2 and lr.values[-1] == min(lr.values):
        return (
            f"lr at an edge: the schedule reached its end, {lr.values[-1]:.3g}, {flat} steps before the run did; make "
            f"it as long as the run."
        )
    return ""


def _skipped(s: Summary) -> str:
    if not s.skipped_steps:
        return ""
    return f"skipped: {s.skipped_steps} steps ({s.skipped:.1%}) did not happen, because something was not finite."


def _clipped(s: Summary) -> str:
    if s.clipped <= OFTEN:
        return ""
    return f"clipped: {s.clipped:.0%} of the steps were clipped; their size is the clipping's more than the gradient's."


def _blocked(s: Summary) -> str:
    return f"bounds: a bound held {s.blocked:.0%} of the bounded elements, on average." if s.blocked > OFTEN else ""


def _past(s: Summary) -> str:
    if s.best_t is None or s.best_by != "value" or s.t < FEW or not math.isfinite(s.last):
        return ""
    descent = s.first - s.best
    if s.best_t > s.t / 2 or s.last - s.best <= STILL * abs(descent):
        return ""
    return f"best long ago: the best value, {s.best:.4g}, was that of step {s.best_t}; its parameters are kept."


def _falling(s: Summary) -> str:
    values = s.curves.get("value", Curve()).values
    if s.kind != "budget" or len(values) < 10 * FEW:
        return ""
    tenth = len(values) // 10
    before, end = median(values[-2 * tenth : -tenth]), median(values[-tenth:])
    whole = values[0] - end
    if whole <= 0 or (before - end) / whole <= STILL:
        return ""
    return (
        f"still falling: the last tenth of the steps brought {(before - end) / whole:.0%} of the whole descent; more "
        f"steps, or a larger learning rate, may bring more."
    )


def _tail(s: Summary, key: str) -> list[float]:
    values = s.curves.get(key, Curve()).values
    return values[-max(FEW, len(values) // 10) :]
