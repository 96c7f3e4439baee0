"""The verdict: three sentences from the data, with intervals, the last of them on what the data do not show."""

import math

import numpy as np

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.statistics import medians
from gradstep.compare.evidence.statistics.ranks import MIN_PROBLEMS
from gradstep.compare.evidence.table import make_table
from gradstep.compare.problems.problem import Tier
from gradstep.compare.show.report import pairs
from gradstep.compare.show.report.tables import alone_steps, between, bracketed, few_runs
from gradstep.compare.show.wording import counted, goal


def verdict(evidence: Evidence) -> list[str]:
    """Return sentences: the first place and its certainty, its lead and cost, and the limits of both.

    Where targets have three levels there is one more before the last, on the first place at the other two.
    """
    if not evidence.problems:
        return ["There is no verdict yet: on no problem has every optimizer all of its seeds."]
    return [_first(evidence), _cost(evidence), *_levels(evidence), _limits(evidence)]


def answer(evidence: Evidence) -> str:
    """Return a short sentence: who is first, ahead of whom, by how much, whether that may be chance; or nothing."""
    study = evidence.study
    if not evidence.problems or len(study.optimizers) < 2 or not math.isfinite(medians(evidence.times()).min()):
        return ""
    order = evidence.order
    best, second = (study.optimizers[k] for k in order[:2])
    if len(evidence.problems) == 1:
        steps = alone_steps(evidence).estimate
        one, other = float(steps[order[0]]), float(steps[order[1]])
        if one == other:
            return f"{best} and {second} reached the target first, after {one:g} steps."
        behind = f"{second} needed {other:g}" if math.isfinite(other) else f"{second} did not reach it"
        text = f"{best} reached the target first, after {one:g} steps; {behind}"
    else:
        scores, many = evidence.scores().estimate, f"{len(evidence.problems)} problems"
        one, other = float(scores[order[0]]), float(scores[order[1]])
        if one == other:
            return f"{best} and {second} are first over {many}, with the score {one:.2f}."
        text = f"{best} is first over {many}, with the score {one:.2f}; {second} has {other:.2f}"
    if study.spec.seeds * study.spec.searches == 1:
        return f"{text}. One seed does not show how surely."
    return f"{text}, {_sure(evidence, *order[:2])}."


def _first(evidence: Evidence) -> str:
    study, order = evidence.study, evidence.order
    labels, alone = study.optimizers, len(evidence.problems) == 1
    times = medians(evidence.times())
    if not math.isfinite(times.min()):
        what = f"the target ({goal(study, evidence.problems[0])})" if alone else "the target of any problem"
        rows = {row.optimizer: row for row in make_table(study)}
        text = f"No optimizer reached {what} with its median seed within the budget"
        if not alone:
            return f"{text}, so none is first."
        loss = {label: rows[label].entries[0].target_loss for label in labels}
        lowest = min(loss, key=lambda label: loss[label])
        if math.isinf(loss[lowest]):
            return f"{text}, and none ended with a finite loss."
        ended = f"the lowest loss after the last step was that of {lowest}, a median of {loss[lowest]:.3g}"
        return f"{text}, so none is first; {ended}."
    best = order[0]
    hits = "hit {}/{}".format(*evidence.hits(labels[best]))
    if alone:
        target, value = goal(study, evidence.problems[0]), between(alone_steps(evidence), best, "{:g}")
        text = f"{labels[best]} reached the target ({target}) after a median of {value} steps ({hits})"
        tied = [k for k in order if times[0, k] == times[0, best]]
    else:
        scores = evidence.scores()
        text = (
            f"{labels[best]} has the score {between(scores, best, '{:.2f}')} over {len(evidence.problems)} problems, "
            f"of which its median seed solved {int((times[:, best] < math.inf).sum())} ({hits})"
        )
        tied = [k for k in order if scores.estimate[k] == scores.estimate[best]]
    if len(order) == 1:
        return f"{text}; there is no other to compare it with."
    if len(tied) > 1:
        others = " and ".join(labels[k] for k in tied[1:])
        return f"{text}, and so {'does' if len(tied) == 2 else 'do'} {others}: they are tied for first."
    return f"{text}, ahead of {_second(evidence, best, order[1])}."


def _second(evidence: Evidence, best: int, second: int) -> str:
    labels = evidence.study.optimizers
    name = labels[second]
    if len(evidence.problems) == 1:
        steps = alone_steps(evidence)
        missed = math.isinf(float(steps.estimate[second]))
        text = f"{name}, whose median seed missed it" if missed else f"{name} with {between(steps, second, '{:g}')}"
        unit = "steps"
    else:
        text, unit = f"{name} with {between(evidence.scores(), second, '{:.2f}')}", "in score"
    if evidence.study.spec.seeds * evidence.study.spec.searches == 1:
        return f"{text}; one seed does not show how surely"
    ahead, sure = evidence.ahead(best, second), _sure(evidence, best, second)
    if math.isinf(float(ahead.estimate)):
        return f"{text}, {sure}"
    form = "{:.0f}" if unit == "steps" else "{:.2f}"
    estimate, low, high = float(ahead.estimate), float(ahead.low), float(ahead.high)
    return f"{text}; the difference is {bracketed(estimate, low, high, ahead.over is not None, form)} {unit}, {sure}"


