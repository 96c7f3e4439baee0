"""The twelve sections of the page. Each says in a sentence what it lacks where there is nothing to show."""

import html
import math
from collections.abc import Callable

from gradstep.compare.evidence import Evidence
from gradstep.compare.record import Run
from gradstep.compare.report import appendix, health, intuition, ranking, tables, tuning
from gradstep.compare.report.curves import Metric, curves
from gradstep.compare.report.looks import FAMILIES
from gradstep.compare.report.parts import Plot, beside, choice, choices, paragraph, section
from gradstep.compare.report.verdict import verdict
from gradstep.compare.statistics.pairwise import MIN_PROBLEMS
from gradstep.compare.statistics.profile import R_MAX
from gradstep.compare.study import Axis, Study
from gradstep.compare.table import entries
from gradstep.compare.wording import entry_cells, goal, headings, remarks
from gradstep.text import short

Show = Callable[[Plot], str]
Section = Callable[[int, Evidence, Show], str]

MOST_LOST = 200  # runs that are shown by themselves
NONE_COMPLETE = "Nothing to show yet: on no problem has every optimizer all of its seeds."
NOT_TIMED = "What a step costs has not been measured on all of these problems, so there are no seconds."


def first(number: int, evidence: Evidence, _: Show) -> str:
    """The verdict."""
    return section(number, "verdict", "Verdict", [paragraph(" ".join(verdict(evidence)))])


def leaderboard(number: int, evidence: Evidence, _: Show) -> str:
    """All problems together, and then each by itself."""
    study = evidence.study
    parts: list[str] = []
    if evidence.problems:
        alone = len(evidence.problems) == 1
        text = "In brackets: 95 % bootstrap intervals over paired seeds. "
        text += (
            "Steps are the median seed's; infinite for a miss."
            if alone
            else f"The score is the area under the profile of section 3 up to {R_MAX:g} times the best, from 0 to 1. "
            "The speed-up is a geometric mean over the problems that both solve, all of them unless a number says "
            "otherwise; so is what a step costs, over all."
        )
        heads, rows = tables.leaderboard(evidence)
        parts.append(tables.sortable(text, heads, rows, texts=(0, len(heads) - 1)))
    else:
        parts.append(paragraph(NONE_COMPLETE))
    parts.append(_choices(study, "board"))
    for problem in study.problems:
        shown = [entry_cells(study, entry) for entry in entries(study, problem)]
        caption = (
            f"{problem}. Target: {goal(study, problem)}; ∞: a miss. In brackets: the least and greatest of the seeds."
        )
        table = tables.sortable(caption, headings(study, problem), shown, texts=(0, 1) if _words(study) else (0,))
        empty = paragraph(f"{problem}: no run has been judged yet.")
        parts.append(f'<div data-problem="{html.escape(problem)}">\n{table if shown else empty}\n</div>')
    parts += [paragraph(text, "note") for text in remarks(study, study.table())]
    return section(number, "leaderboard", "Leaderboard", parts)


def _words(study: Study) -> bool:
    return study.spec.tune == "all"


def profiles(number: int, evidence: Evidence, show: Show) -> str:
    """By steps beside by seconds."""
    title = "Performance profiles"
    if len(evidence.problems) < 2:
        why = (
            "A profile is a distribution over problems; with one there is none." if evidence.problems else NONE_COMPLETE
        )
        return section(number, "profiles", title, [paragraph(why)])
    caption = (
        f"Solved by the median seed within so many times the best one's time. The score is the area up to {R_MAX:g}."
    )
    plots = [
        show(Plot(f"profile-{axis}", f"By {axis}", caption, ranking.profile(evidence, axis)))
        for axis in _axes(evidence)
    ]
    return section(number, "profiles", title, [beside(plots), _seconds(evidence), paragraph(FAMILIES, "note")])


def _axes(evidence: Evidence) -> list[Axis]:
    return ["steps", "seconds"] if evidence.has("seconds") else ["steps"]


def _seconds(evidence: Evidence) -> str:
    return "" if evidence.has("seconds") else paragraph(NOT_TIMED)


def distributions(number: int, evidence: Evidence, show: Show) -> str:
    """ECDFs of run times."""
    title = "Run-time distributions"
    if not evidence.problems:
        return section(number, "ecdf", title, [paragraph(NONE_COMPLETE)])
    caption = (
        "Fraction of all targets and seeds reached by then. The targets are 20 losses a problem, in equal ratios from "
        "the start to the best that any run reached; a line that ends low misses the last of them."
    )
    plots = [
        show(Plot(f"ecdf-{axis}", f"By {axis}", caption, ranking.ecdf(evidence, axis))) for axis in _axes(evidence)
    ]
    return section(number, "ecdf", title, [beside(plots), _seconds(evidence)])


