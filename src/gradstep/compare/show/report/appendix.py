"""The appendix: what it takes to judge a study, and to make it again."""

import math

from markupsafe import Markup

from gradstep.compare.evidence.study import CRITERION, Study
from gradstep.compare.problems.problem import TIERS
from gradstep.compare.problems.targets import SHARES
from gradstep.compare.protocol import judging_seeds, tuning_seeds
from gradstep.compare.record import Spec
from gradstep.compare.show.export import rows
from gradstep.compare.show.pages.templates import macros
from gradstep.compare.show.wording import counted, halved, levels
from gradstep.text import short

ORIGINS = {
    "frozen": "frozen in the package, from tuned baselines",
    "problem": "by the problem's definition",
    "given": "given on the command line",
}


def parts(study: Study) -> list[Markup]:
    """Return protocol, problems and targets, command, spec, machine, every run."""
    return [
        macros.titled("Protocol", macros.paragraph(protocol(study))),
        macros.titled("Problems and targets", macros.details(_problems(study))),
        macros.titled("To repeat it", macros.code(study.command)),
        macros.titled("Spec", macros.details(_spec(study))),
        macros.titled("Made with", macros.details(study.made_with)),
        macros.folded(f"Every run: {len(study.runs)}", _runs(study)),
    ]


def protocol(study: Study) -> str:
    """Return the protocol in sentences."""
    spec = study.spec
    exact = all(card.exact for card in study.problem_info.values())
    final = "" if exact else " Final figures are from test data, which nothing was chosen by."
    drawn = "chosen by Optuna's TPE from" if spec.search == "tpe" else "points of one quasi-random table mapped onto"
    trials = (
        "Each optimizer is run as it comes, with its own default hyperparameters. "
        if spec.ruleset == "defaults"
        else f"Each optimizer has {counted(spec.trials, 'trial')}, {drawn} its own log-space of "
        f"{'learning rates' if spec.tune == 'lr' else 'hyperparameters'}, with seeds that judge nothing. The best is "
        f"that with {CRITERION}; it is run again with fresh seeds. {''.join(f'{x} ' for x in halved(study))}"
        f"{_searches(spec)}"
    )
    judging = "Judging runs" if spec.search == "halving" else "All runs"
    return (
        f"{trials}A seed settles the initial parameters and the batches, so runs of one seed start and go on alike for "
        f"every optimizer. {judging} go all of their steps; a miss is infinite, and a run that diverges is a miss, "
        f"even if it touched the target before.{final} Runs have one thread. The time of a step is measured after all "
        "runs, with nothing beside it, and evaluations are not in it."
    )


def _searches(spec: Spec) -> str:
    if spec.searches == 1:
        return "There is one search: how far the choice of the points and of the tuning seeds decides does not show. "
    return (
        f"There are {counted(spec.searches, 'search')}, each with its points moved by another part of the space "
        "and with seeds of its own; all their judging runs count. "
    )


def _run(seeds: range) -> str:
    return f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else str(seeds[0])


def _problems(study: Study) -> dict[str, str]:
    out: dict[str, str] = {}
    for label, card in study.problem_info.items():
        goal = study.goal(label)
        from_where = ORIGINS.get(goal.origin, "settled by this study's own runs")
        if goal.by:
            from_where = f"frozen in the package, what half of {', '.join(goal.by)} reach{_by_when()}"
        out[label] = (
            f"{card.summary[0].upper()}{card.summary[1:]} ({card.source}; {card.size}); {card.steps} steps, evaluated "
            f"every {card.every}. Target: {levels(study, label)}; {from_where}."
        )
    return out


def _by_when() -> str:
    """Return the shares of the steps by which baselines reached the levels of targets, in words."""
    told = [f"{100 * SHARES[tier]:g} %" for tier in TIERS]
    return f" by {told[0]}, {told[1]} and {told[2]} of the steps in three of four of their runs"


def _spec(study: Study) -> dict[str, str]:
    spec = study.spec
    tuned = spec.ruleset == "tuned"
    rows = {"optimizers": ", ".join(spec.optimizers), "ruleset": spec.ruleset}
    if tuned:
        halving = f" (eta {spec.eta}, at most {spec.rungs} rungs)" if spec.search == "halving" else ""
        rows |= {"trials": str(spec.trials), "searches": str(spec.searches), "search": f"{spec.search}{halving}"}
        rows["tuned"] = spec.tune
        rows["tuning seeds"] = ", ".join(str(seed) for k in range(spec.searches) for seed in tuning_seeds(spec, k))
    rows["judging seeds"] = "; ".join(_run(judging_seeds(spec, k)) for k in range(spec.searches))
    if spec.shard is not None:
        rows["shard"] = spec.shard
    rows["steps"] = "each problem's own" if spec.steps is None else str(spec.steps)
    rows |= {f"source of {label}": f"{x.path}, SHA-256 {x.sha256}" for label, x in spec.sources.items()}
    return rows | {"gradstep": spec.version, "SHA-256 of the spec": spec.sha256}


def _runs(study: Study) -> Markup:
    table = rows(study)
    if not table:
        return macros.paragraph("There is none yet.")
    heads = [name.replace("_", " ") for name in table[0]]
    return macros.runs(heads, [[_short(x) for x in row.values()] for row in table])


def _short(x: object) -> str:
    if x is None:
        return ""
    if not isinstance(x, float):
        return str(x)
    return short(float(f"{x:.5g}")) if math.isfinite(x) else "∞"
