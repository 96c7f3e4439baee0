"""Optimizers pair by pair: the matrix of probabilities, and in words what it and other counts say, and what not."""

import numpy as np
from markupsafe import Markup

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.statistics import ENOUGH, least_p, medians, units_needed
from gradstep.compare.evidence.statistics.intervals import LEVEL
from gradstep.compare.show.pages.templates import macros
from gradstep.compare.show.report.tables import few_runs
from gradstep.compare.show.wording import counted
from gradstep.text import written

ALPHA = 1 - LEVEL


def matrix(evidence: Evidence) -> Markup:
    """Return the table of P(row better than column), marked where that is more than chance; nothing for one run."""
    found = evidence.improvement
    if found is None:
        return Markup("")
    labels, order = evidence.study.optimizers, evidence.order
    rows: list[tuple[str, list[tuple[str, str, str]]]] = []
    for i in order:
        cells: list[tuple[str, str, str]] = []
        for j in order:
            ahead, behind = evidence.better[i, j], evidence.better[j, i]
            kind, mark = ("above", "▲ ") if ahead else ("below", "▼ ") if behind else ("", "")
            interval = "" if found.over is None else f"[{found.low[i, j]:.2f}, {found.high[i, j]:.2f}]"
            cells.append(("none", "·", "") if i == j else (kind, f"{mark}{found.estimate[i, j]:.2f}", interval))
        rows.append((labels[i], cells))
    caption = "Probability that a run of the row is faster than a run of the column"
    note = caption
    if found.over is not None:
        note += (
            ", with a 95 % interval for each pair by itself. ▲ and ▼: more than chance; that any of them is false has "
            "a probability of 5 % at most. Where an interval leaves out one half and there is no mark, one is ahead on "
            "some problems alone, or the pairs are too many for so few runs"
        )
    return macros.pairs(caption, f"{note}.", [labels[k] for k in order], rows)


def chance(evidence: Evidence) -> str:
    """The kind of chance that intervals and marks speak of: ``chance between seeds``."""
    over = evidence.over(len(evidence.problems))
    return "chance between searches and seeds" if over == "searches" else "chance between seeds"


def marks(evidence: Evidence) -> str:
    """Return what the marks rest on, and what they cannot show."""
    optimizers = len(evidence.study.optimizers)
    if evidence.units == 0:
        if all(evidence.fixed) and evidence.study.spec.searches == 1:
            return "Seeds change nothing here, so there is no chance between them to speak of, and nothing is marked."
        few = few_runs(evidence)
        return f"With {few} nothing is marked: it takes {ENOUGH} seeds, or {ENOUGH} searches over all problems."
    pairs = optimizers * (optimizers - 1) // 2
    unit = "search" if evidence.over(len(evidence.problems)) == "searches" else "seed"
    where = "" if len(evidence.problems) == 1 else ", over all problems"
    text = (
        f"{int(evidence.better.sum())} of {counted(pairs, 'pair')} differ by more than {chance(evidence)}, by a test "
        f"of signs of rank sums ({counted(evidence.units, unit)}{where}): first an optimizer that is ahead of each "
        "other one, then one of those that are left, and of the rest all pairs, with Holm's correction."
    )
    if least_p(evidence.units, pairs) <= ALPHA:
        return text
    return (
        f"{text} {evidence.units} are too few to tell single pairs of {optimizers} apart, for which it takes "
        f"{units_needed(pairs)}; only one that is ahead of all others can be told."
    )


def over_problems(evidence: Evidence) -> str:
    """Return what Wilcoxon's test says of problems like these, or why it cannot say anything."""
    labels, order, problems = evidence.study.optimizers, evidence.order, len(evidence.problems)
    if problems == 1:
        return "One problem says nothing of others like it."
    others, baseline = len(labels) - 1, labels[evidence.baseline]
    what = f"Wilcoxon's signed rank test of {'each other one' if others > 1 else 'the other one'} against the baseline "
    what += f"{baseline} over {problems} problems"
    p = evidence.signed_rank
    if p is None:
        corrected = f" after Holm's correction for {others} tests" if others > 1 else ""
        return (
            f"Of other problems like these nothing can be said: {what} has no p below "
            f"{written(evidence.least_p, '{:.2g}')}{corrected}, so it is not made; it takes "
            f"{units_needed(others)} problems."
        )
    differ = [f"{labels[k]} (p {written(p[k], '{:.2g}')})" for k in order if p[k] <= ALPHA]
    found = f"{', '.join(differ) or 'none'} {'differ' if len(differ) > 1 else 'differs'} at 0.05"
    return f"Of other problems like these: {what}, two-sided, corrected by Holm: {found}."


def told_apart(evidence: Evidence) -> str:
    """Return where bars of mean ranks and the signed rank test say different things; nothing where they agree."""
    found, p = evidence.critical_difference, evidence.signed_rank
    if found is None or p is None:
        return ""
    base, labels = evidence.baseline, evidence.study.optimizers
    joined = {k for group in found.groups if base in group for k in group}
    by_test = [labels[k] for k in evidence.order if p[k] <= ALPHA and k in joined]
    by_rank = [labels[k] for k in evidence.order if k != base and p[k] > ALPHA and k not in joined]
    parts: list[str] = []
    if by_test:
        parts.append(f"the signed rank test tells {', '.join(by_test)} from {labels[base]} and the bars do not")
    if by_rank:
        parts.append(f"the bars tell {', '.join(by_rank)} from {labels[base]} and the signed rank test does not")
    reason = "the test asks of fewer pairs, and of sizes of differences; ranks depend on who else takes part"
    return f" Here {'; and '.join(parts)}: {reason}." if parts else ""


def other_orders(evidence: Evidence) -> str:
    """Return who is first by other counts than the order of this page; nothing where it is the same one."""
    labels, first = evidence.study.optimizers, evidence.order[0]
    counts = {}
    if evidence.improvement is not None:
        counts["by probability of being faster, mean over the others,"] = evidence.improvement.estimate.mean(axis=1)
    if len(evidence.problems) > 1:
        times = medians(evidence.times())
        fastest = times == times.min(axis=1, keepdims=True)
        counts["by the number of problems on which it is the fastest"] = fastest[times.min(axis=1) < np.inf].sum(axis=0)
    if (found := evidence.critical_difference) is not None:
        counts["by mean rank"] = -found.ranks
    parts = [
        f"{' and '.join(labels[k] for k in range(len(labels)) if worth[k] == worth.max())} {how}"
        for how, worth in counts.items()
        if worth[first] < worth.max()
    ]
    if not parts:
        return ""
    by = "median steps" if len(evidence.problems) == 1 else "score, which counts how much longer each takes"
    return f"By {by}, {labels[first]} is first; by other counts others are: {'; '.join(parts)}."
