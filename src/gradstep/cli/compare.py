"""``gradstep compare``: train problems with several optimizers and report on it."""

import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradstep.cli.common import INTERRUPTED, TERMINATED, WRONG, Ended, require, say, writable_file

if TYPE_CHECKING:
    from gradstep.compare import Spec

# What runs, data, report and timing import late; asked for at once, so that nothing is missed after the work is done.
PACKAGES = ("joblib", "threadpoolctl", "sklearn", "plotly", "jinja2", "rich")
PROBLEMS_HELP = "Problems or sets, as `gradstep problems` lists them, or FILE.py:NAME of your own."
OPTIMIZERS_HELP = "Comma-separated rules or constructors: adam,momentum:momentum=0.95,keras.RMSprop. Default: nine."


def compare(
    problems: Annotated[list[str], typer.Argument(metavar="PROBLEM", help=PROBLEMS_HELP)],
    optimizers: Annotated[str | None, typer.Option(help=OPTIMIZERS_HELP)] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Paired seeds that judge, the same for every optimizer.")] = 6,
    trials: Annotated[int, typer.Option(min=1, help="Hyperparameters tried of each optimizer on each problem.")] = 5,
    tuning_seeds: Annotated[int, typer.Option(min=1, help="Seeds of each trial; none of them judges.")] = 1,
    searches: Annotated[
        int | None, typer.Option(min=1, help="How often all is tuned anew, with moved points. Default: 1; for full, 3.")
    ] = None,
    ruleset: Annotated[str, typer.Option(help="tuned; or defaults: each as it comes, without trials.")] = "tuned",
    search: Annotated[
        str,
        typer.Option(help="quasi: points of a stored table; halving: those, the worse ones stopped; tpe: by Optuna."),
    ] = "quasi",
    eta: Annotated[
        int, typer.Option(help="Of halving: one of so many trials goes on, to so many times the steps.")
    ] = 3,
    rungs: Annotated[int, typer.Option(help="Of halving: lengths of trials, at most, that of the run among them.")] = 3,
    tune: Annotated[str, typer.Option(help="lr; decay: weight decay too; all: whatever has a declared space.")] = "lr",
    steps: Annotated[int | None, typer.Option(min=1, help="Updates in a run. Default: each problem's own.")] = None,
    target: Annotated[
        str | None, typer.Option(help="loss=0.1 or accuracy=0.95, in place of the target that a problem has.")
    ] = None,
    vary: Annotated[
        str | None, typer.Option(help="batch=32,128,512: each problem with each of these values of an option.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="K/N", help="The K-th of N parts alone; `gradstep merge` joins them.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder; with more seeds, trials or names it goes on. Default: gradstep-compare/PROBLEM."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs at a time. Default: the number of cores.")] = None,
    backend: Annotated[
        str, typer.Option(help="What makes the runs: loky, threading; or a cluster of dask or ray.")
    ] = "loky",
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of dask: tcp://HOST:PORT. Default: DASK_SCHEDULER_ADDRESS.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of ray: HOST:PORT, or auto. Default: RAY_ADDRESS.")
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(help="File or folder that a FILE.py reads, for a cluster's workers; several times for several."),
    ] = None,
    wait: Annotated[
        float, typer.Option(help="Seconds without an answer or a worker after which a cluster is given up.")
    ] = 30.0,
    csv: Annotated[Path | None, typer.Option(help="A row for each run, as CSV.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="The same as Parquet, by pyarrow.")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print runs, time and what can be seen, and make no study.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout, and nothing else.")] = False,
) -> int:
    """Train problems with several optimizers, tuned alike; print a table, write report.html.

    Every finished run is kept in the folder: after Ctrl-C, a kill or a crash the same command goes on. So does one that
    asks for more, or for fewer: what is there is not made again.
    """
    require(*PACKAGES, *["optuna"] * (search == "tpe"))
    from gradstep.cli.forecast import show
    from gradstep.cli.progress import reporter
    from gradstep.compare import Study, make_spec, run_study
    from gradstep.compare.clusters.dispatch import ClusterError
    from gradstep.compare.protocol import DEFAULT_OPTIMIZERS
    from gradstep.compare.show.export import check_parquet, write_tables
    from gradstep.compare.show.wording import failures
    from gradstep.compare.signals import Terminated
    from gradstep.compare.store import NAME
    from gradstep.compare.workers import Workers
    from gradstep.text import counted

    if parquet is not None:
        check_parquet()
    places = [None if path is None else writable_file(path) for path in (csv, parquet)]
    asked = make_spec(
        problems,
        DEFAULT_OPTIMIZERS if optimizers is None else optimizers,
        ruleset=ruleset,
        trials=trials,
        tuning_seeds=tuning_seeds,
        searches=searches,
        seeds=seeds,
        search=search,
        eta=eta,
        rungs=rungs,
        tune=tune,
        steps=steps,
        target=target,
        vary=vary,
        shard=shard,
    )
    if plan:
        return show(asked, jobs, json)
    workers = Workers(jobs, backend, address_of(backend, scheduler, address), files or [], wait)
    folder = out or free_folder(problems if vary is None else [*problems, vary], asked.spec)
    here = folder.absolute()  # code of the user's may change the current folder
    for note in asked.notes:
        say(note)
    try:
        with reporter(json) as shown:
            study = run_study(asked, folder, workers, shown)
    except (KeyboardInterrupt, ClusterError) as error:
        if not (here / NAME).is_file():
            raise
        kept = Study.load(here)
        total = counted(sum(kept.total.values()), "run")
        rest = f"{len(kept.runs)} of {total} are kept in {folder}, and the same command goes on."
        if isinstance(error, ClusterError):
            raise ClusterError(f"{error.said}; {rest[:-1]}") from error
        code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        raise Ended(code, f"interrupted; {rest}") from error
    study.report(here / "report.html")
    write_tables(study, *places)
    shown.end(study, [folder / NAME, folder / "report.html", *filter(None, (csv, parquet))])
    if study.mixture is not None:
        say(study.mixture)
    for failure in (failed := failures(study)):
        say(failure)
    return WRONG if failed else 0


def address_of(backend: str, scheduler: str | None, address: str | None) -> str | None:
    """Return the address of a cluster, which has one name with dask and another with ray."""
    from gradstep.errors import GradstepValueError

    for name, given, owner in (("--scheduler", scheduler, "dask"), ("--address", address, "ray")):
        if given is not None and backend != owner:
            raise GradstepValueError(f"{name} is for --backend {owner}, not {backend}.")
    return scheduler or address


def free_folder(problems: Sequence[str], spec: "Spec") -> Path:
    """The default folder: the first of its name that holds nothing yet, or a study that can go on as this one."""
    from gradstep.compare.store import NAME, Reader

    texts = [re.sub(r"\.py(?=:|$)", "", Path(text).name) for text in problems]
    name = "+".join(re.sub(r"[^\w.-]+", "-", text) for text in texts)
    name = name if len(name) <= 80 else f"{len(problems)}-problems"
    name = name if spec.shard is None else f"{name}-{spec.shard.replace('/', '-of-')}"
    for k in count(1):
        folder = Path("gradstep-compare") / (name if k == 1 else f"{name}-{k}")
        if not (folder / NAME).is_file() or Reader(folder).read().can_go_on_as(spec):
            return folder
    raise AssertionError  # for the type checker
