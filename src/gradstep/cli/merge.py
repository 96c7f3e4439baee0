"""``gradstep merge``: studies of several machines, or of several days, made one."""

from pathlib import Path
from typing import Annotated

import typer

from gradstep.cli.common import echo, say


def merge(
    studies: Annotated[list[Path], typer.Argument(metavar="STUDY", help="Folders that `gradstep compare` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder of the one; it has no study yet, or is among those given.")],
) -> None:
    """Join studies into one that asks for the runs of all of them; nothing is run, and nothing in them is changed.

    Studies that would give a run other numbers are refused by what differs, and so are equal runs with other numbers.
    """
    from gradstep.compare.joining import merge as joined
    from gradstep.compare.store import NAME
    from gradstep.text import counted

    study = joined(studies, out)
    if study.mixture is not None:
        say(study.mixture)
    total = counted(sum(study.total.values()), "run")
    rest = "" if study.finished else f"; this makes what is missing: {study.command} --out {out}"
    echo(f"{len(study.runs)} of {total} are there{rest}")
    echo(f"wrote {out / NAME}")
