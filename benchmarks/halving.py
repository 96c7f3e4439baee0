"""What halving trials saves, and what it costs: studies with all trials in full, and what halving makes of them.

    python benchmarks/halving.py            # eight problems, six optimizers, two searches of 16 trials and of 5
    python benchmarks/halving.py --quick    # two problems, two optimizers, one search
    python benchmarks/halving.py --out F    # keeps the study in the folder F, and goes on there

A trial that is stopped is the beginning of the same trial in full, so of a study in full every way to halve it can be
had, and no trial is made twice. A row is a way to halve; its saving is in steps of all trials, those made again
included.

A choice is that of a search of an optimizer on a problem. Where halving chooses another trial, that one too is judged
by six fresh seeds. The regret is by what factor it takes more steps to the target: the geometric mean over all choices,
and the worst. By the seed of the trials it is never below one, as the full search chose the best by that. By the median
of the fresh seeds it may be: the full search has its luck too. Where one of the two misses the target there is no
factor: how many miss it by halving alone, and how many by the full search alone, is told beside the number of those
that either hits, by the fresh seeds.
"""

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np

from gradstep.compare import compare
from gradstep.compare.evidence.spending import spending
from gradstep.compare.evidence.statistics import median
from gradstep.compare.evidence.study import to_target

PROBLEMS = [
    *("digits-softmax", "digits-mlp", "breast-cancer", "diabetes", "fair", "logistic", "quadratic", "rosenbrock"),
]
OPTIMIZERS = ["sgd", "nesterov", "adagrad", "rmsprop", "adam", "adamw:lr=warmup_cosine"]
WAYS = [(eta, rungs, trials) for trials in (16, 5) for eta, rungs in ((2, 3), (3, 2), (3, 3), (4, 2))]


def judged(study, problem, optimizer, search):
    """Median steps to the target of the judging runs of a search."""
    runs = [run for run in study.evaluated(problem, optimizer) if run.search == search]
    return median([to_target(run, study.target(problem)) for run in runs])


def row(folder, call, eta, rungs, trials):
    """The saving of a way to halve, and what its choices are worth beside those of the full search."""
    full = compare(**call, trials=trials, out=folder)
    halved = compare(**call, trials=trials, search="halving", eta=eta, rungs=rungs, out=folder)
    spent = [spending(halved, problem) for problem in full.problems]
    same = lost = won = hit = neither = 0
    logs, chosen = [], []
    for problem in full.problems:
        for optimizer in full.optimizers:
            for search in range(full.spec.searches):
                best = [study.best_trial(problem, optimizer, search) for study in (full, halved)]
                worth = full.worth(problem, optimizer, search)
                if worth[best[1]][0] < math.inf:
                    chosen.append(math.log(worth[best[1]][0] / worth[best[0]][0]))
                steps = [judged(study, problem, optimizer, search) for study in (full, halved)]
                same += best[0] == best[1]
                if math.inf not in steps:
                    logs.append(math.log(steps[1] / steps[0]))
                lost += steps[1] == math.inf > steps[0]
                won += steps[0] == math.inf > steps[1]
                neither += min(steps) == math.inf
                hit += 1
    return {
        "saving": 1 - sum(x.spent for x in spent) / sum(x.full for x in spent),
        "same": same / hit,
        "lost": lost,
        "won": won,
        "neither": neither,
        "of": hit,
        "regret": math.exp(np.mean(logs)) - 1,
        "worst": math.exp(np.max(logs)),
        "chosen": math.exp(np.mean(chosen)) - 1,
        "worst chosen": math.exp(np.max(chosen)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two problems, two optimizers, one search")
    parser.add_argument("--out", type=Path, help="keep the studies in this folder, and go on there")
    given = parser.parse_args()
    call = {"problems": PROBLEMS, "optimizers": OPTIMIZERS, "searches": 2, "seeds": 6}
    if given.quick:
        call |= {"problems": PROBLEMS[3:5], "optimizers": OPTIMIZERS[:2], "searches": 1}
    heads = "trials", "eta", "rungs", "fewer steps", "same choice", "regret by its seed", "worst"
    heads += "regret by fresh seeds", "worst", "missed by halving, in full, of"
    print(f"| {' | '.join(heads)} |\n{'| --- ' * len(heads)}|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for eta, rungs, trials in WAYS:
            x = row(given.out or Path(temporary), call, eta, rungs, trials)
            rates = (f"{x[key]:.0%}" for key in ("saving", "same"))
            cells = trials, eta, rungs, *rates, f"{x['chosen']:+.1%}", f"{x['worst chosen']:.2f}"
            cells += f"{x['regret']:+.1%}", f"{x['worst']:.2f}"
            print(f"| {' | '.join(map(str, cells))} | {x['lost']}, {x['won']}, {x['of'] - x['neither']} |", flush=True)


if __name__ == "__main__":
    main()
