"""The sections of the page. Each says in a sentence what it lacks where there is nothing to show."""

import math
from collections.abc import Callable, Iterable
from statistics import median

from markupsafe import Markup

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.statistics import resampled
from gradstep.compare.evidence.statistics.profile import R_MAX
from gradstep.compare.evidence.statistics.ranks import MIN_PROBLEMS
from gradstep.compare.evidence.study import Axis, Study
from gradstep.compare.evidence.table import entries
from gradstep.compare.record import RunRecord
from gradstep.compare.show.pages.templates import macros
from gradstep.compare.show.report import appendix, axes, heights, pairs, ranking, tables, tuning
from gradstep.compare.show.report.curves import HEALTH, LEADING, Metric, curves, health, trials
from gradstep.compare.show.report.looks import FAMILIES
from gradstep.compare.show.report.parts import Plot, Section, Select, choices
from gradstep.compare.show.report.verdict import answer, verdict
from gradstep.compare.show.wording import entry_cells, halved, headings, levels, remarks
from gradstep.text import counted, short, written

Show = Callable[[Plot], Markup]

MOST_LOST = 200  # rows of the table of lost runs
NONE_COMPLETE = "Nothing to show yet: on no problem has every optimizer all of its seeds."
NOT_TIMED = "What a step costs has not been measured on all of these problems, so there are no seconds."


def _verdict(evidence: Evidence, _: Show) -> Section:
    said = verdict(evidence)
    title = "How sure that is, what it cost, and what it does not show"
    more = [macros.folded(title, macros.paragraph(" ".join(said)))] if evidence.problems else []
    return Section("verdict", "Verdict", [macros.answer(answer(evidence) or said[0]), *more])


def _leaderboard(evidence: Evidence, _: Show) -> Section:
    """Return the tables of all problems together, and of each by itself."""
    study = evidence.study
    parts: list[Markup] = []
    if evidence.problems:
        alone = len(evidence.problems) == 1
        text = f"{tables.brackets(evidence, evidence.over(len(evidence.problems)))} "
        text += (
            "Steps are the median run's; infinite for a miss. "
            if alone
            else f"The score is the area under the profile below up to {R_MAX:g} times the best, from 0 to 1. "
            "The speed-up is a geometric mean over all problems, and so is what a step costs. "
        )
        text += "For the speed-up a miss costs the budget and one evaluation more, the least that it can have taken."
        heads, rows = tables.leaderboard(evidence)
        parts.append(tables.sortable(text, heads, rows, words=(0, len(heads) - 1)))
        if len(evidence.families) > 1:
            text = (
                "Scores over the problems of each family alone, how many these are in parentheses. Without intervals, "
                "so differences between families are a hint of where to look, and no finding."
            )
            parts.append(tables.sortable(text, *tables.by_family(evidence)))
    else:
        parts.append(macros.paragraph(NONE_COMPLETE))
    words = (0, 1) if study.spec.tune != "lr" else (0,)

    def board(_: int, problem: str) -> Markup | str:
        rows = [entry_cells(study, entry) for entry in entries(study, problem)]
        caption = (
            f"{problem}. Target: {levels(study, problem)}; ∞: a miss. In parentheses: the least and the greatest run."
        )
        return tables.sortable(caption, headings(study, problem), rows, words) if rows else "no run has been judged yet"

    parts += [_problem_choices(study, "board"), *_each(study, board)]
    parts += [macros.paragraph(text, "note") for text in remarks(study, study.table())]
    return Section("leaderboard", "Leaderboard", parts)


def _profiles(evidence: Evidence, show: Show) -> Section:
    if len(evidence.problems) < 2:
        parts = [macros.paragraph("A profile is a distribution over problems; with one there is none.")]
    else:
        caption = (
            "Solved by the median seed within so many times the best one's time. The score is the area up to "
            f"{R_MAX:g}."
        )
        plots = [
            show(Plot(f"profile-{axis}", f"By {axis}", caption, ranking.profile(evidence, axis)))
            for axis in _axes(evidence)
        ]
        parts = [macros.beside(plots), _untimed(evidence), macros.paragraph(FAMILIES, "note")]
    return Section("profiles", "Performance profiles", parts)