def learning(number: int, evidence: Evidence, show: Show) -> str:
    """Learning curves of each problem."""
    study = evidence.study
    band = "the median of the seeds with its 95 % interval" if study.spec.seeds > 1 else "the one seed"
    parts = [
        paragraph(
            f"Thick: {band}, with the hyperparameters that were chosen. Thin: single seeds. A click on a name hides it."
        )
    ]
    axes = [(axis, title) for axis, title in ranking.UNITS.items() if axis != "seconds" or study.timings]
    parts.append(_choices(study, "curves", choice("axis", "Axis:", "axis", axes)))
    for k, problem in enumerate(study.problems):
        judged = [run for label in study.optimizers for run in study.evaluated(problem, label)]
        metrics: list[Metric] = ["loss", "accuracy"] if any(run.accuracy for run in judged) else ["loss"]
        if not judged:
            own = paragraph(f"{problem}: no run has been judged yet.")
        else:
            dotted = study.target(problem).metric
            own = beside(
                show(
                    Plot(
                        f"{metric}-{k}",
                        f"{problem}: {metric}",
                        "Dotted: the target." if metric == dotted else "",
                        curves(study, problem, metric) | {"axes": ranking.UNITS},
                    )
                )
                for metric in metrics
            )
        parts.append(f'<div data-problem="{html.escape(problem)}">\n{own}\n</div>')
    return section(number, "curves", "Learning curves", parts)


def _choices(study: Study, key: str, *more: str) -> str:
    return choices(choice(f"{key}-problem", "Problem:", "choice", [(p, p) for p in study.problems]), *more)


def rates(number: int, evidence: Evidence, show: Show) -> str:
    """Sensitivity to the learning rate, in the tuning phase."""
    study = evidence.study
    title = "Sensitivity to the learning rate"
    if study.spec.ruleset == "defaults":
        why = "Every optimizer ran with its defaults: no other learning rate was tried."
        return section(number, "sensitivity", title, [paragraph(why)])
    caption = (
        "Final loss of each trial, the median of its seeds with bars from the least to the greatest; a cross: a seed "
        "diverged. Dotted: the loss before the first step, above which nothing is drawn."
    )
    every = (
        ""
        if study.spec.tune == "lr"
        else " Other hyperparameters vary too, so a curve is not of the learning rate alone."
    )
    parts = [_choices(study, "sensitivity")]
    for k, problem in enumerate(study.problems):
        figure = tuning.sensitivity(evidence, problem)
        if figure is None:
            own = paragraph(f"{problem}: no trial is there.")
        else:
            own = show(Plot(f"sensitivity-{k}", f"{problem}: final loss", caption + every, figure)) + _usable(
                evidence, problem
            )
        parts.append(f'<div data-problem="{html.escape(problem)}">\n{own}\n</div>')
    return section(number, "sensitivity", title, parts)


def _usable(evidence: Evidence, problem: str) -> str:
    rows: list[list[tables.Cell]] = []
    for label in evidence.study.optimizers:
        found = evidence.rates(problem, label)
        if found is None:
            continue
        scalar, decades = tuning.usable(found)
        value, width = (math.nan, math.nan) if found.found is None else (found.found.value, found.found.decades)
        span = f"{short(found.rates[0])} to {short(found.rates[-1])}"
        lost = sum(found.lost)
        rows.append(
            [
                (label, label),
                (scalar, value),
                (decades, width),
                (span, found.rates[0]),
                (f"{lost}/{sum(found.runs)}", lost),
            ]
        )
    caption = (
        "Sensitivity: the mean over the rates of min(loss, loss at the start) less the best. Usable decades: around "
        "the best rate, where the loss gives up at most a tenth of what the best run gained."
    )
    return tables.sortable(caption, ["optimizer", "sensitivity", "usable decades", "rates tried", "diverged"], rows)


def trials(number: int, evidence: Evidence, show: Show) -> str:
    """How many trials it takes."""
    study = evidence.study
    title = "Tuning budget"
    if study.spec.ruleset == "defaults":
        return section(
            number, "budget", title, [paragraph("Every optimizer ran with its defaults: there were no trials.")]
        )
    caption = (
        "Median of the best of k trials, over all ways to draw k of those made; no point where most draws only miss."
    )
    parts = [_choices(study, "budget")]
    for k, problem in enumerate(study.problems):
        figure = tuning.budget(evidence, problem)
        if figure is None:
            why = f"{problem}: no trials of which some reached a target that was settled before them."
            own = paragraph(why)
        else:
            own = show(Plot(f"budget-{k}", f"{problem}: best of k trials", caption, figure))
        parts.append(f'<div data-problem="{html.escape(problem)}">\n{own}\n</div>')
    return section(number, "budget", title, parts)