def _sure(evidence: Evidence, best: int, second: int) -> str:
    """Return True if it is more than chance: both the difference and the pairs of runs must say so."""
    ahead, kind, found = evidence.ahead(best, second), pairs.chance(evidence), evidence.improvement
    if ahead.over is None or found is None:
        if all(evidence.fixed) and evidence.study.spec.searches == 1:
            return "the same for all seeds, which change nothing here"
        return f"but {few_runs(evidence)} are too few to rule out chance"
    apart, better = float(ahead.low) > 0, bool(evidence.better[best, second])
    if apart and better:
        return f"more than {kind} explains"
    if apart:
        p = found.estimate[best, second]
        return f"but a run of the first is ahead with a probability of {p:.2f}, which {kind} may explain"
    return f"which {kind} may explain" + (", though run by run it is ahead" if better else "")


def _cost(evidence: Evidence) -> str:
    study, best, base = evidence.study, evidence.order[0], evidence.baseline
    labels = study.optimizers
    speed, problems = evidence.speedups(), len(evidence.problems)
    over = "" if problems == 1 else f" (geometric mean over {problems} problems)"
    if not math.isfinite(medians(evidence.times()).min()):
        text = f"No speed over the baseline {labels[base]} can be told where nothing was reached"
    elif best == base:
        text = f"{labels[best]} is itself the baseline of the speed-ups"
    else:
        text = f"In steps {labels[best]} was {between(speed, best)} times as fast as the baseline {labels[base]}{over}"
        if np.isinf(evidence.times()[:, [best, base]]).any():
            text += ", a miss at the price of the budget and one evaluation more"
    if not evidence.has("seconds"):
        return f"{text}; what a step costs in seconds has not been measured on all problems."
    ranks = evidence.ranks("seconds")
    if not math.isfinite(medians(evidence.times("seconds")).min()):
        return f"{text}."
    fastest = [labels[k] for k in range(len(labels)) if ranks[k] == 1]
    if labels[best] in fastest:
        return f"{text}; by seconds it is first too."
    return f"{text}; by seconds, which are those of this machine, {' and '.join(fastest)} is first."


def _levels(evidence: Evidence) -> list[str]:
    """Return a sentence on who is first at the easy and at the hard targets; none without such, or for one alone."""
    labels = evidence.study.optimizers
    if not evidence.tiers or len(labels) < 2:
        return []

    def first(tier: Tier) -> str:
        names = [labels[k] for k in evidence.first_at(tier)]
        if not names:
            return f"nobody reaches {'one' if len(evidence.problems) > 1 else 'it'} with the median seed"
        return f"{' and '.join(names)} {'are' if len(names) > 1 else 'is'} first"

    one, s = ("that is", "") if len(evidence.problems) == 1 else ("those are", "s")
    easy, hard = first("easy"), first("hard")
    both = (
        f"at the easy and at the hard one{s} {easy}"
        if easy == hard
        else (f"at the easy one{s} {easy}, at the hard one{s} {hard}")
    )
    return [f"Of three levels of the target{s} {one} the middle one{s}: {both}."]


def _limits(evidence: Evidence) -> str:
    study = evidence.study
    spec = study.spec
    what = (
        "with other hyperparameters than their defaults"
        if spec.ruleset == "defaults"
        else (
            f"with more than {counted(spec.trials, 'trial')} of "
            f"{'the learning rate' if spec.tune == 'lr' else 'the hyperparameters'}"
            f"{' or all of them in full' if evidence.halved else ''}"
        )
    )
    rows = make_table(study)
    edge = [row.optimizer for row in rows if any(entry.at_edge for entry in row.entries)]
    widen = (
        f", and {', '.join(edge)} did best at the lowest or highest learning rate tried, so the best may lie outside"
        if edge
        else ""
    )
    failed = sum(run.error is not None for run in study.runs)
    broken = f"; {counted(failed, 'run')} ended with an error and counted as missed" if failed else ""
    has_schedules = any(one.shape is not None for one in study.contenders.values())
    schedule = "with another schedule" if has_schedules else "with a schedule"
    only = f"{evidence.problems[0]} alone" if len(evidence.problems) == 1 else "these problems"
    return (
        f"This does not show how they compare beyond {only}, at another size, batch size or budget, {schedule}, "
        f"or {what}; {_spoken_of(evidence)}{widen}{broken}."
    )


def _spoken_of(evidence: Evidence) -> str:
    """Return what intervals speak of and what not."""
    spec, over, order = evidence.study.spec, evidence.over(len(evidence.problems)), evidence.order
    seeds = counted(spec.seeds, "seed")
    if over is None:
        if all(evidence.fixed) and spec.searches == 1:
            return "seeds change nothing here, so there is no interval and no chance to speak of"
        few = f"{few_runs(evidence)} are too few for an interval (in parentheses: the least and the greatest of runs)"
        few = "with one seed there is no interval" if spec.seeds * spec.searches == 1 else few
        return f"{few}, and small differences may be chance"
    problems = "of the choice of problems"
    if len(evidence.problems) >= MIN_PROBLEMS and len(order) > 1:
        found = evidence.ahead(order[0], order[1], over_problems=True)
        span = f"{found.low:.2f} to {found.high:.2f}"
        problems += f": between problems like these the difference of the first two is {span}"
    if over == "searches":
        units = f"{counted(evidence.study.spec.searches, 'search')} and their seeds"
        return f"the intervals speak of chance between {units}, and not {problems}"
    search = "" if spec.ruleset == "defaults" else "of another search, nor "
    return f"the intervals speak of chance between {seeds}, and not {search}{problems}"
