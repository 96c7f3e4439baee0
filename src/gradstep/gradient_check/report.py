"""The result of a check: a line for each parameter."""

from dataclasses import dataclass

HEADINGS = ("parameter", "gradient", "measured by", "error", "tolerance", "")


@dataclass(frozen=True)
class Element:
    """One element of a parameter: its index, the gradient that was given for it and the derivative measured.

    Both are complex where the parameter is.
    """

    index: tuple[int, ...]
    given: float | complex
    measured: float | complex


@dataclass(frozen=True)
class ParameterCheck:
    """The finding for one parameter.

    Attributes
    ----------
    name
        Its dotted name.
    ok
        Whether its gradient is right.
    undecided
        Whether that could not be found out: the message says why. Neither ``ok`` nor ``undecided``: it is wrong.
    way
        ``complex step`` or ``central differences``; empty where there was nothing to measure.
    error, tolerance
        The largest error in the directions tested and what it may be, relative to the size of the gradient.
    worst
        Of a wrong gradient the element that is furthest off.
    wrong, tested
        How many elements, one by one, were found wrong, of how many.
    message
        What there is to say.
    """

    name: str
    ok: bool
    undecided: bool
    way: str
    error: float
    tolerance: float
    worst: Element | None = None
    wrong: int = 0
    tested: int = 0
    message: str = ""

    @property
    def verdict(self) -> str:
        """``right``, ``wrong`` or ``undecided``."""
        return "right" if self.ok else "undecided" if self.undecided else "wrong"

    def cells(self) -> tuple[str, ...]:
        """Return the cells under :data:`HEADINGS`."""
        measured = (f"{self.error:.1e}", f"{self.tolerance:.1e}") if self.way else ("", "")
        return self.name, self.verdict, self.way, *measured, self.message


@dataclass(frozen=True)
class GradientReport:
    """The findings for all parameters; ``str`` of it is a table.

    Attributes
    ----------
    ok
        Whether all gradients are right. One that is undecided is not: see ``wrong`` and ``undecided``.
    value
        The function's value.
    parameters
        In their order.
    """

    ok: bool
    value: float
    parameters: tuple[ParameterCheck, ...]

    @property
    def wrong(self) -> tuple[str, ...]:
        """The names of parameters whose gradient is wrong."""
        return self._names("wrong")

    @property
    def undecided(self) -> tuple[str, ...]:
        """The names of parameters whose gradient is undecided."""
        return self._names("undecided")

    def summary(self) -> str:
        """Count the gradients that are right, wrong, undecided."""
        counts = {word: len(self._names(word)) for word in ("right", "wrong", "undecided")}
        return ", ".join(f"{n} {word}" for word, n in counts.items() if n)

    def _names(self, verdict: str) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters if p.verdict == verdict)

    def __str__(self) -> str:
        rows = [HEADINGS, *(p.cells() for p in self.parameters)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, self.summary()])