def _distributions(evidence: Evidence, show: Show) -> Section:
    best = "the best that any run reached"
    hard = {evidence.study.target(problem).at("hard") is not None for problem in evidence.problems}
    end = " or, where there is none, ".join(["the problem's hard target"] * (True in hard) + [best] * (False in hard))
    caption = (
        "Fraction of all targets and seeds reached by then. The targets are 20 losses a problem, in equal ratios "
        f"from the start to {end}; a line that ends low misses the last of them. A run that diverged or failed "
        "misses all."
    )
    plots = [
        show(Plot(f"ecdf-{axis}", f"By {axis}", caption, ranking.ecdf(evidence, axis))) for axis in _axes(evidence)
    ]
    parts = [macros.beside(plots), _untimed(evidence)]
    return Section("ecdf", "Run-time distributions", parts)


def _learning_curves(evidence: Evidence, show: Show) -> Section:
    study = evidence.study

    def own(k: int, problem: str) -> Markup | str:
        judged = [run for label in study.optimizers for run in study.evaluated(problem, label)]
        if not judged:
            figure = trials(study, problem)
            note = "All runs that there are; none has been judged yet."
            none = "no run is finished yet"
            return none if figure is None else show(Plot(f"loss-{k}", f"{problem}: runs so far", note, figure))
        metrics: list[Metric] = ["loss", "accuracy"] if any(run.accuracy for run in judged) else ["loss"]
        target = study.target(problem)
        dotted, more = target.metric, "" if target.hard is None else ", and thinner its easy and its hard level"
        plots = [
            Plot(
                f"{metric}-{k}",
                f"{problem}: {metric}",
                f"Dotted: the target{more}." if metric == dotted else "",
                curves(study, problem, metric) | {"axes": ranking.UNITS},
            )
            for metric in metrics
        ]
        return macros.beside([show(plot) for plot in plots])

    over = resampled(1, study.spec.seeds, evidence.study.spec.searches)
    band = (
        "" if over is None else f" with its 95 % interval over {'searches and seeds' if over == 'searches' else over}"
    )
    thick = f"the median of the runs{band}" if study.spec.seeds * evidence.study.spec.searches > 1 else "the one run"
    text = (
        f"Thick: {thick}, with the hyperparameters chosen, at every evaluation. Thin: single runs. The "
        f"{LEADING} that are first on the problem have colours and their names; the others are grey, and tell theirs "
        "under the pointer."
    )
    axes = [(axis, title) for axis, title in ranking.UNITS.items() if axis != "seconds" or study.timings]
    selects = _problem_choices(study, "curves", Select("axis", "Axis:", "axis", axes))
    said = [macros.paragraph(text)] * any(run.phase == "eval" for run in study.runs)
    return Section("curves", "Learning curves", [*said, selects, *_each(study, own)])


def _sensitivity(evidence: Evidence, show: Show) -> Section:
    """Return the section on learning rates, from the tuning phase."""
    study = evidence.study
    key, title = "sensitivity", "Sensitivity to the learning rate"
    if study.spec.ruleset == "defaults":
        why = "Every optimizer ran with its defaults: no other learning rate was tried."
        return Section(key, title, [macros.paragraph(why)])
    what = "Loss of each trial after the first rung" if study.spec.search == "halving" else "Final loss of each trial"
    caption = (
        f"{what}, with {counted(study.spec.tuning_seeds, 'tuning seed')}: the median with bars from "
        "the least to the greatest; a cross: a seed diverged. Dotted: the loss before the first step, above which "
        "nothing is drawn."
    )
    if study.spec.tune != "lr":
        caption += " Other hyperparameters vary too, so a curve is not of the learning rate alone."

    def own(k: int, problem: str) -> Markup | str:
        figure = tuning.sensitivity(evidence, problem)
        if figure is None:
            return "no trial is there"
        stop = evidence.first_stop(problem)
        title = f"{problem}: {'final loss' if stop is None else f'loss after {stop} steps'}"
        return show(Plot(f"sensitivity-{k}", title, caption, figure)) + _usable(evidence, problem)

    return Section(key, title, [_problem_choices(study, "sensitivity"), *_each(study, own)])


