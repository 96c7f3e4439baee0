"""The runs that a bootstrap resamples: searches with their seeds, or seeds alone; by problem, or problems too."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gradstep.compare.evidence.statistics.tables import Array
from gradstep.errors import GradstepValueError

RESAMPLES = 2000
ENOUGH = 6  # units: of two solvers that are alike, one is ahead in all of five in 6 % of studies, in all of six in 3 %

Unit = Literal["searches", "seeds"]


def resampled(problems: int, seeds: int, searches: int = 1) -> Unit | None:
    """Return what an interval of a statistic over so many problems speaks of; None where there are too few.

    The one guard of every interval, mark and claim of a comparison. Searches, of which each has its seeds, where there
    are six over all problems of the statistic; else seeds, with what the searches chose taken as given, where each has
    six; else nothing.

    Parameters
    ----------
    problems
        Of the statistic: 1 for one that each problem has for itself.
    seeds, searches
        Seeds of each search, and searches.
    """
    if searches > 1 and searches * problems >= ENOUGH:
        return "searches"
    return "seeds" if seeds >= ENOUGH else None


@dataclass(frozen=True)
class Draws:
    """Which runs each resample takes.

    Attributes
    ----------
    runs
        intp [resample, problem, run]; with one problem in it, one draw serves all problems of a table.
    units
        How many things each draw takes of a problem (of all, with ``problems``) that vary by themselves: searches, or
        seeds of one search. 0: nothing is known of them, and the bounds of an interval are plain quantiles.
    freedom
        Degrees of freedom of one problem, or with ``problems`` of all together.
    problems
        intp [resample, problem], the problems that each resample takes; None: each once.
    """

    runs: NDArray[np.intp]
    units: int = 0
    freedom: int = 0
    problems: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return len(self.runs)

    def of(self, values: Array, start: int, stop: int) -> Array:
        """Resamples ``start`` to ``stop`` of a table: float64 [resample, problem, solver, run]."""
        runs = self.runs[start:stop, :, None, :]
        if self.problems is None:
            return np.take_along_axis(values[None], runs, axis=-1)
        return np.take_along_axis(values[self.problems[start:stop]], runs, axis=-1)

    def check(self, values: Array) -> None:
        """Refuse a table [problem, solver, run] that these draws are not of."""
        problems, _, runs = values.shape
        shape = self.runs.shape
        wrong = len(shape) != 3 or shape[1] not in (1, problems) or self.runs.min() < 0 or self.runs.max() >= runs
        if wrong or (self.problems is not None and self.problems.max() >= problems):
            raise GradstepValueError(
                f"draws: of shape {shape}, but the table has {problems} problems and {runs} runs of each solver; "
                f"take paired_draws({problems}, {runs})."
            )


def paired_draws(
    problems: int,
    seeds: int,
    searches: int = 1,
    resamples: int = RESAMPLES,
    seed: int = 0,
    *,
    over: Unit | None = None,
    over_problems: bool = False,
) -> Draws:
    """Draw as many runs as there are, with replacement, for each problem by itself.

    Stratified by problem (Agarwal et al. 2021, arXiv 2108.13264, section 4.1); one draw serves all solvers, because
    they ran on the same seeds. Where each search was judged by seeds of its own, searches are drawn, and then seeds
    within each of them (Davison and Hinkley 1997, section 3.8).

    Parameters
    ----------
    problems, seeds
        Of the table. With ``problems=1`` one draw serves all problems of a table too: whole curves are resampled where
        its "problems" are points of one curve.
    searches
        Run number ``search * seeds + seed`` is a seed of a search.
    resamples
        How many.
    seed
        Of NumPy's default generator.
    over
        ``"searches"`` and their seeds, or ``"seeds"`` of each search by itself. None: searches where there are several.
    over_problems
        Draw problems too, with replacement: what is said then is of problems like these, not of these.

    Raises
    ------
    GradstepValueError
        For fewer than two units to draw from, which show no spread, or less than one problem or resample.
    """
    over = over or ("searches" if searches > 1 else "seeds")
    units, name = (searches, "search") if over == "searches" else (seeds, "seed")
    if over_problems:
        units, name = problems, "problem"
    if units < 2:
        raise GradstepValueError(f"intervals: {units} {name} shows no spread; run two or more.")
    if min(problems, resamples, seeds, searches) < 1:
        raise GradstepValueError(
            f"intervals: need a problem, a search, a seed and a resample, not {problems}, {searches}, {seeds} and "
            f"{resamples}."
        )
    rng = np.random.default_rng(seed)
    shape = resamples, problems, searches
    first = rng.integers(searches, size=shape) if over == "searches" else np.broadcast_to(np.arange(searches), shape)
    runs = first[..., None] * seeds + rng.integers(seeds, size=(*shape, seeds))
    taken = rng.integers(problems, size=shape[:2]) if over_problems else None
    freedom = units - 1 if over != "seeds" or over_problems else searches * (seeds - 1)
    return Draws(runs.reshape(resamples, problems, -1), units, freedom, taken)
