"""Tables of the page: those that sort, and the matrix of pairs."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.statistics import Interval
from gradstep.compare.show.pages.templates import macros
from gradstep.compare.show.wording import Cell, cost, counted


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


def between(found: Interval, k: int, form: str = "{:.3g}") -> str:
    """``0.93 [0.81, 0.97]``; without brackets where there is no interval, a dash where there is no number."""
    estimate, low, high = (float(x[k]) for x in (found.estimate, found.low, found.high))
    return bracketed(estimate, low, high, form)


def alone_steps(evidence: Evidence) -> Interval:
    """Median steps to the target of the one complete problem, [optimizer]."""
    steps = evidence.steps()
    return Interval(steps.estimate[0], steps.low[0], steps.high[0])


def bracketed(estimate: float, low: float, high: float, form: str = "{:.3g}") -> str:
    """An estimate with its interval."""
    if math.isnan(estimate):
        return "-"
    a, b, c = (form.format(x).replace("inf", "∞") for x in (estimate, low, high))
    return a if math.isnan(low) else f"{a} [{b}, {c}]"


def leaderboard(evidence: Evidence) -> tuple[list[str], list[list[Cell]]]:
    """Headings and rows, the best first: what each optimizer came to over the complete problems."""
    study = evidence.study
    alone = len(evidence.problems) == 1
    labels = study.optimizers
    speed, both = evidence.speedups(), evidence.solved_by_both()
    first = alone_steps(evidence) if alone else evidence.scores()
    heads = ["optimizer", "steps to target" if alone else "score by steps"]
    heads += [f"speed-up over {labels[evidence.baseline]}"]
    heads += ["hit", "µs/step", "state B/param", "hyperparameters"]
    rows: list[list[Cell]] = []
    for k in evidence.order:
        hits, seeds = evidence.hits(labels[k])
        timings = [t for p in evidence.problems if (t := study.timing(p, labels[k])) is not None]
        costs = [_middle([getattr(t, name) for t in timings]) for name in ("step_us", "state_bytes")]
        speed_of = between(speed, k) + (f" on {both[k]:g}" if both[k] < len(evidence.problems) else "")
        chosen = _chosen(evidence, labels[k])
        rows.append(
            [
                (labels[k], labels[k]),
                (between(first, k, "{:.4g}" if alone else "{:.3f}"), float(first.estimate[k])),
                (speed_of, float(speed.estimate[k])),
                (f"{hits}/{seeds}", hits),
                (cost(costs[0]), costs[0]),
                ("-" if math.isnan(costs[1]) else f"{costs[1]:.3g}", costs[1]),
                (chosen, chosen),
            ]
        )
    return heads, rows


def _chosen(evidence: Evidence, label: str) -> str:
    """The hyperparameters that were chosen: of several problems, from the least to the greatest of each."""
    found: dict[str, list[float]] = {}
    for problem in evidence.problems:
        for key, x in evidence.study.evaluated(problem, label)[0].hyper.items():
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


def pairs(evidence: Evidence) -> Markup:
    """Return the matrix of P(row better than column); nothing for one seed. Intervals that exclude 1/2 are marked."""
    found = evidence.improvement()
    if found is None:
        return Markup("")
    labels = evidence.study.optimizers
    order = evidence.order
    rows: list[tuple[str, list[tuple[str, str, str]]]] = []
    for i in order:
        cells: list[tuple[str, str, str]] = []
        for j in order:
            low, high = float(found.low[i, j]), float(found.high[i, j])
            kind, mark = ("above", "▲ ") if low > 0.5 else ("below", "▼ ") if high < 0.5 else ("", "")
            interval = f"[{low:.2f}, {high:.2f}]"
            cells.append(("none", "·", "") if i == j else (kind, f"{mark}{found.estimate[i, j]:.2f}", interval))
        rows.append((labels[i], cells))
    caption = "Probability that a run of the row is faster than a run of the column, with 95 % interval"
    return macros.pairs(caption, f"{caption}: ▲ above one half, ▼ below.", [labels[k] for k in order], rows)


def tests(evidence: Evidence) -> str:
    """Wilcoxon's test in a sentence or a few: which pairs differ at 0.05 after Holm's correction."""
    over = evidence.tested
    labels, order = evidence.study.optimizers, evidence.order
    if over is None:
        few = counted(evidence.study.spec.seeds, "seed")
        where = few if len(evidence.problems) == 1 else f"{len(evidence.problems)} problems"
        return f"With {where} Wilcoxon's signed rank test cannot reach 0.05, so it is not made; it takes six."
    p = evidence.signed_rank()
    differ = [(i, j) for a, i in enumerate(order) for j in order[a + 1 :] if p[i, j] < 0.05]
    text = f"Wilcoxon's signed rank test over {over}, two-sided, corrected by Holm: "
    if not differ:
        return text + "no two optimizers differ at 0.05."
    named = "; ".join(f"{labels[i]} and {labels[j]} (p {p[i, j]:.2g})" for i, j in differ[:20])
    rest = f"; and {len(differ) - 20} other pairs" if len(differ) > 20 else ""
    return f"{text}{len(differ)} of {len(order) * (len(order) - 1) // 2} pairs differ at 0.05: {named}{rest}."
