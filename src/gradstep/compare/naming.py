"""``name:key=value,key=value``: how problems and optimizers are written on a command line."""

import re
from dataclasses import dataclass

from gradstep.errors import GradstepValueError


@dataclass(frozen=True)
class Named:
    """A name with numbers, such as ``sgd`` or ``momentum:momentum=0.95``.

    Attributes
    ----------
    name
        What stands before the colon.
    values
        Pairs of key and number, sorted by key, so that two spellings of one thing are equal.
    """

    name: str
    values: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        pairs = ",".join(f"{key}={short(value)}" for key, value in self.values)
        return f"{self.name}:{pairs}" if pairs else self.name


def read_names(text: str) -> tuple[Named, ...]:
    """The names in a comma-separated text; ``sgd,adam:beta1=0.8,eps=1e-6`` holds two.

    Raises
    ------
    GradstepValueError
        For an empty name, a value that is no number, a key given twice, or the same entry twice.
    """
    found: list[Named] = []
    # A comma before "key=" goes on with the same entry: no name holds "=".
    for entry in re.split(r",(?![^,:]*=)", text):
        name, _, rest = (part.strip() for part in entry.partition(":"))
        if not name or "=" in name:
            raise GradstepValueError(f"cannot read {text!r}: write name or name:key=number, separated by commas.")
        named = Named(name, tuple(sorted(_pairs(entry, rest).items())))
        if named in found:
            raise GradstepValueError(f"{named} is given twice; leave one out.")
        found.append(named)
    return tuple(found)


def short(x: float) -> str:
    """The number in the fewest digits that read back as the same number."""
    return f"{x:g}" if float(f"{x:g}") == x else repr(x)


def _pairs(entry: str, rest: str) -> dict[str, float]:
    pairs: dict[str, float] = {}
    for pair in rest.split(",") if rest else ():
        key, equals, number = (part.strip() for part in pair.partition("="))
        if not (key and equals):
            raise GradstepValueError(f"cannot read {pair.strip()!r} in {entry!r}: write key=number.")
        if key in pairs:
            raise GradstepValueError(f"{key} is given twice in {entry!r}; leave one out.")
        try:
            pairs[key] = float(number)
        except ValueError:
            raise GradstepValueError(f"{key} in {entry!r} must be a number, not {number!r}.") from None
    return pairs
