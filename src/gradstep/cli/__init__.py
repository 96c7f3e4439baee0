"""The command ``gradstep``. This module needs no more than Python; the verbs need the ``compare`` extra."""

import sys
from collections.abc import Sequence

WRONG = 1
USAGE_ERROR = 2
INTERRUPTED = 130
TERMINATED = 143
OURS = "gradstep"


class Ended(Exception):  # noqa: N818 - a signal is no error
    """A signal has ended a verb, which says what becomes of its work.

    Attributes
    ----------
    code
        :data:`INTERRUPTED` or :data:`TERMINATED`.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code.

    0; 1 where ``check`` finds a wrong gradient, ``run`` ends at a number that is not finite, or runs of ``compare``
    end with an error; 2 for any other error (one line on stderr says which); 130 after Ctrl-C, 143 where SIGTERM ended
    a run or a comparison.

    Parameters
    ----------
    arguments
        What follows ``gradstep``; None: the process's own arguments.
    """
    try:
        from gradstep.cli.app import run

        return run(list(sys.argv[1:] if arguments is None else arguments))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", OURS):
            raise
        return complain(f"the package {package} is missing; pip install 'gradstep[compare]'")
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED


def complain(message: str) -> int:
    """Write one line on stderr; the exit code for an error."""
    say(message)
    return USAGE_ERROR


def say(message: str) -> None:
    """Write one line on stderr."""
    sys.stderr.write(f"gradstep: {' '.join(message.split())}\n")