def _usable(evidence: Evidence, problem: str) -> Markup:
    """Return the table of sensitivities: the range of good learning rates of each optimizer."""
    rows: list[list[tables.Cell]] = []
    for label in evidence.study.optimizers:
        found = evidence.rates(problem, label)
        if found is None:
            continue
        scalar, decades = tuning.usable(found)
        value, width = (math.nan, math.nan) if found.found is None else (found.found.value, found.found.decades)
        span = f"{short(found.rates[0])} to {short(found.rates[-1])}"
        lost = sum(found.lost)
        numbers = [(scalar, value), (decades, width), (span, found.rates[0]), (f"{lost}/{sum(found.runs)}", lost)]
        rows.append([(label, label), *numbers])
    caption = (
        "Sensitivity: the mean over the rates of min(loss, loss at the start) less the best. Usable decades: around "
        "the best rate, where the loss gives up at most a fiftieth of what the best run gained."
    )
    return tables.sortable(caption, ["optimizer", "sensitivity", "usable decades", "rates tried", "diverged"], rows)


def _budget(evidence: Evidence, show: Show) -> Section:
    study = evidence.study
    key, title = "budget", "Tuning budget"
    if study.spec.ruleset == "defaults":
        return Section(key, title, [macros.paragraph("Every optimizer ran with its defaults: there were no trials.")])
    caption = (
        "Median of the best of k trials, over all ways to draw k of those made; no point where most draws only miss. "
        f"All with {counted(study.spec.tuning_seeds, 'tuning seed')}, none of which judged."
    )

    def own(k: int, problem: str) -> Markup | str:
        figure = tuning.budget(evidence, problem)
        if evidence.first_stop(problem) is not None:
            return "trials were stopped, so the best of fewer is not known"
        if figure is None:
            return "no trials of which some reached a target that was settled before them"
        return show(Plot(f"budget-{k}", f"{problem}: best of k trials", caption, figure))

    told = [macros.paragraph(text) for text in halved(study)]
    return Section(key, title, [*told, _problem_choices(study, "budget"), *_each(study, own)])


def _varied(evidence: Evidence, show: Show) -> Section:
    """Return the section with steps against an option that problems differ in; without any, one without parts."""
    parts: list[Markup] = []
    for k, ((problem, key), labels) in enumerate(axes.varied(evidence.problems).items()):
        figure = axes.against(evidence, key, labels)
        caption = f"Median steps to the target of {problem}, for each {key}; no point for a miss."
        title = f"{problem}: steps against {key}"
        none = macros.paragraph(f"No optimizer reached the target of {problem} with its median seed, at any {key}.")
        parts.append(none if figure is None else show(Plot(f"varied-{k}", title, caption, figure)))
    return Section("varied", "Against an option", parts)


