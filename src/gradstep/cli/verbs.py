"""The list of verbs in a help text."""

from typing import Any

from typer.core import TyperGroup


class Verbs(TyperGroup):
    """The list of verbs, in which the first sentence of each stands whole."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write it, with lines that go on beneath where they are long."""
        rows = [(name, " ".join((one.help or "").partition("\n\n")[0].split())) for name, one in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
