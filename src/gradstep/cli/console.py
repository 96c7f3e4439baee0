"""Where text goes: Rich on stdout, in colour at a terminal, plain elsewhere."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 400  # nothing wraps: a row is a line for grep


def console() -> "Console":
    """Rich's console on stdout. NO_COLOR is honoured by Rich, COLUMNS here."""
    from rich.console import Console

    terminal = Console(highlight=False)
    if terminal.is_terminal:
        return terminal if terminal.width > 0 else Console(highlight=False, width=80)  # COLUMNS=0
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() else 0
    return Console(highlight=False, width=width or PLAIN_WIDTH)
