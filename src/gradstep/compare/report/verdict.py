"""The verdict on a problem: three sentences from the data, the last of them on what the data do not show."""

import math

from gradstep.compare.rows import Entry
from gradstep.compare.study import Study, to_target
from gradstep.compare.table import entries
from gradstep.compare.wording import chosen, counted, goal


def verdict(study: Study, problem: str) -> str:
    """Who came first and how surely, how far apart they ended, and what neither of these shows."""
    rows = entries(study, problem)
    if not rows:
        return "No run has been judged yet."
    return " ".join((_first(study, problem, rows), _end(study, problem, rows), _limits(study, rows)))


def _first(study: Study, problem: str, rows: list[Entry]) -> str:
    best, after_all = rows[0], study.cards[problem].steps
    if math.isinf(best.steps.median):
        return (
            f"No optimizer reached the target ({goal(study, problem)}) within {after_all} steps in most of its seeds; "
            f"the lowest final loss was that of {best.optimizer}, a median of {best.loss.median:.3g}."
        )
    target, steps = f"the target ({goal(study, problem)})", f"a median of {best.steps.median:g} steps"
    text = f"{best.optimizer} reached {target} first, after {steps}{_at(best)} ({_hits(best)})"
    if len(rows) == 1:
        return f"{text}."
    second = rows[1]
    median = second.steps.median
    ahead = f"{_ahead(study, problem, best, second)} of {counted(study.spec.seeds, 'paired seed')}"
    tied = [row for row in rows if row.steps.median == best.steps.median]
    if len(tied) > 1:
        each = [f"{row.optimizer} ({_hits(row)})" for row in tied]
        return f"{', '.join(each[:-1])} and {each[-1]} reached {target} first, all after {steps}."
    after = f"a median of {median:g} steps" if math.isfinite(median) else _hits(second)
    return f"{text}, followed by {second.optimizer} with {after}, which it beat in {ahead}."


def _at(row: Entry) -> str:
    return f" at learning rate {chosen(row)}" if chosen(row) else ""


def _hits(row: Entry) -> str:
    return f"hit {row.hits}/{row.seeds}"


def _ahead(study: Study, problem: str, a: Entry, b: Entry) -> int:
    """Seeds in which ``a`` reached the target in fewer steps than ``b``, from the same start on the same batches."""
    target = study.target(problem)
    mine, theirs = ({r.seed: to_target(r, target) for r in study.evaluated(problem, row.optimizer)} for row in (a, b))
    return sum(mine[seed] < theirs[seed] for seed in mine.keys() & theirs.keys())


def _end(study: Study, problem: str, rows: list[Entry]) -> str:
    where, steps = study.cards[problem].where("test"), study.cards[problem].steps
    if all(row.accuracy for row in rows):
        spreads = {row.optimizer: row.accuracy for row in rows if row.accuracy}
        ordered = sorted(spreads, key=lambda name: spreads[name].median)
        low, high = ordered[0], ordered[-1]
        widest = max(s.high - s.low for s in spreads.values())
        return (
            f"After all {steps} steps the median {where}accuracies lay between {100 * spreads[low].median:.1f} % "
            f"({low}) and {100 * spreads[high].median:.1f} % ({high}), while the seeds of one optimizer lay up to "
            f"{100 * widest:.1f} points apart."
        )
    by_loss = sorted(rows, key=lambda row: row.loss.median)
    low, high = by_loss[0], by_loss[-1]
    return (
        f"After all {steps} steps the median {where}losses lay between {low.loss.median:.3g} ({low.optimizer}) and "
        f"{high.loss.median:.3g} ({high.optimizer})."
    )


def _limits(study: Study, rows: list[Entry]) -> str:
    edge = [row.optimizer for row in rows if row.at_edge]
    widen = f", and the best rate of {', '.join(edge)} is the lowest or highest that was tried" if edge else ""
    return (
        f"This does not show how they compare on another problem, with other batch sizes, schedules or "
        f"hyperparameters than those that were tried, nor, with {counted(study.spec.seeds, 'seed')} and no confidence "
        f"interval, that small differences are real{widen}."
    )
