"""The table of a study: the result of each optimizer with the hyperparameters that were chosen for it."""

import math
from dataclasses import replace

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.statistics import median, spread
from gradstep.compare.evidence.study import Study, final_loss, to_target
from gradstep.compare.show.views import Entry, TableRow


def make_entry(study: Study, problem: str, optimizer: str) -> Entry | None:
    """Return the entry of a pair; None where no run has been judged yet."""
    judged = study.evaluated(problem, optimizer)
    if not judged:
        return None
    target = study.target(problem)
    times = [to_target(run, target) for run in judged]
    runs, timing = study.runs_of(problem, optimizer), study.timing(problem, optimizer)
    has_accuracy = any(run.accuracy for run in judged)
    chosen = {run.search: run.hyper for run in judged}
    return Entry(
        problem=problem,
        optimizer=optimizer,
        trial=judged[0].trial,
        hyper=judged[0].hyper,
        searched=tuple(chosen.values()),
        at_edge=any(_at_edge(study, problem, optimizer, *one) for one in chosen.items()),
        steps=spread(times),
        hits=sum(map(math.isfinite, times)),
        seeds=len(judged),
        target_loss=median([final_loss(run) for run in judged]),
        loss=spread([run.final.get("loss", math.inf) for run in judged]),
        accuracy=spread([run.final.get("accuracy", 0.0) for run in judged]) if has_accuracy else None,
        diverged=sum(run.diverged is not None for run in runs),
        failed=sum(run.error is not None for run in runs),
        runs=len(runs),
        step_us=math.nan if timing is None else timing.step_us,
        optimizer_us=math.nan if timing is None else timing.optimizer_us,
        state_bytes=math.nan if timing is None else timing.state_bytes,
    )


def _at_edge(study: Study, problem: str, optimizer: str, search: int, hyper: dict[str, float]) -> bool:
    """Return True if a search chose the lowest or highest of the rates that it tried."""
    rate = study.contenders[optimizer].rate
    tried = {run.hyper[rate] for run in study.tuning(problem, optimizer, search) if rate in run.hyper}
    return len(tried) > 1 and hyper[rate or ""] in (min(tried), max(tried))


def entries(study: Study, problem: str) -> list[Entry]:
    """Return the entries of a problem: fewest steps to the target first, then most hits, then lowest loss."""
    made = [make_entry(study, problem, optimizer) for optimizer in study.optimizers]
    return sorted((x for x in made if x is not None), key=lambda x: (x.steps.median, -x.hits, x.target_loss))


def make_table(study: Study) -> list[TableRow]:
    """A row for each optimizer, in the report's order: by score, and on one problem by steps, then hits, then loss.

    A study that is not complete has no scores: most problems solved first, then fewest steps, most hits, lowest loss.
    """
    rows: list[TableRow] = []
    for optimizer in study.optimizers:
        entries = [made for problem in study.problems if (made := make_entry(study, problem, optimizer)) is not None]
        hits, seeds = sum(x.hits for x in entries), sum(x.seeds for x in entries)
        solved = sum(math.isfinite(x.steps.median) for x in entries)
        rows.append(TableRow(optimizer, hits, seeds, solved, tuple(entries)))
    if not has_scores(study):
        return sorted(rows, key=_rank)
    evidence = Evidence(study)
    scores = evidence.scores().estimate
    return [replace(rows[k], score=float(scores[k])) for k in evidence.order]


def has_scores(study: Study) -> bool:
    """Return whether the table is sorted by score: the study has several problems, and all of its runs."""
    return study.finished and study.spec.shard is None and len(study.problems) > 1


def _rank(row: TableRow) -> tuple[float, ...]:
    steps = sum(x.steps.median for x in row.entries) if row.entries else math.inf
    return (-row.solved, steps, -row.hits, sum(x.target_loss for x in row.entries))
