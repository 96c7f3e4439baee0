"""The terminal: Rich's console, to which names and error texts of others give no commands."""

from collections.abc import Iterable

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from gradstep.text import printable


class Screen(Console):
    """Rich's console on stdout; all text that it prints passes here. Rich's own commands do too, as what they are."""

    def __init__(self, width: int | None = None) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, width=width)

    def on_broken_pipe(self) -> None:
        """End the verb, without a word, where whoever reads its output has left."""
        try:
            super().on_broken_pipe()
        except SystemExit as left:
            raise typer.Exit(1) from left

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of a renderable."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)
