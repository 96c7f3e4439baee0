"""``gradstep problems``: what can be compared on."""

from gradstep.cli.console import console


def problems() -> None:
    """List the problems that `gradstep compare` knows."""
    from rich import box
    from rich.table import Table

    from gradstep.compare.problems import PROBLEMS

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("problem", "what is trained", "data", "size", "target", "steps"):
        table.add_column(heading, justify="right" if heading == "steps" else "left")
    for make in PROBLEMS.values():
        p = make()
        table.add_row(p.name, p.summary, p.source, p.size, p.goal, str(p.steps))
    console().print(table)
