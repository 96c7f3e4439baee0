"""``gradstep watch``: how a study goes that another process conducts, or went."""

import time
from pathlib import Path
from typing import Annotated

import typer

from gradstep.cli.common import require

PAUSE = 0.5  # seconds from one look to the next


def watch(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="A folder that `gradstep compare` writes.")],
    json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout, and nothing else.")] = False,
    web: Annotated[bool, typer.Option("--web", help="Its report as a page that follows it, on 127.0.0.1.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of that page. Default: any that is free.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser on it.")] = False,
) -> None:
    """Follow a study until it is finished, and print its table; nothing in it is changed, and Ctrl-C ends it."""
    if web:
        _serve(study, port, no_browser)
        return
    require("rich")
    from gradstep.cli.progress import reporter
    from gradstep.compare.evidence.study import Study
    from gradstep.compare.store import Reader

    reader = Reader(study)
    found = Study.of(reader.read(), study)
    while True:
        spec = found.spec
        with reporter(json) as shown:
            shown.begin(found)
            while found.spec == spec and not found.finished:
                time.sleep(PAUSE)
                if not reader.has_changed():
                    continue
                seen = {run.key for run in found.runs}
                found = Study.of(reader.read(), study)
                for run in found.runs if found.spec == spec else ():
                    if run.key not in seen:
                        shown.result(run)
        if found.spec == spec:  # else more was asked for meanwhile, or less
            break
    shown.end(found, [])  # who looks on has written nothing


def _serve(study: Path, port: int, no_browser: bool) -> None:
    require("plotly", "jinja2")
    from gradstep.cli.common import serve
    from gradstep.compare.show.report.live import routes

    serve(routes(study), port, no_browser=no_browser)
