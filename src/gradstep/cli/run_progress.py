"""Progress of ``gradstep run``: a live table at a terminal, a line now and then elsewhere, or JSON lines."""

import math
import time
from collections.abc import Sequence
from typing import Any, TextIO

from rich.live import Live
from rich.table import Table
from rich.text import Text

from gradstep.cli.common import WIDTH, Lines, console, sparkline
from gradstep.loop import Run, Step
from gradstep.runs import Folder, RunSpec, Summary
from gradstep.runs.summary import facts
from gradstep.text import duration, number, to_json

EVERY = 5.0  # seconds from one line to the next
REFRESH = 0.1  # seconds from one look of the live table to the next


def progress(folder: Folder, spec: RunSpec, run: Run, json: TextIO | None, processes: int = 1) -> "PlainLines":
    """Return JSON lines to where they are asked for, a live table at a terminal, plain lines elsewhere."""
    if json is not None:
        return JsonLines(folder, spec, run, json, processes)
    return (LiveTable if console().is_terminal else PlainLines)(folder, spec, run, processes)


class PlainLines(Lines):
    """A line at the start, one every few seconds, and the summary when everything is written."""

    def __init__(self, folder: Folder, spec: RunSpec, run: Run, processes: int = 1) -> None:
        super().__init__()
        self.folder, self.spec, self.run, self.processes = folder, spec, run, processes
        self.at = time.monotonic()
        self.began, self.t = self.at, run.t

    def start(self) -> None:
        """Say what is run, and from where on."""
        whence = f"goes on from step {self.run.t}" if self.run.t else "begins"
        by = self.run.method or self.run.opt.stage
        self.say(f"{self.spec.problem.rpartition('/')[2]} by {by!r} {whence} in {self.folder.shown}")
        if self.processes > 1:
            self.say(f"{self.processes} processes share the {self.spec.micro_batches} batches of a step")

    def step(self, step: Step) -> None:
        """Print the numbers of the step, now and then."""
        if (now := time.monotonic()) - self.at >= EVERY:
            self.at = now
            shown = " ".join(f"{key} {text}" for key, text in self.cells(step).items())
            self.say(shown)

    def cells(self, step: Step) -> dict[str, str]:
        """Return the numbers of a step, in words."""
        rate = (step.t - self.t) / max(1e-9, time.monotonic() - self.began)
        out = {
            "step": str(step.t),
            "value": number(step.value),
            "best": number(self.run.best_value),
            "grad_norm": number(step.grad_norm),
            "update_ratio": f"{step.update_ratio:.2g}",
            "lr": number(step.lr),
            "steps/s": f"{rate:.3g}",
        }
        out |= {key: number(x) for key, x in self.run.last_metrics.items()}
        most = self.spec.limits.max_steps
        if most is not None and rate > 0:
            out["left"] = duration((most - step.t) / rate)
        return out

    def end(self, summary: Summary, warnings: Sequence[str]) -> None:
        """Print the summary, the warnings and the path of the report."""
        lines = facts(summary)
        width = max(map(len, lines))
        for key, text in lines.items():
            self.say(f"{key:{width}}  {text}")
        for text in warnings:
            self.console.print(Text(f"warning: {text}", style="yellow"), soft_wrap=True)
        if self.run.unsaved is None:
            self.say(f"wrote {self.folder.shown_report}; to go on: {self.folder.resume} --max-steps N")


class LiveTable(PlainLines):
    """At a terminal: a table that stays in its place, with the values so far as bars."""

    def __init__(self, folder: Folder, spec: RunSpec, run: Run, processes: int = 1) -> None:
        super().__init__(folder, spec, run, processes)
        self.values: list[float] = []
        self.every = 1  # steps from one value to the next
        self.seen = 0
        self.drawn = 0.0
        self.live = Live(console=self.console, auto_refresh=False, transient=True)

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def start(self) -> None:
        """Say what is run, and put the table beneath it."""
        super().start()
        self.live.start()

    def step(self, step: Step) -> None:
        """Take the value into the bars; show the table again, now and then."""
        if self.seen % self.every == 0 and math.isfinite(step.value):
            self.values.append(step.value)
            if len(self.values) > 2 * WIDTH:  # half as many, twice as far apart
                del self.values[1::2]
                self.every *= 2
        self.seen += 1
        if (now := time.monotonic()) - self.drawn >= REFRESH:
            self.drawn = now
            self.live.update(self.table(step), refresh=True)

    def table(self, step: Step) -> Table:
        """The table."""
        out = Table.grid(padding=(0, 2))
        most = self.spec.limits.max_steps
        cells = self.cells(step)
        name = max(map(len, cells))  # no bar is longer than what is left of a line
        if most:
            cells["step"] = f"{step.t}/{most}"
            wide = self.bars(name + len(cells["step"]))
            done = round(wide * min(1.0, step.t / most))
            cells["step"] += f"  {'━' * done}{'─' * (wide - done)}"
        cells["value"] += f"  {sparkline(self.values, wide)}" if (wide := self.bars(name + len(cells["value"]))) else ""
        for key, text in cells.items():
            out.add_row(Text(key, style="dim"), Text(text, overflow="fold"))
        return out

    def bars(self, beside: int) -> int:
        """Return the number of bars for which a line has room beside so many characters, and six between them."""
        return max(0, min(WIDTH, self.console.width - beside - 6))

    def end(self, summary: Summary, warnings: Sequence[str]) -> None:
        """The summary in place of the table."""
        self.live.stop()
        super().end(summary, warnings)


class JsonLines(PlainLines):
    """One JSON object a line: the run, each step, the summary."""

    def __init__(self, folder: Folder, spec: RunSpec, run: Run, out: TextIO, processes: int = 1) -> None:
        super().__init__(folder, spec, run, processes)
        self.out = out

    def put(self, event: str, content: dict[str, Any]) -> None:
        """One line at once, also into a pipe."""
        self.out.write(to_json({"event": event, **content}) + "\n")
        self.out.flush()

    def start(self) -> None:
        """The run as it was asked for, and the step from which it goes on."""
        self.put(
            "run",
            {
                "folder": str(self.folder.shown),
                "t": self.run.t,
                "processes": self.processes,
                **self.spec.__dict__,
                "limits": self.spec.limits.__dict__,
            },
        )

    def step(self, step: Step) -> None:
        """A step."""
        self.put("step", step.as_json())

    def end(self, summary: Summary, warnings: Sequence[str]) -> None:
        """The summary."""
        self.put(
            "end",
            {
                **summary.as_json(),
                "warnings": list(warnings),
                "report": str(self.folder.shown_report),
            },
        )
