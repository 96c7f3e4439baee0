"""``gradstep compare --plan``: the cost of a study and what it can show, before it is made."""

import math

from gradstep.cli.common import console, echo
from gradstep.cli.tables import print_table
from gradstep.compare.evidence.statistics import ENOUGH, resampled
from gradstep.compare.forecast import Forecast, forecast
from gradstep.compare.protocol import Plan
from gradstep.text import counted, duration, to_json


def show(plan: Plan, jobs: int | None, as_json: bool) -> int:
    """Print the forecast of a study, as a table or as a line of JSON."""
    from joblib import cpu_count

    found, at_a_time = forecast(plan), jobs or cpu_count()
    if as_json:
        echo(to_json({**_content(found), "jobs": at_a_time, "total_seconds": found.total / at_a_time}))
        return 0
    _costs(found)
    runs = counted(sum(found.runs.values()), "run")
    echo(f"{runs}, about {duration(found.total / at_a_time)} with {at_a_time} at a time.")
    if plan.spec.search == "halving":
        made, full = math.fsum(found.whole.values()), sum(found.runs.values())
        echo(f"Halving makes the steps of {made:.0f} whole runs in place of {full}.")
    if found.power and resampled(len(plan.spec.problems), plan.spec.seeds, plan.spec.searches) is None:
        echo(f"No optimizer can be claimed to be quicker than another: that takes {ENOUGH} seeds, or searches.")
    elif found.power:
        _chances(found)
    return 0


def _content(found: Forecast) -> dict[str, object]:
    plan = [
        {"problem": key, "runs": n, "whole_runs": found.whole[key], "seconds": found.seconds[key]}
        for key, n in found.runs.items()
    ]
    power = [
        {"noise": noise, "factor": factor, "power": x}
        for noise, own in found.power.items()
        for factor, x in own.items()
    ]
    return {"plan": plan, "power": power}


def _costs(found: Forecast) -> None:
    rows = [[key, str(n), f"{found.seconds[key]:.3g}"] for key, n in found.runs.items()]
    print_table(console(), ["problem", "runs", "seconds a run"], rows)


def _chances(found: Forecast) -> None:
    echo("The chance, at least, that an optimizer which is quicker on all problems is claimed to beat one other,")
    echo("by how far the steps to a target spread over seeds and searches:")
    factors = next(iter(found.power.values()))
    rows = [[f"{factor:g}", *(f"{own[factor]:.0%}" for own in found.power.values())] for factor in factors]
    print_table(console(), ["quicker by", *(f"spread {noise:.0%}" for noise in found.power)], rows)
