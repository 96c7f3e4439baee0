"""``gradstep compare``: train one problem with several optimizers and report on it."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from gradstep.errors import GradstepError

# What runs, data, report and timing import late; asked for at once, so that nothing is missed after the work is done.
PACKAGES = ("joblib", "threadpoolctl", "sklearn", "plotly", "rich")


def compare(
    problem: Annotated[str, typer.Argument(help="A problem, as `gradstep problems` lists them.")],
    optimizers: Annotated[
        str | None, typer.Option(help="Comma-separated rules: adam,momentum:momentum=0.95. Default: nine of them.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Paired seeds, the same for every optimizer.")] = 3,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates in a run. Default: the problem's own.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results. Default: gradstep-compare/PROBLEM.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes. Default: the number of cores.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout, and nothing else.")] = False,
) -> None:
    """Train a problem with several optimizers, each at several learning rates; print a table, write report.html."""
    require(*PACKAGES)
    from gradstep.cli.progress import reporter
    from gradstep.compare import make_spec, run_study
    from gradstep.compare.protocol import DEFAULT_OPTIMIZERS
    from gradstep.compare.report import write_report
    from gradstep.files import writable_folder

    spec = make_spec(problem, DEFAULT_OPTIMIZERS if optimizers is None else optimizers, seeds, steps)
    folder = writable_folder(out or Path("gradstep-compare") / spec.problem.replace(":", "-").replace("=", "-"))
    with reporter(spec, json) as report:
        study = run_study(spec, jobs, report.result)
    results, page = folder / "results.json", folder / "report.html"
    study.save(results)
    write_report(study, page)
    report.end(study, [results, page])


def require(*packages: str) -> None:
    """Refuse to begin without these packages."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise GradstepError(f"{', '.join(missing)} {verb} missing; pip install 'gradstep[compare]'")
