"""Settles the targets of all problems with real data, and freezes them in the package.

``python benchmarks/targets.py [PROBLEM...]``: all of them, or these alone; the others stay as they are.

Three baselines, Nesterov's momentum, AdamW and NAdam, are tuned with 20 trials each, which is four times what an
optimizer gets in a comparison: a learning rate from a quasi-random sequence over three decades around the problem's
scale, on seed 1000; the best trial is the one that ends with the best value of the target's metric (of equal
accuracies, with the lower loss). Its learning rate then makes five runs, seeds 0 to 4. The target is the value that the
median seed of the best baseline has at the end of its steps: not the best one on the way, which is a peak of the noise.
It is rounded to three digits, to the side that is easier to reach; that of the text, which differs a little from one
Python to the next, to two.
"""

import argparse
import json
import math
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import threadpoolctl

import gradstep as gs
from gradstep.compare.evidence.study import TARGET_BASELINES
from gradstep.compare.problems import FULL, find_problem
from gradstep.environment import environment
from gradstep.errors import NonFiniteError
from gradstep.rule import lookup

FILE = Path(__file__).resolve().parents[1] / "src/gradstep/compare/problems/targets.json"
TRIALS = 20
DECADES = 3
TUNING_SEED = 1000
SEEDS = range(5)
DIGITS = {"pydoc-chars": 2}
PACKAGES = {"sklearn": "scikit-learn"}


def rates(centre):
    """Learning rates around ``centre``, evenly spread in the logarithm however many are taken: Kronecker's sequence."""
    golden = (math.sqrt(5) - 1) / 2
    return [float(f"{centre * 10 ** (DECADES * ((0.5 + k * golden) % 1 - 0.5)):.3g}") for k in range(TRIALS)]


def train(problem, rule, lr, seed):
    """The metric and the loss at the end of a run, on the target's data; NaN where it diverged.

    It is evaluated on the way as well, for the time that takes.
    """
    task = problem.begin(seed)
    optimizer = gs.Optimizer(task.params, rule, lr=lr, threads=1)
    for step in range(problem.steps):
        if step % problem.every == 0:
            task.evaluate(problem.target.split)
        try:
            optimizer.step(task.value_and_grad(next(task.batches))[1])
        except NonFiniteError:
            return math.nan, math.nan
    values = task.evaluate(problem.target.split)
    return values[problem.target.metric], values["loss"]


def order(metric):
    """A key that sorts ends of runs, the best first, those that diverged last."""

    def key(end):
        value, loss = end
        return (math.isnan(value), -value if metric == "accuracy" else value, loss)

    return key


def easier(value, metric, digits):
    """So many digits of ``value``, rounded to the side that is easier to reach."""
    places = digits - 1 - math.floor(math.log10(value))
    to_side = math.floor if metric == "accuracy" else math.ceil
    return round(to_side(round(value * 10**places, 6)) / 10**places, places)


def settle(name):
    """The record of a problem."""
    problem = find_problem(name)
    metric, key = problem.target.metric, order(problem.target.metric)
    problem.begin(0)  # loads the data, which is no part of a run's time
    baselines, middle, seconds = {}, {}, []
    for rule in TARGET_BASELINES:
        ends = {lr: train(problem, rule, lr, TUNING_SEED) for lr in rates(problem.scale[lookup(rule).units["lr"]])}
        best = min(ends, key=lambda lr: key(ends[lr]))
        reached = []
        for seed in SEEDS:
            started = time.process_time()
            reached.append(train(problem, rule, best, seed))
            seconds.append(time.process_time() - started)
        median_seed = sorted(SEEDS, key=lambda seed: key(reached[seed]))[len(SEEDS) // 2]
        middle[rule] = reached[median_seed]
        baselines[rule] = {"lr": best, "reached": [value for value, _ in reached], "median_seed": median_seed}
        place = sorted(ends).index(best) + 1
        print(f"{name:15} {rule:9} lr {best:<8g} (place {place} of {TRIALS})", baselines[rule]["reached"], flush=True)
    winner = min(TARGET_BASELINES, key=lambda rule: key(middle[rule]))
    digits = DIGITS.get(name, 3)
    level, typical = easier(middle[winner][0], metric, digits), sorted(seconds)[len(seconds) // 2]
    print(f"{name:15} {metric} {level:g} by {winner}; {typical:.2f} s a run", flush=True)
    versions = {key: x for key, x in environment().items() if key != "machine"}
    if problem.needs is not None:
        package = PACKAGES.get(problem.needs, problem.needs)
        versions[package] = metadata.version(package)
    return {
        "metric": metric,
        "level": level,
        "digits": digits,
        "split": problem.target.split,
        "baseline": winner,
        "baselines": baselines,
        "trials": TRIALS,
        "steps": problem.steps,
        "seconds": float(f"{typical:.1g}"),
        "source": problem.source,
        "versions": versions,
        "command": f"python benchmarks/targets.py {name}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", nargs="*", help=f"of {', '.join(FULL)}")
    names = parser.parse_args().problem or FULL
    with threadpoolctl.threadpool_limits(1):
        for name in names:
            found = settle(name)
            records = json.loads(FILE.read_text("utf-8"))
            records[name] = found
            ordered = {key: records[key] for key in FULL if key in records}
            FILE.write_text(json.dumps(ordered, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
