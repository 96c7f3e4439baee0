"""The command ``gradstep``. The verbs need the ``compare`` extra."""

import sys
from collections.abc import Sequence

from gradstep.cli.common import INTERRUPTED, complain

OURS = "gradstep"


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
