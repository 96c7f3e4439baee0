"""The common ground of all verbs: exit codes, lines on stderr, packages that they need, where text and pages go."""

import importlib.util
import math
import os
import sys
import threading
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gradstep.errors import GradstepError
from gradstep.files import destination, writable_folder
from gradstep.text import is_wide, printable

if TYPE_CHECKING:
    from rich.console import Console

    from gradstep.compare.show.server import Route
    from gradstep.conventions.constructor import Constructor
    from gradstep.form.rule import Rule, Stage
    from gradstep.loop.problem_file import OwnProblem

WRONG = 1
USAGE_ERROR = 2
INTERRUPTED = 130
TERMINATED = 143
PLAIN_WIDTH = 400  # nothing wraps: a row is a line for grep
BARS = "▁▂▃▄▅▆▇█"
WIDTH = 40


class Ended(Exception):  # noqa: N818 - a signal is no error
    """Raised by a verb that a signal has ended; the message says what was kept.

    Attributes
    ----------
    code
        :data:`INTERRUPTED` or :data:`TERMINATED`.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


_speaks = [True]


def speak(yes: bool) -> None:
    """Let this process write lines from now on, or not: of the processes that share a run one speaks."""
    _speaks[0] = yes


def say(message: str) -> None:
    """Write one line on stderr."""
    if not _speaks[0]:
        return
    sys.stderr.write(f"gradstep: {printable(' '.join(message.split()))}\n")


def say_over(message: str) -> None:
    """Write a line on stderr, at a terminal over the one before; an empty message takes that away."""
    sys.stderr.write(f"\r\x1b[K{printable(' '.join(message.split()))}")
    sys.stderr.flush()


def echo(text: str) -> None:
    """Write text on stdout at once, and a new line."""
    sys.stdout.write(f"{printable(text)}\n")
    sys.stdout.flush()


def tell_names(own: "OwnProblem") -> None:
    """Say which names of a problem mean nothing."""
    for name, meant in own.misspelt:
        say(f"{own.path.name}:{own.name} has {name}, which means nothing here; {meant} would.")
    if own.unused:
        say(
            f"{own.path.name}:{own.name} has {', '.join(own.unused)}, which neither gradstep nor the file itself reads."
        )


def complain(message: str) -> int:
    """Write one line on stderr; return the exit code for an error."""
    say(message)
    return USAGE_ERROR


def named_optimizer(name: str) -> "Rule | Stage | Constructor[...]":
    """Return what a name stands for: a rule or other stage, another library's constructor, or what ``FILE.py:NAME`` is.

    Errors are those of :func:`gradstep.conventions.constructor` and of :func:`gradstep.compare.own_stage.own_rule`.
    """
    from gradstep.conventions import constructor

    if ".py:" not in name and not name.endswith(".py"):
        return constructor(name)
    from gradstep.compare.own_stage import own_rule  # which takes the packages of a comparison

    return own_rule(name)[0]


def require(*packages: str) -> None:
    """Raise a GradstepError unless all of these packages are installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise GradstepError(f"{', '.join(missing)} {verb} missing; pip install 'gradstep[compare]'")


def writable_file(path: Path) -> Path:
    """Return where a file will be written, whatever the current folder is then; refuse what could not be, before work.

    Its folder is made.
    """
    writable_folder(path.parent)
    return destination(path, f"cannot write {path}")


def console() -> "Console":
    """Return Rich's console on stdout, in colour at a terminal. NO_COLOR is honoured by Rich, COLUMNS here.

    Text is printed as it is: nothing in it is taken for markup, and nothing in it reaches the terminal as a command.
    """
    from gradstep.cli.screen import Screen

    terminal = Screen()
    if terminal.is_terminal:
        return terminal if terminal.width > 0 else Screen(width=80)  # COLUMNS=0
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() else 0
    return Screen(width=width or PLAIN_WIDTH)


class Lines:
    """Plain lines on stdout, within a ``with`` block; what shows more inherits from it."""

    def __init__(self) -> None:
        self.console = console()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def say(self, line: str) -> None:
        """Write one line, however long."""
        self.console.print(line, soft_wrap=True)


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """Return at most ``width`` bars from the least to the greatest of the values, by logarithms where a chart would."""
    shown = list(values)[:: -(-len(values) // width) or 1]
    if is_wide(shown):
        shown = [math.log(x) for x in shown]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return ""
    return "".join(BARS[min(len(BARS) - 1, int(len(BARS) * ((x - low) / span)))] for x in shown)


def serve(routes: "Mapping[str, Route]", port: int, query: str = "", no_browser: bool = False) -> None:
    """Print the address of a page, open a browser there unless that is not wanted, and answer it until Ctrl-C."""
    from gradstep.compare.show.server import Server

    with Server(routes, port) as server:
        address = f"{server.address}?{query}" if query else server.address
        echo(f"{address}\nOpen it in a browser; Ctrl-C ends it.")
        if not no_browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()  # some of them wait
        server.serve_forever()
