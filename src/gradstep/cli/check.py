"""``gradstep check``: whether the gradients of a problem file are right, or a rule of one's own obeys the laws."""

import sys
import time
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from gradstep.cli.common import WRONG, console, require, say, say_over, tell_names
from gradstep.errors import GradstepTypeError, GradstepValueError, UserCodeError

if TYPE_CHECKING:
    from gradstep.gradient_check import GradientReport
    from gradstep.loop.problem_file import OwnProblem

DIRECTIONS = 3
UNDECIDED = 3  # the exit code where no gradient is wrong, and one is not known to be right
STYLES = {"right": "green", "wrong": "bold red", "undecided": "yellow"}


def check(
    problem: Annotated[str, typer.Argument(metavar="FILE.py:NAME", help="A problem in a file, or a rule.")],
    seed: Annotated[
        int, typer.Option(min=0, help="Of the directions, and of a class or params that take it; of a rule's trials.")
    ] = 0,
    directions: Annotated[int, typer.Option(min=1, help="Directions to try in each parameter.")] = DIRECTIONS,
    batch: Annotated[int, typer.Option(min=0, help="Which of the problem's batches.")] = 0,
    rtol: Annotated[
        float | None, typer.Option(help="How far a gradient may be off, relative to its size. Default: by its digits.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, and nothing else.")] = False,
) -> int:
    """Test the gradients of your own problem against measured derivatives; test a rule of your own.

    The exit code is 0 where all are right, 1 where one is wrong, 3 where none is wrong and one undecided.
    """
    require("rich")
    from gradstep.cli.check_rule import judged, rules_of
    from gradstep.form.rule import Rule, Stage, unlisted
    from gradstep.gradient_check import check_gradient
    from gradstep.loop.problem_file import opened, problem_of

    with unlisted():  # a rule may have the name of one of the library's
        found = opened(problem, (Rule, Stage))
    if rules := rules_of(found.thing, f"{found.path.name}:{found.name}"):
        if directions != DIRECTIONS or batch or rtol is not None:
            raise GradstepValueError("--directions, --batch and --rtol are for gradients; leave them out for a rule.")
        return judged(rules, f"{found.path.name}:{found.name}", seed, json)
    own = problem_of(found, seed)
    tell_names(own)
    options: dict[str, Any] = {} if own.batches is None else {"batch": nth(own, batch)}
    with Progress(f"{own.path.name}:{own.name}") as progress:
        options |= {"rtol": rtol, "rng": own.rng, "progress": progress.evaluated}
        report = check_gradient(own.value_and_grad, own.params, seed=seed, directions=directions, **options)
    if json:
        from gradstep.text import to_json

        sys.stdout.write(to_json(content(report)) + "\n")
    else:
        show(report, f"{own.path.name}:{own.name}")
    return 0 if report.ok else WRONG if report.wrong else UNDECIDED


class Progress:
    """Lines on stderr while a check takes long: one that is written over at a terminal, one now and then elsewhere."""

    def __init__(self, title: str) -> None:
        self.title, self.terminal = title, sys.stderr.isatty()
        self.every = 0.2 if self.terminal else 5.0
        self.at = time.monotonic() + (self.every if not self.terminal else 1.0)
        self.written = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.written and self.terminal:
            say_over("")

    def evaluated(self, name: str, count: int) -> None:
        """Say how far it is, if it is time to."""
        now = time.monotonic()
        if now < self.at:
            return
        self.at, self.written = now + self.every, True
        text = f"{self.title}: {f'gradient of {name}, ' if name else ''}{count} evaluations"
        (say_over if self.terminal else say)(text)


def show(report: "GradientReport", title: str) -> None:
    """The table, and a sentence."""
    from gradstep.cli.tables import print_table
    from gradstep.gradient_check import HEADINGS

    screen = console()
    screen.print(f"{title}: value {report.value:.6g}", soft_wrap=True)
    rows, styles = [p.cells() for p in report.parameters], [STYLES[p.verdict] for p in report.parameters]
    print_table(screen, HEADINGS, rows, texts=HEADINGS[-1:], left=HEADINGS, styles=styles)
    for word, names in {"wrong": report.wrong, "undecided": report.undecided}.items():
        if names:
            many = "gradient is" if len(names) == 1 else "gradients are"
            screen.print(f"The {many} {word}: {', '.join(names)}.", soft_wrap=True)
    if not report.wrong and not report.undecided:
        screen.print("All gradients are right.")


def content(report: "GradientReport") -> dict[str, Any]:
    """Return all of a report for JSON; a complex number is a pair."""
    rows: list[dict[str, Any]] = [{"verdict": p.verdict, **asdict(p)} for p in report.parameters]
    for row in rows:
        if row["worst"]:
            row["worst"] = {k: [x.real, x.imag] if isinstance(x, complex) else x for k, x in row["worst"].items()}
    return {**asdict(report), "parameters": rows}


def nth(own: "OwnProblem", k: int) -> Any:
    """Batch ``k``: of a function of ``k``, by index, or by counting.

    Raises
    ------
    GradstepValueError
        When there are fewer.
    GradstepTypeError
        When these are no batches.
    UserCodeError
        When the user's code raises something.
    """
    from gradstep.loop.user import UserFunction, kind

    batches, name = own.batches, f"{own.name}.batches"
    if callable(batches):
        return UserFunction(batches, name, own.path)(k)
    if not hasattr(batches, "__getitem__") and not hasattr(batches, "__iter__"):
        raise GradstepTypeError(f"{name} must be a function of k, a sequence or an iterable, not {kind(batches)}.")
    take = batches.__getitem__ if hasattr(batches, "__getitem__") else lambda k: next(islice(iter(batches), k, None))
    try:
        return UserFunction(take, name, own.path)(k)
    except UserCodeError as error:
        if isinstance(error.__cause__, StopIteration | LookupError):
            raise GradstepValueError(f"{name} has no batch {k}.") from error
        raise
