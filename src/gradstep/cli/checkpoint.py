"""``gradstep checkpoint``: what to do with a file of an optimizer, or with several that are one."""

from pathlib import Path
from typing import Annotated

import typer

from gradstep.cli.common import echo
from gradstep.cli.verbs import Verbs

checkpoint = typer.Typer(cls=Verbs, no_args_is_help=True, help="Join a checkpoint of several processes to one file.")


@checkpoint.command()
def join(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that several processes have written.")],
    out: Annotated[Path, typer.Option(help="The file to write, as `opt.save` would.")],
) -> None:
    """Make one file of a checkpoint of several processes; the folder stays as it is."""
    from gradstep.checkpoint import load, write

    found = load(folder)
    write(out, found.arrays, {key: x for key, x in found.metadata.items() if key != "format"})
    echo(f"wrote {out}: {len(found.arrays)} arrays at t = {found.t}")
