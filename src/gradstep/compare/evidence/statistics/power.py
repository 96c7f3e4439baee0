"""The chance that a study will show a difference that is there: by studies that are made up."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.compare.evidence.statistics.draws import Draws, resampled
from gradstep.compare.evidence.statistics.intervals import LEVEL
from gradstep.compare.evidence.statistics.pairwise import claims, improvement, pair_tests
from gradstep.compare.evidence.statistics.tables import Array

SHARED = 0.1  # of the noise of a seed: all optimizers start from the same parameters and see the same batches


def simulated(
    rng: np.random.Generator, centre: Any, seeds: int, searches: int = 1, noise: float = 0.2, between: float = 0.0
) -> Array:
    """Make up the times of a study.

    Their logarithms are those of problem and optimizer, normal noise of each search and normal noise of each seed.

    Parameters
    ----------
    rng
        Settles all of it.
    centre
        Array [problem, optimizer]: logarithms of the medians.
    seeds, searches
        Of the study.
    noise, between
        Standard deviations of the logarithms, of seeds and of searches.

    Returns
    -------
    ndarray
        float64 [problem, optimizer, run].
    """
    shape = (*np.shape(centre), searches, seeds)
    shared = np.sqrt(SHARED) * rng.standard_normal((shape[0], 1, *shape[2:]))
    own = np.sqrt(1 - SHARED) * rng.standard_normal(shape)
    tuned = between * rng.standard_normal((*shape[:3], 1))
    return np.exp(np.asarray(centre)[..., None, None] + tuned + noise * (shared + own)).reshape(*shape[:2], -1)


def claimed(times: Array, searches: int = 1) -> NDArray[np.bool_]:
    """Return which optimizer a report of these times claims to be better than which, [optimizer, optimizer]."""
    problems, _, runs = times.shape
    over = resampled(problems, runs // searches, searches)
    if over is None:
        return np.zeros((times.shape[1],) * 2, bool)
    better = improvement(times, Draws(np.arange(runs)[None, None])).estimate
    return claims(better, pair_tests(times, searches, over))


def beats(times: Array, searches: int = 1) -> bool:
    """Return True if a report of these times is sure to claim that the first optimizer is better than the second.

    That is where it is ahead of each other one by more than chance, or of the second with Bonferroni's correction for
    all pairs. A report may claim it for less, so this is the least; it looks at the pairs of the first alone.
    """
    problems, optimizers, runs = times.shape
    over = resampled(problems, runs // searches, searches)
    if over is None:
        return False
    own = Draws(np.arange(runs)[None, None])

    def p(other: int) -> float:
        pair = times[:, [0, other]]
        return float(pair_tests(pair, searches, over)[0, 1]) if improvement(pair, own).estimate[0, 1] > 0.5 else 1.0

    second = p(1)
    if second * math.comb(optimizers, 2) <= 1 - LEVEL:
        return True
    return second <= 1 - LEVEL and all(p(other) <= 1 - LEVEL for other in range(2, optimizers))


def power(
    problems: int,
    optimizers: int,
    seeds: int,
    searches: int = 1,
    factor: float = 1.5,
    noise: float = 0.2,
    studies: int = 200,
    seed: int = 0,
) -> float:
    """Return the share of studies that are sure to claim that one optimizer, quicker on all problems, beats another.

    Parameters
    ----------
    problems, optimizers, seeds, searches
        Of the studies; all optimizers but the first are alike.
    factor
        How much quicker the first is.
    noise
        The standard deviation of a time's logarithm, between seeds and between searches.
    studies, seed
        How many are made up, and by what.
    """
    rng = np.random.default_rng(seed)
    centre = np.zeros((problems, optimizers))
    centre[:, 0] = -np.log(factor)
    between = noise if searches > 1 else 0.0
    found = [beats(simulated(rng, centre, seeds, searches, noise, between), searches) for _ in range(studies)]
    return float(np.mean(found))
