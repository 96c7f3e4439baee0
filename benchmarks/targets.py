"""Finds the levels that targets are made of, and freezes them in the package, a file a problem.

``python benchmarks/targets.py --problems digits-mlp,digits-conv``: these alone; without it, all that have no levels by
definition. What was run is kept in a folder (``--kept``), and the same command goes on there; made again it gives the
same levels.

Seven rules are run, of several families, that compare does not take by itself (``BASELINES`` in
``gradstep.compare.problems.targets``). Each has ten trials of its learning rate: the points, the range and the runs are
those of ``gradstep compare``, as search number 100, which no study has. So no seed is one that a study chooses or
judges by: the trials have 1001000, and eight runs of the best trial 1000000 to 1000007. The best is the one that holds
the lowest loss. Of each run the file has the lowest level that it held, for the patience of its problem, by a quarter,
by half and by the end of its steps; ``settled`` in that module makes targets of them. Levels do not depend on how fast
the machine is; the seconds of a run are this one's, of its processor, so that what runs beside it does not count.
"""

import argparse
import json
import math
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import threadpoolctl

from gradstep.compare.contender import Contender
from gradstep.compare.evidence.statistics import held_level
from gradstep.compare.problems import PROBLEMS, Problem, find_problem
from gradstep.compare.problems.problem import TIERS
from gradstep.compare.problems.targets import BASELINES, SHARES, records, settled
from gradstep.compare.protocol import FIRST_TUNING_SEED, MOST_SEARCHES, read_contenders, train
from gradstep.compare.record import SEARCH_SEEDS, PlannedRun, RunRecord
from gradstep.compare.search import at, moved, space, table
from gradstep.environment import environment

FOLDER = Path(__file__).resolve().parents[1] / "src/gradstep/compare/problems/levels"
TRIALS, SEEDS = 10, 8
SEARCH = MOST_SEARCHES  # studies have those below
FIRST = SEARCH_SEEDS * SEARCH
PACKAGES = {"sklearn": "scikit-learn"}


class Kept:
    """The runs of a problem that were made, a line of JSON each; those of another form of it do not count."""

    def __init__(self, folder: Path, problem: Problem) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.problem = folder / f"{problem.name}.jsonl", problem
        told = problem.summary, problem.source, problem.size, problem.steps, problem.every
        self.form = [*told, problem.target.split, problem.target.patience]
        self.made: dict[tuple[Any, ...], dict[str, Any]] = {}
        lines = self.path.read_text("utf-8").splitlines(keepends=True) if self.path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]  # the last may have been broken off
        if len(whole) < len(lines):
            self.path.write_text("".join(whole), "utf-8")
        for run in map(json.loads, whole):
            if run["form"] == self.form:
                self.made[tuple(run["key"])] = run

    def run(self, one: Contender, trial: int, seed: int) -> dict[str, Any]:
        """The levels and seconds of a run, which is made if it is not there."""
        hyper = at(space(one, self.problem, "lr"), moved(table()[trial], self.problem.name, SEARCH))
        key = one.label, trial, seed, hyper["lr"]
        if (found := self.made.get(key)) is None:
            target, started = self.problem.target, time.process_time()
            made = train(
                PlannedRun(self.problem.name, one.label, "tune", trial, seed, hyper, *[None] * 3, target.split)
            )
            if made.error is not None:
                raise SystemExit(f"{self.problem.name}: {one.label} failed: {made.error}")
            found = {
                "form": self.form,
                "key": key,
                "lr": hyper["lr"],
                **self.levels(made),
                "seconds": time.process_time() - started,
            }
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
            self.made[key] = found
        return found

    def levels(self, made: RunRecord) -> dict[str, float]:
        """The levels that a run held; infinite where it diverged."""
        patience = self.problem.target.patience
        return {
            tier: held_level(made.steps, made.loss, patience, SHARES[tier]) if made.finished else math.inf
            for tier in TIERS
        }


def record(problem: Problem, kept: Kept, trials: int, seeds: int) -> dict[str, Any]:
    """The record of a problem."""
    problem.begin(0)  # loads the data, which is no part of a run's time
    baselines: dict[str, Any] = {}
    seconds: list[float] = []
    for label, one in read_contenders(",".join(BASELINES)).items():
        tried = [kept.run(one, trial, FIRST + FIRST_TUNING_SEED) for trial in range(trials)]
        best = min(range(trials), key=lambda k: (tried[k]["hard"], k))
        runs = [kept.run(one, best, FIRST + seed) for seed in range(seeds)]
        seconds += [run["seconds"] for run in runs]
        lr = tried[best]["lr"]
        baselines[label] = {"lr": lr, **{tier: [run[tier] for run in runs] for tier in TIERS}}
        place = 1 + sum(run["lr"] < lr for run in tried)
        print(f"{problem.name:18} {label:9} lr {lr:<8g} (place {place} of {trials})", flush=True)
    versions = {key: x for key, x in environment().items() if key != "machine"}
    if problem.needs is not None:
        package = PACKAGES.get(problem.needs, problem.needs)
        versions[package] = metadata.version(package)
    return {
        "split": problem.target.split,
        "patience": problem.target.patience,
        "steps": problem.steps,
        "every": problem.every,
        "source": problem.source,
        "trials": trials,
        "tuning_seed": FIRST + FIRST_TUNING_SEED,
        "first_seed": FIRST,
        "seconds": float(f"{median(seconds):.1g}"),
        "baselines": baselines,
        "versions": versions,
        "command": f"python benchmarks/targets.py --problems {problem.name}"
        + (f" --trials {trials}" if trials != TRIALS else "")
        + (f" --seeds {seeds}" if seeds != SEEDS else ""),
        "date": datetime.now(UTC).date().isoformat(),
    }


def is_asked(name: str) -> bool:
    """Return True for a problem that has no levels of its own."""
    target = PROBLEMS[name]().target
    return name in records() or (target is not None and math.isnan(target.level))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", help="names, comma-separated")
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--kept", type=Path, default=Path("targets-runs"), help="the folder of the runs")
    parser.add_argument("--out", type=Path, default=FOLDER, help="the folder of the levels")
    given = parser.parse_args()
    names = given.problems.split(",") if given.problems else list(filter(is_asked, PROBLEMS))
    for name in names:
        problem = find_problem(name)
        if problem.name not in PROBLEMS or not is_asked(name):
            parser.error(f"{name} has levels by its definition, or is no name without options.")
        with threadpoolctl.threadpool_limits(1):
            found = record(problem, Kept(given.kept, problem), given.trials, given.seeds)
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        records.cache_clear()
        if given.out == FOLDER:
            print(f"{name:18} {settled(name)}", flush=True)


if __name__ == "__main__":
    main()
