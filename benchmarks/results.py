"""The tables of docs/results, from the study that its plan asks for; each answers a question of the plan.

python benchmarks/results.py STUDY      # the folder that `gradstep compare` wrote
"""

import argparse
import math
from itertools import combinations

import numpy as np
from scipy.stats import binomtest, kendalltau

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.statistics import holm, medians, priced, run_scores, scores
from gradstep.compare.evidence.study import Study
from gradstep.compare.problems.problem import TIERS

SCHEDULE = ":lr=warmup_cosine"
ONE_RATE = ("dadapt_adam", "dadapt_sgd", "dog", "dowg", "ldog", "prodigy")


def short(label):
    """Return a contender's name as the tables have it: ``adam ~`` with warm-up and cosine, ``adam`` without."""
    return label.replace(SCHEDULE, " ~")


def table(heads, rows):
    """Print a table in Markdown."""
    for row in (heads, ["---"] * len(heads), *rows):
        print("|", " | ".join(row), "|")
    print()


def bracketed(found, k):
    """Return an estimate with its interval."""
    estimate, low, high = found.estimate[k], found.low[k], found.high[k]
    return "-" if math.isnan(estimate) else f"{estimate:.2f} [{low:.2f}, {high:.2f}]"


def overall(evidence):
    """All optimizers, the best score first; the mark is that of the report, against the baseline."""
    times, base = evidence.times(), evidence.baseline
    found = {
        wide: (evidence.scores(over_problems=wide), evidence.speedups(over_problems=wide)) for wide in (False, True)
    }
    solved = np.isfinite(medians(times)).sum(axis=0)
    hit = np.isfinite(times).sum(axis=(0, 2))
    rows = []
    for k in evidence.order:
        mark = "▲" if evidence.better[k, base] else "▼" if evidence.better[base, k] else ""
        columns = [bracketed(found[wide][which], k) for which in (0, 1) for wide in (False, True)]
        rows.append([short(evidence.study.optimizers[k]), *columns, mark, str(solved[k]), str(hit[k])])
    heads = [
        "optimizer",
        "score",
        "score, over problems too",
        "speed-up",
        "speed-up, over problems too",
        "",
        "solved",
        "hit",
    ]
    table([*heads[:-2], f"solved of {len(evidence.problems)}", f"hit of {times.shape[0] * times.shape[2]}"], rows)


def by_problem(evidence):
    """What is asked of each problem, and who is first."""
    middle = medians(evidence.times())
    rows = []
    for problem, steps in zip(evidence.problems, middle, strict=True):
        first = np.flatnonzero(steps == steps.min()) if np.isfinite(steps).any() else []
        names = ", ".join(short(evidence.study.optimizers[k]) for k in first[:3])
        more = f" and {len(first) - 3} more" if len(first) > 3 else ""
        rows.append(
            [problem, f"{steps.min():g}", names + more, f"{steps[evidence.baseline]:g}", str(np.isfinite(steps).sum())]
        )
    table(["problem", "least median", "of", "of the baseline", "solved by"], rows)


def by_family(evidence):
    """Scores over each family's problems alone, and how far any two families agree."""
    found = evidence.family_scores()
    sizes = [len(places) for places in evidence.families.values()]
    rows = [[short(evidence.study.optimizers[k]), *(f"{own[k]:.2f}" for own in found.values())] for k in evidence.order]
    table(["optimizer", *(f"{family} ({n})" for family, n in zip(found, sizes, strict=True))], rows)
    rows = [[a, b, f"{kendalltau(found[a], found[b]).statistic:.2f}"] for a, b in combinations(found, 2)]
    table(["family", "and", "Kendall's tau"], rows)


def schedules(evidence):
    """By how much fewer steps a rule takes with the schedule than with a constant rate, at each level."""
    study, logs = evidence.study, {}
    cards = [study.problem_info[problem] for problem in evidence.problems]
    prices = np.array([[card.steps + card.every] for card in cards])
    names = [label for label in study.optimizers if label + SCHEDULE in study.optimizers]
    for tier, times in evidence.tiers.items():
        middle = np.log(medians(priced(times, prices)))
        pairs = [(study.optimizers.index(x), study.optimizers.index(x + SCHEDULE)) for x in names]
        logs[tier] = np.array([np.mean(middle[:, a] - middle[:, b]) for a, b in pairs])
    order = np.argsort(-logs["hard"])
    table(["rule", *TIERS], [[names[k], *(f"{math.exp(logs[tier][k]):.2f}" for tier in TIERS)] for k in order])
    ups = [int((logs[tier] > 0).sum()) for tier in TIERS]
    p = holm([binomtest(up, int((logs[tier] != 0).sum())).pvalue for up, tier in zip(ups, TIERS, strict=True)])
    rows = [
        [tier, f"{math.exp(np.median(logs[tier])):.2f}", f"{up} of {len(names)}", f"{x:.2g}"]
        for tier, up, x in zip(TIERS, ups, p, strict=True)
    ]
    table(["level", "median of rules", "rules that gain", "p (Holm)"], rows)


def heights(evidence):
    """How far the orders at two levels agree, and who is first at each."""
    found = {tier: scores(medians(times)) for tier, times in evidence.tiers.items()}
    rows = [[a, b, f"{kendalltau(found[a], found[b]).statistic:.2f}"] for a, b in combinations(found, 2)]
    table(["level", "and", "Kendall's tau"], rows)
    best = {tier: np.argsort(-own, kind="stable")[:5] for tier, own in found.items()}
    label = evidence.study.optimizers
    table(
        ["level", "the five with the highest score"],
        [[t, ", ".join(short(label[k]) for k in own)] for t, own in best.items()],
    )


def one_rate(evidence):
    """Hits of rules that find their rate, beside AdamW's."""
    labels, times = evidence.study.optimizers, evidence.times()
    hit = np.isfinite(times).sum(axis=(0, 2))
    own = [x for x in labels if x.removesuffix(SCHEDULE) in (*ONE_RATE, "adamw")]
    found = run_scores(times)
    table(
        ["optimizer", "hit", "score"],
        [[short(x), str(hit[k]), f"{found[k]:.2f}"] for x in own for k in [labels.index(x)]],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study")
    evidence = Evidence(Study.load(parser.parse_args().study))
    for part in (overall, by_problem, by_family, schedules, heights, one_rate):
        print(f"## {part.__doc__}\n")
        part(evidence)


if __name__ == "__main__":
    main()
