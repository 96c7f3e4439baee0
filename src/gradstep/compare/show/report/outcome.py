"""The outcome of a study as plain data, for other programs: the verdict with the numbers that it rests on."""

from dataclasses import asdict
from typing import Any

import numpy as np

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.spending import spending
from gradstep.compare.evidence.statistics import Estimate, medians, run_scores
from gradstep.compare.evidence.study import Study
from gradstep.compare.show.report.tables import alone_steps
from gradstep.compare.show.report.verdict import verdict


def outcome(study: Study) -> dict[str, Any]:
    """Return the verdict as the report has it, and the numbers of each optimizer, the best first.

    ``over`` says what intervals resample, ``"searches"`` or ``"seeds"``. Where it is None there are too few: numbers
    have ``least`` and ``greatest`` of single runs, and no ``low`` and ``high``. ``better`` has pairs of optimizers of
    which the first is better by more than chance. Where all targets have three levels, optimizers have ``easy`` and
    ``hard`` too, their score or median steps there; everything else is of the middle ones. Where trials were halved,
    ``trials`` has their steps by problem.
    """
    evidence = Evidence(study)
    found: dict[str, Any] = {"verdict": verdict(evidence), "problems": evidence.problems, "over": None}
    if study.spec.search == "halving":
        found["trials"] = {problem: asdict(spending(study, problem)) for problem in study.problems}
    if not evidence.problems:
        return found | {"optimizers": [], "better": []}
    labels, alone, speed = study.optimizers, len(evidence.problems) == 1, evidence.speedups()
    first = alone_steps(evidence) if alone else evidence.scores()
    rows: list[dict[str, Any]] = [
        {"optimizer": labels[k], "steps" if alone else "score": _plain(first, k), "speedup": _plain(speed, k)}
        for k in evidence.order
    ]
    for tier, times in evidence.tiers.items():
        worth = medians(times)[0] if alone else run_scores(times)
        for k, row in zip(evidence.order, rows, strict=True):
            row |= {} if tier == "middle" else {tier: float(worth[k])}
    better = [[labels[i], labels[j]] for i, j in np.argwhere(evidence.better)]
    return found | {
        "over": first.over,
        "baseline": labels[evidence.baseline],
        "optimizers": rows,
        "better": better,
    }


def _plain(found: Estimate, k: int) -> dict[str, float]:
    names = ("least", "greatest") if found.over is None else ("low", "high")
    bounds = {name: float(x[k]) for name, x in zip(names, (found.low, found.high), strict=True)}
    return {"estimate": float(found.estimate[k]), **bounds}
