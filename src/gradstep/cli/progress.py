"""Progress of a study that runs or is watched: a live row for each optimizer, plain lines, or JSON lines."""

import math
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self, cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gradstep.cli.common import WIDTH, Lines, console, sparkline
from gradstep.cli.tables import blocks, print_table
from gradstep.compare.conduct import Listener
from gradstep.compare.evidence.spending import share, whole_runs
from gradstep.compare.evidence.study import Study, final_loss, to_target
from gradstep.compare.evidence.table import entries, make_entry
from gradstep.compare.record import RunRecord
from gradstep.compare.show.report.outcome import outcome
from gradstep.compare.show.wording import (
    EDGE_NOTE,
    board_cells,
    board_headings,
    chosen,
    entry_cells,
    halved,
    headings,
    levels,
    origins,
    summary,
)
from gradstep.text import counted, duration, to_json

EVERY = 10.0  # seconds from one plain line on how far it is to the next
SPARK = 12  # bars of a curve beside a row
MIN_BAR, NOTE = 8, 42  # characters of the shortest bar, and of what stands behind it


class Reporter(Listener):
    """A listener that is entered before the study begins and left after its last run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def end(self, study: Study, files: Sequence[Path]) -> None:
        """Show the results, when the files are written."""


def reporter(json: bool) -> Reporter:
    """Return JSON lines when they are asked for, live rows at a terminal, plain lines elsewhere."""
    if json:
        return JsonLines()
    return LiveRows() if console().is_terminal else PlainLines()


class PlainLines(Lines, Reporter):
    """A line at the start, one for each optimizer that is finished on a problem, one now and then, and the table."""

    study: Study

    def __init__(self) -> None:
        super().__init__()
        self.started = time.monotonic()
        self.made = 0.0
        self.at = self.started

    def begin(self, study: Study) -> None:
        """Say what is compared, and how much of it is there already."""
        self.study, self.runs = study, {run.key: run for run in study.runs}
        self.done = Counter((run.problem, run.optimizer) for run in study.runs)
        self.totals = study.total
        self.to_make = whole_runs(study)
        for run in study.runs:
            self.to_make[run.problem, run.optimizer] -= share(study, run, with_shorter=True)
        names = ", ".join(study.problems)
        alone = f"; target: {levels(study, study.problems[0])}" if len(study.problems) == 1 else ""
        self.say(f"{names}: {summary(study)}{alone}")
        if there := len(study.runs):
            self.say(f"{there} of {self.total} runs are there already")

    @property
    def total(self) -> int:
        """Runs of the whole study."""
        return sum(self.totals.values())

    def result(self, run: RunRecord) -> None:
        """Count a run; say how its optimizer did on that problem when it was the last one."""
        self.count(run)
        made, now = self.done[run.problem, run.optimizer], time.monotonic()
        if made == self.study.asked[run.problem, run.optimizer]:
            where = f"{run.problem}, " if len(self.study.problems) > 1 else ""
            self.say(f"{where}{run.optimizer}: {counted(made, 'run')}, {self.outcome(run.problem, run.optimizer)}")
        elif now - self.at >= EVERY:
            self.say(f"{len(self.runs)} of {self.total} runs, {self.clock()}")
            self.at = now

    def workers(self, where: str, slots: Mapping[str, int]) -> None:
        """Say how many workers a cluster has."""
        self.say(crew(where, slots))

    def count(self, run: RunRecord) -> None:
        """Take a run in."""
        own = share(self.study, run)
        self.made += own
        self.to_make[run.problem, run.optimizer] -= own
        self.done[run.problem, run.optimizer] += run.key not in self.runs  # of halving, one may come again, longer
        self.runs[run.key] = run

    def outcome(self, problem: str, optimizer: str) -> str:
        """Return the result of an optimizer with the hyperparameters that were chosen for it."""
        runs = [run for run in self.runs.values() if (run.problem, run.optimizer) == (problem, optimizer)]
        entry = make_entry(replace(self.study, runs=runs), problem, optimizer)
        if entry is None:
            return ""
        rates = f"lr {text}: " if (text := chosen(self.study, entry)) else ""
        if problem not in self.study.spec.goals:
            return f"{rates}loss {entry.loss.median:.3g}"
        middle = entry.steps.median
        steps = f", median {middle:g} steps" if math.isfinite(middle) else ""
        return f"{rates}hit {entry.hits}/{entry.seeds}{steps}"

    def left(self, *labels: str) -> float:
        """Seconds that the runs of these optimizers will take, if their steps go as those so far."""
        runs = sum(n for (_, label), n in self.to_make.items() if label in labels)
        return max(0.0, runs) * (time.monotonic() - self.started) / self.made if self.made else 0.0

    def clock(self) -> str:
        """Time gone and time left."""
        gone, left = time.monotonic() - self.started, self.left(*self.totals)
        return f"{duration(gone)}, about {duration(left)} left" if left else duration(gone)

    def end(self, study: Study, files: Sequence[Path]) -> None:
        """Print the table, and the paths of the files."""
        heads, rows = _table(study, wide=True)
        if len(blocks(heads, rows, (), self.console.width)) > 1 and len(study.problems) == 1:
            all_of_them, (heads, rows) = heads, _table(study, wide=False)
            left_out = ", ".join(x for x in all_of_them if x not in heads)
        else:
            left_out = ""
        print_table(self.console, heads, rows, name_style="bold")
        if left_out:
            ranges = "the least and greatest of the seeds"
            self.say(f"Left out, for lines are short here: {left_out}, and {ranges}; the report has them.")
        for problem in study.problems:
            if problem not in study.spec.goals or len(study.problems) > 1:
                self.say(f"target of {problem}: {levels(study, problem)}")
        for text in halved(study):
            self.say(text)
        if any(entry.at_edge for row in study.table() for entry in row.entries) and len(study.problems) == 1:
            self.say(EDGE_NOTE)
        for line in origins(study):
            self.say(line)
        if files:  # none where somebody only looked on
            self.say(f"{duration(time.monotonic() - self.started)}; wrote {' and '.join(map(str, files))}")


def crew(where: str, slots: Mapping[str, int]) -> str:
    """Return a cluster's workers in words: ``2 workers at tcp://10.0.0.1:8786, 16 runs at a time``."""
    return f"{counted(len(slots), 'worker')} at {where}, {counted(sum(slots.values()), 'run')} at a time"


