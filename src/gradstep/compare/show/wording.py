"""The words of a study: the same headings, cells and remarks in the terminal and in the report."""

import math
from collections.abc import Sequence

from gradstep.compare.evidence.spending import spending
from gradstep.compare.evidence.statistics import Spread
from gradstep.compare.evidence.study import Study
from gradstep.compare.evidence.table import has_scores
from gradstep.compare.halving import sizes
from gradstep.compare.problems import Target
from gradstep.compare.show.views import Entry, TableRow
from gradstep.text import counted, plain, written

Cell = tuple[str, str | float]  # what is shown, and what it is sorted by

EDGE_NOTE = "* the lowest or highest that was tried: a rate further out may do better."


def goal(study: Study, problem: str) -> str:
    """A target in words: ``validation accuracy ≥ 95 %``; for a level of this study, whose."""
    found = study.goal(problem)
    if math.isnan(found.level):
        none = "none: no optimizer was below the start after half of its steps"
        return none if study.finished and study.spec.shard is None else "not settled yet"
    _, _, whose = found.origin.partition("study: ")
    reached = f" (what {whose} has after half of its steps in three of four runs)" if whose else ""
    held = f", held for {counted(found.patience, 'evaluation')}" if found.patience > 1 else ""
    return f"{study.problem_info[problem].prefix(found.split)}{found.target}{held}{reached}"


def levels(study: Study, problem: str) -> str:
    """The words of a target with its other levels: ``loss ≤ 0.001, the middle of three levels (easy 0.01, ...)``."""
    found, words = study.goal(problem), goal(study, problem)
    levels = (("easy", found.easy), ("hard", found.hard))
    other = [f"{tier} {_level(found.target, x)}" for tier, x in levels if x is not None]
    return f"{words}, the middle of three levels ({', '.join(other)})" if other else words


def _level(target: Target, x: float) -> str:
    return f"{100 * x:g} %" if target.metric == "accuracy" else written(x, "{:g}")


def origins(study: Study) -> list[str]:
    """Return a sentence on baselines that compete and so set no target, and one where all of them do."""
    goals = {problem: study.goal(problem) for problem in study.problems}
    by_names: dict[tuple[str, ...], list[str]] = {}
    for problem, found in goals.items():
        if found.left_out:
            by_names.setdefault(found.left_out, []).append(problem)
    out = [
        f"{' and '.join(names)} {'compete' if len(names) > 1 else 'competes'} here, and no part in the target of "
        f"{', '.join(problems)} is {'theirs' if len(names) > 1 else 'its'}."
        for names, problems in by_names.items()
    ]
    if all_compete := [problem for problem, found in goals.items() if found.compete]:
        names = ", ".join(goals[all_compete[0]].by)
        out.append(
            f"All rules that set targets compete here ({names}), so none could be left out: the target of "
            f"{', '.join(all_compete)} is what half of them reached, and each has its part in it."
        )
    return out


def summary(study: Study) -> str:
    """Return the size of a study: ``9 optimizers, 5 trials, 3 seeds, 500 steps, 81 runs``."""
    spec = study.spec
    steps = sorted({card.steps for card in study.problem_info.values()})
    trials = "default hyperparameters" if spec.ruleset == "defaults" else counted(spec.trials, "trial")
    return ", ".join(
        [
            *([counted(len(study.problems), "problem")] if len(study.problems) > 1 else []),
            counted(len(study.optimizers), "optimizer"),
            trials,
            *[counted(spec.searches, "search")] * (spec.searches > 1),
            counted(spec.seeds, "seed"),
            counted(steps[0], "step") if len(steps) == 1 else f"{steps[0]} to {steps[-1]} steps",
            counted(sum(study.total.values()), "run"),
            *[f"shard {spec.shard}"] * (spec.shard is not None),
        ]
    )


def halved(study: Study) -> list[str]:
    """Return a sentence on the trials that were stopped, and on the steps that this saved; none without halving."""
    spec = study.spec
    first, *others = sizes(spec, spec.trials)
    if not others:
        return []
    parts = [f"to 1/{spec.eta**k} of the steps" for k in range(len(others), 0, -1)] + ["to the end"]
    went = [f"{first} were made {parts[0]}"] + [f"the best {n} {x}" for n, x in zip(others, parts[1:], strict=True)]
    found = [spending(study, problem) for problem in study.problems]
    spent, full = sum(x.spent for x in found), sum(x.full for x in found)
    less = f", {100 - 100 * spent / full:.0f} % fewer" if 0 < spent < full else ""
    text = f"The trials were halved: {', '.join(went[:-1])} and {went[-1]}. That took {spent} steps in place of {full}"
    return [f"{text}{less}; a trial that goes on is made again, and its steps count again."]


