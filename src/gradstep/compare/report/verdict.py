"""The verdict: three sentences from the data, the last of them on what the data do not show."""

import math

from gradstep.compare.naming import short
from gradstep.compare.study import Study
from gradstep.compare.table import Row
from gradstep.compare.wording import counted


def verdict(study: Study) -> str:
    """Who came first and how surely, how far apart they ended, and what neither of these shows."""
    rows = study.table()
    return " ".join((_first(study, rows), _end(study, rows), _limits(study, rows)))


def _first(study: Study, rows: list[Row]) -> str:
    spec, best = study.spec, rows[0]
    if math.isinf(best.steps_to_target.median):
        return (
            f"No optimizer reached the target ({study.problem.goal}) within {spec.steps} steps in most of its seeds; "
            f"the lowest final loss was that of {best.optimizer}, a median of {best.loss.median:.3g}."
        )
    goal, steps = f"the target ({study.problem.goal})", f"a median of {best.steps_to_target.median:g} steps"
    text = f"{best.optimizer} reached {goal} first, after {steps} at learning rate {short(best.lr)} ({_hits(best)})"
    if len(rows) == 1:
        return f"{text}."
    second = rows[1]
    median = second.steps_to_target.median
    ahead = f"{_ahead(study, best, second)} of {counted(len(spec.seeds), 'paired seed')}"
    tied = [row for row in rows if row.steps_to_target.median == best.steps_to_target.median]
    if len(tied) > 1:
        each = [f"{row.optimizer} (learning rate {short(row.lr)}, {_hits(row)})" for row in tied]
        return f"{', '.join(each[:-1])} and {each[-1]} reached {goal} first, all after {steps}."
    after = f"a median of {median:g} steps" if math.isfinite(median) else _hits(second)
    return f"{text}, followed by {second.optimizer} with {after}, which it beat in {ahead}."


def _hits(row: Row) -> str:
    return f"hit {row.hits}/{row.seeds}"


def _ahead(study: Study, a: Row, b: Row) -> int:
    """Seeds in which ``a`` reached the target in fewer steps than ``b``, from the same start on the same batches."""
    there = {
        row.optimizer: {r.seed: r.to_target for r in study.runs_of(row.optimizer) if r.lr == row.lr} for row in (a, b)
    }
    return sum(there[a.optimizer][seed] < there[b.optimizer][seed] for seed in study.spec.seeds)


def _end(study: Study, rows: list[Row]) -> str:
    where, steps = study.problem.where("test"), study.spec.steps
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
    ordered = sorted(rows, key=lambda row: row.loss.median)
    low, high = ordered[0], ordered[-1]
    return (
        f"After all {steps} steps the median {where}losses lay between {low.loss.median:.3g} ({low.optimizer}) and "
        f"{high.loss.median:.3g} ({high.optimizer})."
    )


def _limits(study: Study, rows: list[Row]) -> str:
    spec = study.spec
    edge = [row.optimizer for row in rows if row.at_edge]
    widen = f", and the best rate of {', '.join(edge)} lies at the edge of its grid" if edge else ""
    return (
        f"This does not show how they compare on another problem, with other batch sizes, schedules or "
        f"hyperparameters than the learning rate, nor, with {counted(len(spec.seeds), 'seed')} and no confidence "
        f"interval, that small differences are real{widen}."
    )