def _heights(evidence: Evidence, show: Show) -> Section:
    """Return the section on what an easier or a harder target would say; for one optimizer, one without parts."""
    key, title = "heights", "Easier and harder targets"
    if len(evidence.study.optimizers) < 2:
        return Section(key, title, [])
    figure = heights.heights(evidence)
    if figure is None:
        none = (
            "No optimizer's median seed reached an easy target."
            if evidence.tiers
            else ("No optimizer's median seed came half of the way to a target.")
        )
        return Section(key, title, [macros.paragraph(none)])
    what = (
        "Scores at the three levels that each target has; the middle ones are what other sections call the target. "
        if evidence.tiers
        else "Scores if each target were so far on the way from the start to the target that it is, in the logarithm "
        "of the loss or the error rate. "
    )
    caption = (
        f"{what}Where lines cross, the height of the target decides the order. No intervals; the hyperparameters are "
        "those chosen for the targets as they are."
    )
    parts = [show(Plot("target-heights", "Scores against the height of the targets", caption, figure))]
    if evidence.tiers:
        own = "; ".join(f"{problem}: {levels(evidence.study, problem)}" for problem in evidence.problems)
        parts.append(tables.sortable(f"{own}.", *heights.by_level(evidence)))
    return Section(key, title, parts)


def _cost(evidence: Evidence, show: Show) -> Section:
    key, title = "cost", "Steps and seconds"
    if not evidence.has("seconds"):
        return Section(key, title, [macros.paragraph(NOT_TIMED)])
    scatter = ranking.costs(evidence)
    if not any(trace["x"] for trace in scatter["data"]):
        return Section(key, title, [macros.paragraph("No optimizer's median seed reached a target.")])
    of_points = "Median seeds; a point a problem that is solved."
    of_places = "1 is best; equals share a place."
    plots = [
        Plot("seconds-steps", "Seconds against steps", of_points, scatter, "Scatter plot"),
        Plot("ranks", "Places by steps and by seconds", of_places, ranking.rank_change(evidence)),
    ]
    note = "Seconds are steps times what a step costs on this machine, on one thread, measured alone."
    return Section(key, title, [macros.beside([show(plot) for plot in plots]), macros.paragraph(note, "note")])


def _pairs(evidence: Evidence, show: Show) -> Section:
    key, title = "pairs", "Pair by pair"
    if len(evidence.study.optimizers) < 2:
        return Section(key, title, [macros.paragraph("There is one optimizer, and no pair.")])
    one = "With one seed no probability can be told."
    table = pairs.matrix(evidence)
    said = [pairs.marks(evidence), pairs.over_problems(evidence), pairs.other_orders(evidence)]
    parts = [table or macros.paragraph(one), *(macros.paragraph(text) for text in said if text)]
    found = evidence.critical_difference
    if found is None:
        there = len(evidence.problems)
        few = f"A critical-difference line takes {MIN_PROBLEMS} problems; here {'is' if there == 1 else 'are'} {there}."
        parts.append(macros.paragraph(few))
    else:
        p = written(found.p, "{:.2g}")
        caption = (
            f"Friedman's p is {p}: that all are alike is not ruled out, so one bar joins all."
            if found.p > pairs.ALPHA
            else f"Bars join those within {found.distance:.3g} ranks, Nemenyi's critical difference at 0.05 for "
            f"problems like these; Friedman's p is {p}.{pairs.told_apart(evidence)}"
        )
        figure = ranking.critical(evidence.study, found)
        parts.append(show(Plot("critical", "Mean ranks", caption, figure, "Critical-difference diagram")))
    return Section(key, title, parts)


def _health(evidence: Evidence, show: Show) -> Section:
    """Return the section on the size of gradients and steps, and on runs that were lost."""
    study = evidence.study
    text = (
        "One run of each optimizer at its best trial (seed 0), looked at before each evaluation. A run ends as "
        "diverged at the first gradient or loss that is not finite; no step is skipped."
    )

    def own(k: int, problem: str) -> Markup | str:
        figures = [(key, health(study, problem, key)) for key in HEALTH]
        plots = [
            show(Plot(f"health-{key}-{k}", f"{problem}: {HEALTH[key]}", "", figure))
            for key, figure in figures
            if figure is not None
        ]
        return macros.beside(plots, "trio") if plots else "no run has been looked at"

    told = [macros.paragraph(line) for line in unmoved(study)]
    parts = [macros.paragraph(text), *told, _problem_choices(study, "health"), *_each(study, own), _lost_runs(study)]
    return Section("health", "Health", parts)