def chosen(study: Study, entry: Entry) -> str:
    """The hyperparameters of an entry: the learning rate alone, or each by name; those of searches as a span."""
    one = study.contenders[entry.optimizer]
    found = entry.hyper or {key: x for key, x in one.held.items() if key == one.rate}
    alone = len(found) == 1 and one.rate in found
    parts: list[str] = []
    for key, x in found.items():
        values = [hyper.get(key, x) for hyper in entry.searched]
        span = " to ".join(dict.fromkeys([plain(min(values)), plain(max(values))]))
        parts.append(f"{'' if alone else f'{key}='}{span}{'*' * (entry.at_edge and key == one.rate)}")
    return ", ".join(parts)


def headings(study: Study, problem: str, wide: bool = True) -> list[str]:
    """The columns of :func:`entry_cells`."""
    where = study.problem_info[problem].prefix("test")
    accuracy = [f"{where}accuracy %"] if _has_accuracy(study, problem) else []
    rates = "best lr" if study.spec.tune == "lr" else "best hyperparameters"
    rates = "lr" if study.spec.ruleset == "defaults" else rates
    costs = ["µs/step", *["µs/update", "state B/param"] * wide]
    return ["optimizer", rates, "steps to target", "hit", f"{where}loss", *accuracy, *costs, "diverged"]


def entry_cells(study: Study, entry: Entry, wide: bool = True) -> list[Cell]:
    """The cells of one optimizer, in the order of :func:`headings`; ``wide`` has more, and least and greatest too."""
    accuracy = entry.accuracy
    cells: list[Cell] = [
        (entry.optimizer, entry.optimizer),
        (chosen(study, entry), next(iter(entry.hyper.values()), 0.0)),
        (_spread(entry.steps, "{:g}", wide), entry.steps.median),
        (f"{entry.hits}/{entry.seeds}", entry.hits),
        (_spread(entry.loss, "{:.3g}", wide), entry.loss.median),
        *[(cost(x), x) for x in (entry.step_us, entry.optimizer_us)][: 1 + wide],
        *[("-" if math.isnan(entry.state_bytes) else f"{entry.state_bytes:.3g}", entry.state_bytes)] * wide,
        (f"{entry.diverged}/{entry.runs}" if entry.diverged else "0", entry.diverged),
    ]
    if _has_accuracy(study, entry.problem):
        percent = Spread(0.0, 0.0, 0.0) if accuracy is None else accuracy
        percent = Spread(100 * percent.median, 100 * percent.low, 100 * percent.high)
        cells.insert(5, (_spread(percent, "{:.1f}", wide), percent.median))
    return cells


def board_headings(study: Study) -> list[str]:
    """The columns of :func:`board_cells`: of several problems at once."""
    return ["optimizer", *["score"] * has_scores(study), "solved", "hit", *study.problems]


def board_cells(study: Study, row: TableRow) -> list[Cell]:
    """One optimizer on all problems: how many it solved, and the median steps to each one's target."""
    by_problem = {entry.problem: entry for entry in row.entries}
    return [
        (row.optimizer, row.optimizer),
        *[(f"{row.score:.3f}", row.score)] * has_scores(study),
        (f"{row.solved}/{len(study.problems)}", row.solved),
        (f"{row.hits}/{row.seeds}", row.hits),
        *(
            ("-", math.inf) if (entry := by_problem.get(p)) is None else (steps(entry.steps.median), entry.steps.median)
            for p in study.problems
        ),
    ]


def steps(x: float) -> str:
    """A number of steps; ∞ for a miss."""
    return written(x, "{:g}")


def cost(us: float) -> str:
    """Microseconds, or a dash where they are not known."""
    return "-" if math.isnan(us) else f"{us:.1f}"


def remarks(study: Study, rows: Sequence[TableRow]) -> list[str]:
    """Return the remarks beneath a table: edges, baselines that compete, wrong gradients, seeds that failed."""
    out = [EDGE_NOTE] if any(entry.at_edge for row in rows for entry in row.entries) else []
    return [*out, *origins(study), *study.notes, *filter(None, [study.mixture]), *failures(study)]


def failures(study: Study) -> list[str]:
    """A sentence for each error that ended runs, and how many."""
    found: dict[tuple[str, str], list[str]] = {}
    for run in study.runs:
        if run.error is not None:
            found.setdefault((run.problem, run.error), []).append(f"{run.optimizer}, seed {run.seed}")
    return [
        f"{problem}: {counted(len(those), 'run')} ended with an error, the first that of {those[0]}: {error}"
        for (problem, error), those in found.items()
    ]


def _has_accuracy(study: Study, problem: str) -> bool:
    return any(run.accuracy for label in study.optimizers for run in study.evaluated(problem, label))


def _spread(s: Spread, form: str, ranges: bool) -> str:
    low, middle, high = (written(x, form) for x in (s.low, s.median, s.high))
    return f"{middle} ({low} to {high})" if ranges and low != high else middle