def _table(study: Study, wide: bool) -> tuple[list[str], list[list[str]]]:
    """Return the table: of one problem with all columns; of several, the result of each optimizer on each."""
    if len(study.problems) == 1:
        [problem] = study.problems
        heads, rows = headings(study, problem, wide), [entry_cells(study, x, wide) for x in entries(study, problem)]
    else:
        heads, rows = board_headings(study), [board_cells(study, row) for row in study.table()]
    return heads, [[text for text, _ in row] for row in rows]


class LiveRows(PlainLines):
    """At a terminal: for each optimizer a bar, its best curve, its hits and the time left, and a bar for all."""

    def __enter__(self) -> Self:
        super().__enter__()
        name, note = (TextColumn(x, markup=False) for x in ("{task.description}", "{task.fields[note]}"))
        self.bar = BarColumn()
        self.progress = Progress(name, self.bar, MofNCompleteColumn(), note, console=self.console)
        self.crew = ""
        return self

    def begin(self, study: Study) -> None:
        """Put up the rows."""
        super().begin(study)
        self.hits = dict.fromkeys(study.optimizers, 0)
        self.judged = dict.fromkeys(study.optimizers, 0)
        self.best: dict[str, RunRecord] = {}
        # What is beside a row's bar: names, counts and gaps.
        counts = 2 * len(str(self.total)) + 1
        self.room = self.console.width - max(map(len, [*study.optimizers, "all"])) - counts - 4
        self.bar.bar_width = max(MIN_BAR, min(WIDTH, self.room - NOTE))
        self.tasks = {label: self.progress.add_task(label, total=n, note="") for label, n in self.totals.items()}
        self.all = self.progress.add_task("all", total=self.total, note="")
        for run in study.runs:
            self.look(run)
        for label in study.optimizers:
            self.show(label)
        try:
            self.progress.start()
        except BaseException:  # Ctrl-C between the first rows and the body of `with`: the cursor must come back
            self.progress.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def workers(self, where: str, slots: Mapping[str, int]) -> None:
        """Show a cluster's workers beside all runs, from now on."""
        self.crew = crew(where, slots)
        self.show_all()

    def look(self, run: RunRecord) -> None:
        """Keep the best curve of the problem at hand, and count hits."""
        best = self.best.get(run.optimizer)
        if best is None or best.problem != run.problem or final_loss(run) <= final_loss(best):
            self.best[run.optimizer] = run
        if run.phase == "eval" and (target := self.study.spec.goals.get(run.problem)) is not None:
            self.judged[run.optimizer] += 1
            self.hits[run.optimizer] += math.isfinite(to_target(run, target.target))

    def result(self, run: RunRecord) -> None:
        """Move the optimizer's bar."""
        self.count(run)
        self.look(run)
        self.show(run.optimizer)

    def show(self, label: str) -> None:
        """Redraw the row of an optimizer, and that of all."""
        done = sum(self.done[problem, label] for problem in self.study.problems)
        curve = sparkline(self.best[label].loss, SPARK) if label in self.best else ""
        hits = f"hit {self.hits[label]}/{self.judged[label]}" if self.judged[label] else ""
        left = self.left(label)
        texts = hits, f"about {duration(left)} left" if left else "", curve
        self.progress.update(self.tasks[label], completed=done, note=self.fitting(texts, "  "))
        self.show_all()

    def fitting(self, texts: Sequence[str], between: str) -> str:
        """Return those texts that the row has room for, the first ones first; none is cut."""
        room = self.room - cast(int, self.bar.bar_width)
        kept: list[str] = []
        for text in filter(None, texts):
            if len(between.join([*kept, text])) <= room:
                kept.append(text)
        return between.join(kept)

    def show_all(self) -> None:
        """Redraw the row of all."""
        texts = [*(self.clock() if self.made else "").split(", "), self.crew]
        self.progress.update(self.all, completed=len(self.runs), note=self.fitting(texts, ", "))


