"""Tables of the page that sort, and their numbers with intervals."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.statistics import ENOUGH, Estimate, Unit
from gradstep.compare.show.pages.templates import macros
from gradstep.compare.show.wording import Cell, cost, counted
from gradstep.text import written


def sortable(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Cell]], words: Sequence[int] = (0,)) -> Markup:
    """Return a table whose headings sort it: numbers as numbers, columns ``words`` as words.

    Parameters
    ----------
    caption
        Below it.
    heads
        The headings; the first column names the rows.
    rows
        Of cells: the text that is shown, and what it is sorted by.
    words
        Columns that hold words.
    """
    cells = [[(text, _key(key)) for text, key in row] for row in rows]
    return macros.sortable(caption, heads, cells, words)


def _key(x: Any) -> str:
    """Return a number as JavaScript reads it; NaN, which is for what is missing, as infinite, so that it sorts last."""
    if isinstance(x, str):
        return x
    return "Infinity" if math.isnan(x) else str(x).replace("inf", "Infinity")


def between(found: Estimate, k: int, form: str = "{:.3g}") -> str:
    """``0.93 [0.81, 0.97]``, or without an interval :func:`bracketed`."""
    estimate, low, high = (float(x[k]) for x in (found.estimate, found.low, found.high))
    return bracketed(estimate, low, high, found.over is not None, form)


def alone_steps(evidence: Evidence) -> Estimate:
    """Median steps to the target of the one complete problem, [optimizer]."""
    steps = evidence.steps()
    return Estimate(steps.estimate[0], steps.low[0], steps.high[0], steps.over)


def bracketed(estimate: float, low: float, high: float, sure: bool, form: str = "{:.3g}") -> str:
    """An estimate with its interval, ``0.93 [0.81, 0.97]``; a dash where there is no number.

    Not ``sure``: with the least and the greatest, ``0.93 (0.81 to 0.97)``, where they differ.
    """
    if math.isnan(estimate):
        return "-"
    a, b, c = (written(x, form) for x in (estimate, low, high))
    if math.isnan(low) or (not sure and low == high):
        return a
    return f"{a} [{b}, {c}]" if sure else f"{a} ({b} to {c})"


def brackets(evidence: Evidence, over: Unit | None) -> str:
    """Return a sentence or two on what stands in brackets, of numbers whose intervals are over these."""
    spec, searches = evidence.study.spec, evidence.study.spec.searches
    if over == "searches":
        return f"In brackets: 95 % intervals over {counted(searches, 'search')} and their paired seeds."
    if over == "seeds":
        once = (
            "" if spec.ruleset == "defaults" else " All was tuned once: what another search would give is not in them."
        )
        given = f" They take what was chosen as given: {searches} searches are too few to speak of others."
        return f"In brackets: 95 % intervals over paired seeds.{given if searches > 1 else once}"
    if all(evidence.fixed) and searches == 1:
        return "Seeds change nothing here: there is nothing random, and no interval."
    if spec.seeds * searches == 1:
        return f"There is one seed, and no interval: that takes {ENOUGH}."
    few = f"{few_runs(evidence)} are too few for an interval"
    return f"In parentheses: the least and the greatest that single runs give; {few}."


def few_runs(evidence: Evidence) -> str:
    """The runs that are too few for an interval: ``3 seeds``, or of a problem without randomness its searches."""
    spec = evidence.study.spec
    return counted(spec.searches, "search") if all(evidence.fixed) else counted(spec.seeds, "seed")


def leaderboard(evidence: Evidence) -> tuple[list[str], list[list[Cell]]]:
    """Headings and rows, the best first: what each optimizer came to over the complete problems."""
    study = evidence.study
    alone = len(evidence.problems) == 1
    labels = study.optimizers
    speed = evidence.speedups()
    first = alone_steps(evidence) if alone else evidence.scores()
    heads = ["optimizer", "steps to target" if alone else "score by steps"]
    heads += [f"speed-up over {labels[evidence.baseline]}"]
    heads += ["hit", "µs/step", "state B/param", "hyperparameters"]
    rows: list[list[Cell]] = []
    for k in evidence.order:
        hits, seeds = evidence.hits(labels[k])
        timings = [t for p in evidence.problems if (t := study.timing(p, labels[k])) is not None]
        costs = [_middle([getattr(t, name) for t in timings]) for name in ("step_us", "state_bytes")]
        chosen = _chosen(evidence, labels[k])
        rows.append(
            [
                (labels[k], labels[k]),
                (between(first, k, "{:.4g}" if alone else "{:.3f}"), float(first.estimate[k])),
                (between(speed, k), float(speed.estimate[k])),
                (f"{hits}/{seeds}", hits),
                (cost(costs[0]), costs[0]),
                ("-" if math.isnan(costs[1]) else f"{costs[1]:.3g}", costs[1]),
                (chosen, chosen),
            ]
        )
    return heads, rows


def by_family(evidence: Evidence) -> tuple[list[str], list[list[Cell]]]:
    """Headings and rows, in the order of the leaderboard: the score of each optimizer over the problems of a family."""
    found = evidence.family_scores()
    heads = ["optimizer", *(f"{family} ({len(evidence.families[family])})" for family in found)]
    rows: list[list[Cell]] = []
    for k in evidence.order:
        label = evidence.study.optimizers[k]
        rows.append([(label, label), *((f"{own[k]:.3f}", float(own[k])) for own in found.values())])
    return heads, rows


def _chosen(evidence: Evidence, label: str) -> str:
    """The hyperparameters that were chosen, of several problems and searches from the least to the greatest of each."""
    found: dict[str, list[float]] = {}
    for problem in evidence.problems:
        for run in evidence.study.evaluated(problem, label):
            for key, x in run.hyper.items():
                found.setdefault(key, []).append(x)
    spans = {key: (f"{min(x):.3g}", f"{max(x):.3g}") for key, x in found.items()}
    return (
        ", ".join(f"{key} {low}" + (f" to {high}" if low != high else "") for key, (low, high) in spans.items()) or "-"
    )


def _middle(values: Sequence[float]) -> float:
    """The geometric mean, for costs of problems of different size."""
    known = [x for x in values if x >= 0]
    if not known or 0 in known:
        return 0.0 if known else math.nan
    return math.exp(sum(map(math.log, known)) / len(known))
