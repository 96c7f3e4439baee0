"""The report as a page that follows its study, for :class:`gradstep.compare.show.server.Server`."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path

from gradstep.compare.evidence.study import Study
from gradstep.compare.show.pages.templates import SHARED, STYLES, render
from gradstep.compare.show.report.page import content
from gradstep.compare.show.server import Query, Reply, Route, as_json, file, fixed, plotly
from gradstep.compare.show.wording import counted
from gradstep.compare.store import Reader
from gradstep.errors import GradstepValueError
from gradstep.text import duration


def routes(folder: Path) -> Mapping[str, Route]:
    """Return the addresses of the page; nothing of the study is changed.

    ``/state?seen=TOKEN`` gives the number of runs made, and the report unless it is the one of that token.

    Raises
    ------
    GradstepError
        If there is no study in the folder, or a damaged one.
    """
    package = "gradstep.compare.show.report"
    shared = {f"/{name}": file(SHARED, name) for name in (*STYLES, "charts.js", "page.js")}
    page = fixed(render(package, "live.html"), "text/html")
    script = file(package, "live.js")
    return {"/": page, **shared, "/live.js": script, "/plotly.js": plotly(), "/state": _Live(folder)}


class _Live:
    """The study as it was read last, and its report, made once for each state."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._reader, self._turn = folder, Reader(folder), threading.Lock()
        self._read()
        self._begun, self._at_first = time.monotonic(), len(self._study.runs)

    def _read(self) -> None:
        self._study = Study.of(self._reader.read(), self._folder)
        self._page = content(self._study)
        stopped = sum(run.stopped or 0 for run in self._study.runs)  # of halved trials, one may be made again
        self._token = f"{self._study.spec.sha256[:12]}-{len(self._study.runs)}-{stopped}-{len(self._study.timings)}"

    def _left(self, study: Study, runs: int) -> str:
        """Return the time that is left, in words, if it goes on as since this page began to look; else nothing."""
        made = len(study.runs) - self._at_first
        if study.finished or made < 1:
            return ""
        return f"about {duration((runs - len(study.runs)) * (time.monotonic() - self._begun) / made)} left"

    def __call__(self, query: Query) -> Reply:
        if set(query) - {"seen"}:
            raise GradstepValueError("the query has one field, seen.")
        with self._turn:
            if self._reader.has_changed():
                self._read()
            study, page, token = self._study, self._page, self._token
        runs = sum(study.total.values())
        total = counted(runs, "run")
        progress = {
            "token": token,
            "heading": page.heading,
            "finished": study.finished,
            "made": f"{len(study.runs)} of {total}",
            "share": len(study.runs) / max(1, runs),
            "left": self._left(study, runs),
        }
        new = {"main": page.main, "figures": page.figures}
        return as_json(progress if query.get("seen") == token else progress | new)