class JsonLines(Reporter):
    """A JSON object a line: the study, each run (without its curves), each row of the table, the verdict, the files."""

    def say(self, event: str, content: dict[str, Any]) -> None:
        """One line at once, also into a pipe."""
        sys.stdout.write(to_json({"event": event, **content}) + "\n")
        sys.stdout.flush()

    def begin(self, study: Study) -> None:
        """The study as it was asked for, and the runs that are there already."""
        total = sum(study.total.values())
        self.say("study", {"command": study.command, "runs": total, **study.spec.as_json(), "notes": study.notes})
        for run in study.runs:
            self.result(run)

    def result(self, run: RunRecord) -> None:
        """A run, without its curves: those are in the folder."""
        curves = ("steps", "batch_loss", "loss", "accuracy", "health")
        self.say("run", {key: value for key, value in run.as_json().items() if key not in curves})

    def workers(self, where: str, slots: Mapping[str, int]) -> None:
        """A cluster's workers, and how many runs each makes at a time."""
        self.say("workers", {"cluster": where, "workers": dict(slots)})

    def end(self, study: Study, files: Sequence[Path]) -> None:
        """The table, the verdict and the files."""
        for problem in study.problems:
            self.say("target", {"problem": problem, **asdict(study.goal(problem))})
        for row in study.table():
            self.say("row", asdict(row))
        self.say("verdict", outcome(study))
        made_with = [asdict(session) for session in study.sessions]
        notes = [*study.notes, *filter(None, [study.mixture])]
        self.say("end", {"made_with": made_with, "notes": notes, "files": [str(path) for path in files]})
