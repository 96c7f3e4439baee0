"""``gradstep problems``: what can be compared on."""

from gradstep.cli.console import console


def problems() -> None:
    """List the problems that `gradstep compare` knows."""
    from rich import box
    from rich.table import Table

    from gradstep.compare.problems import PROBLEMS
    from gradstep.compare.problems.targets import records

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("problem", "what is trained", "data", "size", "target", "steps", "s/run"):
        table.add_column(heading, justify="right" if heading in ("steps", "s/run") else "left")
    measured = records()
    for make in PROBLEMS.values():
        p = make()
        seconds = f"{measured[p.name]['seconds']:g}" if p.name in measured else ""  # formulas take next to none
        table.add_row(p.name, p.summary, p.source, p.size, p.goal, str(p.steps), seconds)
    console().print(table)
