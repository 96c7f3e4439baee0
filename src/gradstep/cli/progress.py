"""What a study says while it runs: a live row for each optimizer, plain lines, or JSON lines."""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from gradstep.cli.console import PLAIN_WIDTH, console
from gradstep.compare.naming import short
from gradstep.compare.problems import find_problem
from gradstep.compare.protocol import Contender, RunResult, Spec
from gradstep.compare.study import Study, to_json
from gradstep.compare.table import Row, make_row
from gradstep.compare.wording import EDGE_NOTE, counted, headings, row_cells


class Reporter(Protocol):
    """Entered before the first run and left after the last; ``end`` comes when the files are written."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def result(self, run: RunResult) -> None:
        """One more run is made."""
        ...

    def end(self, study: Study, files: Sequence[Path]) -> None:
        """All is done and written."""
        ...


def reporter(spec: Spec, json: bool) -> Reporter:
    """JSON lines when they are asked for, live rows at a terminal, plain lines elsewhere."""
    if json:
        return JsonLines(spec)
    return LiveRows(spec) if console().is_terminal else PlainLines(spec)


class PlainLines:
    """A line at the start, one for each finished optimizer, the table and the files at the end."""

    def __init__(self, spec: Spec) -> None:
        self.spec, self.problem, self.console = spec, find_problem(spec.problem), console()
        self.done: dict[str, list[RunResult]] = {c.label: [] for c in spec.contenders}
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        spec = self.spec
        self.say(
            f"{spec.problem}: {counted(len(spec.contenders), 'optimizer')}, {counted(len(spec.seeds), 'seed')}, "
            f"{counted(spec.steps, 'step')}, {counted(len(spec.trials()), 'run')}; target: {self.problem.goal}"
        )
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def say(self, line: str) -> None:
        """One line, however long."""
        self.console.print(line, markup=False, soft_wrap=True)

    def result(self, run: RunResult) -> None:
        """Count a run; say how its optimizer did when it was the last one."""
        self.done[run.optimizer].append(run)
        contender = next(c for c in self.spec.contenders if c.label == run.optimizer)
        if len(self.done[run.optimizer]) == self.total(contender):
            self.say(f"{run.optimizer}: {counted(self.total(contender), 'run')}, {self.summary(contender)}")

    def total(self, contender: Contender) -> int:
        """Runs of one optimizer."""
        return len(contender.lrs) * len(self.spec.seeds)

    def summary(self, contender: Contender) -> str:
        """How an optimizer did at its best learning rate."""
        row = make_row(contender, self.done[contender.label], step_us=0.0)
        middle = row.steps_to_target.median
        steps = f", median {middle:g} steps" if math.isfinite(middle) else ""
        return f"lr {short(row.lr)}: hit {row.hits}/{row.seeds}{steps}"

    def end(self, study: Study, files: Sequence[Path]) -> None:
        """The table, and where the rest is."""
        rows = study.table()
        table = _table(study, rows, ranges=True)
        width = self.console.measure(table, options=self.console.options.update_width(PLAIN_WIDTH)).maximum
        if width > self.console.width:
            table = _table(study, rows, ranges=False)
        self.console.print(table)
        if any(row.at_edge for row in rows):
            self.say(EDGE_NOTE)
        self.say(f"{time.monotonic() - self.started:.1f} s; wrote {' and '.join(map(str, files))}")


def _table(study: Study, rows: Sequence[Row], ranges: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    name, *others = headings(study)
    table.add_column(name, style="bold", no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(text for text, _ in row_cells(row, ranges)))
    return table


class LiveRows(PlainLines):
    """At a terminal: a bar for each optimizer instead of its line, and one for all."""

    def __enter__(self) -> Self:
        super().__enter__()
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}")
        self.progress = Progress(*columns, console=self.console)
        totals = {c.label: self.total(c) for c in self.spec.contenders}
        self.tasks = {label: self.progress.add_task(label, total=n, note="") for label, n in totals.items()}
        self.all = self.progress.add_task("all", total=sum(totals.values()), note="")
        try:
            self.progress.start()
        except BaseException:  # Ctrl-C between the first rows and the body of `with`: the cursor must come back
            self.progress.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def result(self, run: RunResult) -> None:
        """Move the optimizer's bar; at its end the best learning rate stands beside it."""
        done = self.done[run.optimizer]
        done.append(run)
        contender = next(c for c in self.spec.contenders if c.label == run.optimizer)
        finished = len(done) == self.total(contender)
        note = self.summary(contender) if finished else f"{sum(r.to_target < math.inf for r in done)} hits"
        self.progress.update(self.tasks[run.optimizer], completed=len(done), note=note)
        self.progress.update(self.all, advance=1, note=self.clock())

    def clock(self) -> str:
        """Time gone and time left, if the rest goes as the runs so far."""
        gone, done = time.monotonic() - self.started, sum(map(len, self.done.values()))
        left = gone * (len(self.spec.trials()) / done - 1)
        return f"{gone:.0f} s, about {left:.0f} s left" if left else f"{gone:.0f} s"


class JsonLines:
    """One JSON object a line: the study, each run (without its curves), each row of the table, the files."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def __enter__(self) -> Self:
        problem = find_problem(self.spec.problem)
        self.say("study", {"goal": problem.goal, "command": self.spec.command, **asdict(self.spec)})
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def say(self, event: str, content: dict[str, Any]) -> None:
        """One line at once, also into a pipe."""
        sys.stdout.write(to_json({"event": event, **content}) + "\n")
        sys.stdout.flush()

    def result(self, run: RunResult) -> None:
        """A run, without its curves: those are in the file."""
        curves = ("steps", "batch_loss", "loss", "accuracy")
        self.say("run", {key: value for key, value in asdict(run).items() if key not in curves})

    def end(self, study: Study, files: Sequence[Path]) -> None:
        """The table and the files."""
        for row in study.table():
            self.say("row", asdict(row))
        self.say("end", {"files": [str(path) for path in files]})
