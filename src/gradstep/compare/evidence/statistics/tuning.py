"""Cost of tuning: the best of k trials, if only k of those that were made had been."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from gradstep.compare.evidence.statistics.summary import medians
from gradstep.compare.evidence.statistics.tables import Array, table
from gradstep.errors import GradstepValueError


@dataclass(frozen=True)
class BestOfTrials:
    """The best of k trials drawn from those made, arrays [k].

    Attributes
    ----------
    trials
        int64: k.
    mean
        float64: its expectation; infinite if there are k misses or more, so that a draw may hold nothing else.
    median
        float64: what half of the draws are at or below; infinite only if half of them and more hold nothing but misses.
        The one to draw where there are misses.
    hit
        float64: the probability that one of the k is no miss.
    """

    trials: np.ndarray
    mean: Array
    median: Array
    hit: Array


def best_of_trials(results: Any, trials: Sequence[int] | None = None) -> BestOfTrials:
    """Return the best of k trials, over all ways to draw k of the n made, without replacement.

    The unbiased estimate (Tang et al. 2020, arXiv 2004.13705; Dodge et al. 2019, arXiv 1909.03004, draw with
    replacement, which is biased). Exact: the i-th smallest of n is the best in C(n - i, k - 1) of the C(n, k) draws,
    whole numbers until the last division.

    Parameters
    ----------
    results
        Array [trial], less is better, infinity for a miss: steps to target or losses, by which a trial is chosen.
    trials
        Each k, from 1 to n. None: 1, 2, 4 and so on up to n.

    Returns
    -------
    BestOfTrials
        Arrays as long as ``trials``.

    Raises
    ------
    GradstepValueError
        For no trials, NaN, minus infinity, or a k out of range.
    """
    ordered = np.sort(table("results", results, "trial"))
    if ordered[0] == -np.inf:
        raise GradstepValueError("results: none can be minus infinity; a trial that diverged is plus infinity.")
    n, misses = len(ordered), int((ordered == np.inf).sum())
    trials = [1 << i for i in range(n.bit_length())] if trials is None else list(trials)
    for k in trials:
        if not 1 <= k <= n:
            raise GradstepValueError(
                f"trials: {n} were made, of which no {k} can be drawn; give numbers from 1 to {n}."
            )
    return BestOfTrials(
        trials=np.array(trials, np.int64),
        mean=np.array([_mean(ordered, k, misses) for k in trials]),
        median=np.array([_median(ordered, k) for k in trials]),
        hit=np.array([1 - comb(misses, k) / comb(n, k) for k in trials]),
    )


def _mean(ordered: Array, k: int, misses: int) -> float:
    if misses >= k:
        return np.inf
    n = len(ordered)
    return sum(comb(n - 1 - i, k - 1) / comb(n, k) * float(ordered[i]) for i in range(n - misses))


def _median(ordered: Array, k: int) -> float:
    """The mean of two neighbours where exactly half of the draws are at or below the first, as for any even number."""
    n, i = len(ordered), 0
    # Draws that have one of the first i + 1: all but those from the n - i - 1 others.
    while 2 * (within := comb(n, k) - comb(n - i - 1, k)) < comb(n, k):
        i += 1
    return float(medians(ordered[i : i + 2] if 2 * within == comb(n, k) else ordered[i : i + 1]))
