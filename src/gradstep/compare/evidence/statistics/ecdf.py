"""Empirical distributions of run times over many targets, as COCO draws them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradstep.compare.evidence.statistics.summary import held
from gradstep.compare.evidence.statistics.tables import Array
from gradstep.errors import GradstepValueError

FINEST = 1e-8  # COCO's last target: what lies below is a matter of rounding, not of optimizers
SLACK = 1e-9  # of the best loss, by which the last target lies above it: rounding differs by less

Curve = tuple[Sequence[float], Sequence[float]]  # steps (or seconds), and the losses at them


def loss_targets(start: float, best: float, count: int = 20) -> Array:
    """Losses to reach on the way from ``start`` down to ``best``; ``start`` is not among them.

    The last lies above ``best`` by a billionth of it, so that rounding does not decide who has it.

    In equal ratios where both are at least 0 (then none is below 1e-8 of the start, COCO's finest precision, so that a
    loss of 0 has targets as well); in equal differences where one is negative.

    Parameters
    ----------
    start, best
        The losses at both ends.
    count
        How many.

    Returns
    -------
    ndarray
        float64 [count], falling. All NaN, which no loss meets, where ``best`` is not below ``start`` or one of them is
        not finite: nobody got anywhere.

    Raises
    ------
    GradstepValueError
        For fewer than one target.
    """
    if count < 1:
        raise GradstepValueError(f"count: one target or more, not {count}.")
    if not (np.isfinite(start) and np.isfinite(best) and best < start):
        return np.full(count, np.nan)
    last = max(best, FINEST * start) if best >= 0 else best
    targets = np.geomspace(start, last, count + 1) if last > 0 else np.linspace(start, best, count + 1)
    targets[-1] += SLACK * abs(best)
    return np.minimum(targets[1:], np.nextafter(start, -np.inf))  # rounding gives nothing away


def problem_targets(curves: Sequence[Sequence[Curve]], count: int = 20, last: float | None = None) -> Array:
    """:func:`loss_targets` of one problem, from the least loss at which a run began to the least that any run had.

    The least, so that no run meets a target before its first step.

    Parameters
    ----------
    curves
        [solver][seed] of (steps, losses).
    count
        How many.
    last
        Where they end in place of the least loss; None: there.
    """
    losses = [np.asarray(losses, np.float64) for runs in curves for _, losses in runs]
    first = np.concatenate([x[:1] for x in losses] or [np.empty(0)])
    every = np.concatenate(losses or [np.empty(0)])
    start = np.min(first[np.isfinite(first)], initial=np.inf)
    best = np.min(every[np.isfinite(every)], initial=np.inf) if last is None else last
    return loss_targets(float(start), float(best), count)


def run_times(steps: Sequence[float], losses: Sequence[float], targets: Any, patience: int = 1) -> Array:
    """The first of ``steps`` from which the loss holds each target, infinity for a target that is never met.

    Parameters
    ----------
    steps, losses
        One run's evaluations, in their order; a loss of NaN or infinity meets nothing.
    targets
        Array [target].
    patience
        Of :func:`~gradstep.compare.evidence.statistics.held`.

    Returns
    -------
    ndarray
        float64 [target].

    Raises
    ------
    GradstepValueError
        For steps and losses that are not of one length.
    """
    return held(steps, np.asarray(losses, np.float64)[:, None] <= np.asarray(targets, np.float64), patience)


def run_time_table(
    curves: Sequence[Sequence[Sequence[Curve]]],
    count: int = 20,
    patience: Sequence[int] | None = None,
    last: Sequence[float | None] | None = None,
) -> Array:
    """Run times of all runs to all targets of their problems.

    Drawn by :func:`cumulative` over everything but the solver, they are COCO's run-time
    ECDF (Hansen et al., arXiv 1605.03560, "Empirical Distribution Functions"): at t, the fraction of (problem, target,
    seed) met within t. Divided by each problem's budget first, t is a fraction of it.

    Parameters
    ----------
    curves
        [problem][solver][seed] of (steps, losses); as many solvers and seeds for each problem. A run without
        evaluations meets nothing.
    count
        Targets a problem, :func:`problem_targets`.
    patience
        Of each problem, as for :func:`run_times`; None: 1.
    last
        Of each problem, as for :func:`problem_targets`.

    Returns
    -------
    ndarray
        float64 [problem, solver, seed, target], infinity for a target that is never met.

    Raises
    ------
    GradstepValueError
        For no curves, or problems or solvers that have not as many runs as others.
    """
    shapes = {(len(problem), len(runs)) for problem in curves for runs in problem}
    if len(shapes) != 1 or (0 in next(iter(shapes))):
        raise GradstepValueError("curves: give [problem][solver][seed], as many solvers and seeds for every problem.")
    every: list[list[list[Array]]] = []
    none: list[float | None] = [None] * len(curves)
    for problem, patient, end in zip(curves, patience or [1] * len(curves), last or none, strict=True):
        targets = problem_targets(problem, count, end)
        every.append([[run_times(*curve, targets, patient) for curve in runs] for runs in problem])
    return np.array(every)