def cost(number: int, evidence: Evidence, show: Show) -> str:
    """Steps beside seconds."""
    title = "Steps and seconds"
    if not evidence.has("seconds"):
        return section(number, "cost", title, [paragraph(NOT_TIMED if evidence.problems else NONE_COMPLETE)])
    scatter = ranking.costs(evidence)
    if not any(trace["x"] for trace in scatter["data"]):
        return section(number, "cost", title, [paragraph("No optimizer's median seed reached a target.")])
    plots = [
        show(
            Plot(
                "seconds-steps",
                "Seconds against steps",
                "Median seeds; a point a problem that is solved.",
                scatter,
                "Scatter plot",
            )
        ),
        show(
            Plot(
                "ranks",
                "Places by steps and by seconds",
                "1 is best; equals share a place.",
                ranking.rank_change(evidence),
            )
        ),
    ]
    note = "Seconds are steps times what a step costs on this machine, on one thread, measured alone."
    return section(number, "cost", title, [beside(plots), paragraph(note, "note")])


def pairwise(number: int, evidence: Evidence, show: Show) -> str:
    """Every two optimizers."""
    title = "Pair by pair"
    if not evidence.problems or len(evidence.study.optimizers) < 2:
        why = NONE_COMPLETE if not evidence.problems else "There is one optimizer, and no pair."
        return section(number, "pairs", title, [paragraph(why)])
    one = "With one seed no probability can be told."
    parts = [tables.pairs(evidence) or paragraph(one), paragraph(tables.tests(evidence))]
    figure = ranking.critical(evidence)
    if figure is None:
        parts.append(
            paragraph(f"A critical-difference line takes {MIN_PROBLEMS} problems; here are {len(evidence.problems)}.")
        )
    else:
        found = evidence.critical_difference
        assert found is not None  # noqa: S101 - there is a figure of it
        caption = (
            f"Bars join those within {found.distance:.3g} ranks, Nemenyi's critical difference at 0.05; Friedman's p "
            f"is {found.p:.2g}."
        )
        parts.append(show(Plot("critical", "Mean ranks", caption, figure, "Critical-difference diagram")))
    return section(number, "pairs", title, parts)


def steps(number: int, evidence: Evidence, show: Show) -> str:
    """Health of the steps."""
    study = evidence.study
    text = (
        "One run of each optimizer at its best trial (seed 0), looked at before each evaluation. A run ends as "
        "diverged at the first gradient or loss that is not finite; no step is skipped."
    )
    parts = [paragraph(text), _choices(study, "health")]
    for k, problem in enumerate(study.problems):
        figures = [(key, health.health(study, problem, key)) for key in health.TITLES]
        plots = [
            show(Plot(f"health-{key}-{k}", f"{problem}: {health.TITLES[key]}", "", figure))
            for key, figure in figures
            if figure is not None
        ]
        own = beside(plots, "trio") if plots else paragraph(f"{problem}: no run has been looked at.")
        parts.append(f'<div data-problem="{html.escape(problem)}">\n{own}\n</div>')
    lost = [run for run in study.runs if not run.finished]
    rows = [_lost(run) for run in lost[:MOST_LOST]]
    if not rows:
        parts.append(paragraph("No run diverged or ended with an error."))
    else:
        more = f" The first {MOST_LOST} are shown; all are in the appendix." if len(lost) > MOST_LOST else ""
        caption = f"{len(lost)} of {len(study.runs)} runs diverged or ended with an error.{more}"
        table = tables.sortable(caption, ["run", "phase", "trial", "seed", "what happened"], rows, texts=(0, 1, 4))
        parts.append(
            f"<details>\n<summary>Runs that were lost: {len(lost)} of {len(study.runs)}</summary>\n{table}\n</details>"
        )
    return section(number, "health", "Health", parts)


def _lost(run: Run) -> list[tables.Cell]:
    what = run.error or f"diverged in step {run.diverged}"
    name = f"{run.optimizer} on {run.problem}"
    return [(name, name), (run.phase, run.phase), (f"{run.trial}", run.trial), (f"{run.seed}", run.seed), (what, what)]


def intuitive(number: int, evidence: Evidence, show: Show) -> str:
    """Paths on surfaces."""
    title = "Intuition"
    found = intuition.pictures(evidence.study)
    if not found:
        return section(
            number,
            "intuition",
            title,
            [paragraph("None of these optimizers can be shown on a surface of two coordinates.")],
        )
    names = ["Paths on a quadratic", "Paths on Rosenbrock's function", "Rate map"]
    kinds = ["Contour map with paths", "Contour map with paths", "Map of rates"]
    plots = [
        show(Plot(f"intuition-{k}", names[k], caption, figure, kinds[k])) for k, (caption, figure) in enumerate(found)
    ]
    banner = f'<p class="banner">{html.escape(intuition.BANNER)}</p>'
    return section(number, "intuition", title, [banner, beside(plots)])


def last(number: int, evidence: Evidence, _: Show) -> str:
    """The appendix."""
    return section(number, "appendix", "Appendix", appendix.parts(evidence.study))


SECTIONS: tuple[Section, ...] = (
    first,
    leaderboard,
    profiles,
    distributions,
    learning,
    rates,
    trials,
    cost,
    pairwise,
    steps,
    intuitive,
    last,
)