def unmoved(study: Study) -> list[str]:
    """Return a sentence for each optimizer whose steps at the end of its run leave most elements where they were."""
    found: list[str] = []
    for problem in study.problems:
        for label in study.optimizers:
            run = study.health(problem, label)
            shares = [] if run is None else run.health.get("unmoved", [])
            norms = [0.0] if run is None else run.health.get("grad_norm") or [0.0]
            share, has_converged = median(shares[-3:] or [0.0]), norms[-1] < norms[0] / 10
            if share > 0.5 and not has_converged:
                found.append(
                    f"{label} on {problem}: {share:.0%} of the elements did not move in the last steps that were "
                    f"looked at though they have gradients; the steps round to nothing in their dtype, so keep masters."
                )
    return found


def _lost_runs(study: Study) -> Markup:
    lost = [run for run in study.runs if run.lost]
    if not lost:
        return macros.paragraph("No run diverged or ended with an error.")
    more = f" The first {MOST_LOST} are shown; all are in the appendix." if len(lost) > MOST_LOST else ""
    caption = f"{len(lost)} of {len(study.runs)} runs diverged or ended with an error.{more}"
    rows = [_lost(run) for run in lost[:MOST_LOST]]
    table = tables.sortable(caption, ["run", "phase", "trial", "seed", "what happened"], rows, words=(0, 1, 4))
    return macros.folded(f"Runs that were lost: {len(lost)} of {len(study.runs)}", table)


def _lost(run: RunRecord) -> list[tables.Cell]:
    what = run.error or f"diverged in step {run.diverged}"
    name = f"{run.optimizer} on {run.problem}"
    return [(name, name), (run.phase, run.phase), (f"{run.trial}", run.trial), (f"{run.seed}", run.seed), (what, what)]


def _appendix(evidence: Evidence, _: Show) -> Section:
    return Section("appendix", "Appendix", appendix.parts(evidence.study))


def _each(study: Study, make: Callable[[int, str], Markup | str]) -> Iterable[Markup]:
    """Yield the part of each problem; from a plain string, which says what is missing, a sentence."""
    for k, problem in enumerate(study.problems):
        own = make(k, problem)
        yield macros.by_problem(problem, own if isinstance(own, Markup) else macros.paragraph(f"{problem}: {own}."))


def _problem_choices(study: Study, key: str, *more: Select) -> Markup:
    groups: dict[str, list[tuple[str, str]]] = {}
    for label, card in study.problem_info.items():
        groups.setdefault(card.family, []).append((label, label))
    options = [option for those in groups.values() for option in those]
    named = groups if len(groups) > 1 else {}
    return choices(Select(f"{key}-problem", "Problem:", "choice", options, named), *more)


def _axes(evidence: Evidence) -> list[Axis]:
    return ["steps", "seconds"] if evidence.has("seconds") else ["steps"]


def _untimed(evidence: Evidence) -> Markup:
    return Markup("") if evidence.has("seconds") else macros.paragraph(NOT_TIMED)


Make = Callable[[Evidence, Show], Section]
SECTIONS: tuple[Make, ...] = (
    _verdict,
    _learning_curves,
    _leaderboard,
    _profiles,
    _distributions,
    _sensitivity,
    _budget,
    _varied,
    _heights,
    _cost,
    _pairs,
    _health,
    _appendix,
)
COMPLETE = _profiles, _distributions, _varied, _heights, _cost, _pairs  # say nothing before a problem is complete


def sections(evidence: Evidence, show: Show) -> list[Section]:
    """Return the sections that a study has something for."""
    made = [make(evidence, show) for make in SECTIONS if evidence.problems or make not in COMPLETE]
    return [section for section in made if section.parts]
