"""The verbs put together, and what becomes of their errors."""

import contextlib
import sys
import traceback
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any

import typer

import gradstep
from gradstep.cli.bench import bench
from gradstep.cli.check import check
from gradstep.cli.checkpoint import checkpoint
from gradstep.cli.common import INTERRUPTED, Ended, complain, say, speak
from gradstep.cli.compare import compare
from gradstep.cli.info import info, problems
from gradstep.cli.merge import merge
from gradstep.cli.play import play
from gradstep.cli.report import report
from gradstep.cli.run import run as run_own
from gradstep.cli.show import show
from gradstep.cli.spelling import prepare
from gradstep.cli.started import told
from gradstep.cli.verbs import Verbs
from gradstep.cli.watch import watch
from gradstep.errors import GradstepError

# Click's base of all usage errors, wherever this version of Typer keeps its Click.
_ClickException: Any = typer.BadParameter.__mro__[2]


@contextlib.contextmanager
def _stays() -> Generator[None]:
    """Turn an exit into an error: it is one of a problem's code, and its exit code would stand for a verdict."""
    try:
        yield
    except SystemExit as error:
        from gradstep.loop.user import raised

        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        raise raised("the problem's code", error, Path(frame.f_code.co_filename)) from error


app = typer.Typer(
    name="gradstep",
    cls=Verbs,
    epilog="For example: gradstep compare digits-mlp; gradstep run mine.py:fit; gradstep show adam.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, verb in {"compare": compare, "run": run_own}.items():
    app.command(name)(_stays()(verb))
for verb in (watch, report, merge, show, check, play, bench, problems, info):
    app.command()(_stays()(verb))
app.add_typer(checkpoint, name="checkpoint")


@app.callback(invoke_without_command=True)
def entry(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Optimizers for plain arrays: look at them, compare them, run your own problem with them."""
    if show_version:
        typer.echo(f"gradstep {gradstep.__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: list[str]) -> int:
    """The exit code of one command line; every error that a user can cause is one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        prepare(stream)
    speak(arguments[:1] != ["run"] or told()[0] == 0)
    try:
        code = app(arguments, prog_name="gradstep", standalone_mode=False)
    except GradstepError as error:
        return complain(str(error))
    except Ended as ended:
        say(str(ended))
        return ended.code
    except typer.Abort:
        raise KeyboardInterrupt from None
    except _ClickException as error:
        return complain(error.format_message())
    except OSError as error:
        return complain(f"{error.filename or 'input or output'}: {error.strerror or error}")
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0
