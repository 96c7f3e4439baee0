"""Text of the comparison, of runs and of the command line: labels read, numbers written, JSON for other programs."""

import json
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradstep.errors import GradstepValueError

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@dataclass(frozen=True)
class Named:
    """A name with numbers, such as ``sgd`` or ``momentum:momentum=0.95``.

    Attributes
    ----------
    name
        The part before the colon.
    values
        Pairs of key and number, sorted by key, so that two spellings of one thing are equal.
    words
        The same of keys whose value is a word, where these may be.
    """

    name: str
    values: tuple[tuple[str, float], ...] = ()
    words: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        texts = {key: short(value) for key, value in self.values} | dict(self.words)
        pairs = ",".join(f"{key}={texts[key]}" for key in sorted(texts))
        return f"{self.name}:{pairs}" if pairs else self.name


def read_names(text: str, words: bool = False) -> tuple[Named, ...]:
    """Return the names in a comma-separated text; ``sgd,adam:beta1=0.8,eps=1e-6`` holds two.

    A name may be ``FILE.py:NAME``, whose first colon is a part of it. With ``words`` a value may be a name too, as in
    ``adam:lr=cosine``.

    Raises
    ------
    GradstepValueError
        For an empty name, a value that is no number, a key given twice, or the same entry twice.
    """
    found: list[Named] = []
    # A comma before "key=" goes on with the same entry: no name holds "=".
    for entry in re.split(r",(?![^,:]*=)", text):
        file, dot, inner = entry.strip().rpartition(".py:")
        name, _, rest = (part.strip() for part in inner.partition(":"))
        if not name or "=" in name:
            raise GradstepValueError(f"cannot read {text!r}: write name or name:key=number, separated by commas.")
        pairs = sorted(_pairs(entry, rest, words).items())
        numbers = tuple((key, x) for key, x in pairs if isinstance(x, float))
        named = Named(f"{file}{dot}{name}", numbers, tuple((key, x) for key, x in pairs if isinstance(x, str)))
        if named in found:
            raise GradstepValueError(f"{named} is given twice; leave one out.")
        found.append(named)
    return tuple(found)


def short(x: float) -> str:
    """Return the number in the fewest digits that read back as the same number."""
    return f"{x:g}" if float(f"{x:g}") == x else repr(x)


def plain(x: float) -> str:
    """Return the number as a person writes it, in at most ten digits: 0.555 for 0.5549999999999999."""
    return short(float(f"{x:.10g}"))


def written(x: float, form: str = "{:.3g}") -> str:
    """Return the number as a person writes it: ``6.7·10⁻⁵`` for 6.7e-05, ``10⁻⁵``, ``∞``."""
    digits, e, power = form.format(x).replace("inf", "∞").partition("e")
    if not e:
        return digits
    return f"{'' if digits == '1' else f'{digits}·'}{raised('10', int(power))}"


def raised(base: str, power: int) -> str:
    """Return a power, ``10⁻⁵``; ``1`` and the base itself for powers 0 and 1."""
    return base + str(power).translate(_RAISED) if power not in (0, 1) else base if power else "1"


def number(x: float) -> str:
    """Return six digits; a dash for NaN."""
    return f"{x:.6g}" if math.isfinite(x) else "-" if math.isnan(x) else str(x)


def counted(n: int, noun: str) -> str:
    """Return ``1 seed``, ``2 seeds``, ``2 searches``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}{'es' if noun.endswith('ch') else 's'}"


def sentence(error: BaseException) -> str:
    """Return what an error says as the part of a line: at most 200 characters, and no full stop at the end."""
    return " ".join(str(error).split())[:200].rstrip(".")


def duration(seconds: float) -> str:
    """Return ``12.3 s``, ``4 min 5 s``, ``2 h 3 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def printable(text: str) -> str:
    """Return the text for a terminal: what would command it is written as its code (``x1b``); lines and tabs stay.

    That is control characters, halves of characters, and marks that turn the direction of writing, which make a name
    look like another.
    """
    if text.isprintable():
        return text
    return "".join(x.encode("unicode_escape").decode() if _commands(x) and x not in "\n\t" else x for x in text)


def _commands(x: str) -> bool:
    return unicodedata.category(x) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(x) in _TURNS


def is_wide(values: Sequence[float]) -> bool:
    """Return True for numbers that want a logarithmic axis: all are positive, and they differ much."""
    return len(values) > 0 and min(values) > 0 and max(values) > 20 * min(values)


def to_json(content: Any) -> str:
    """Return JSON on one line, with null for numbers that are not finite."""

    def clean(x: Any) -> Any:
        if isinstance(x, dict):
            return {key: clean(value) for key, value in x.items()}
        if isinstance(x, list | tuple):
            return [clean(value) for value in x]
        return None if isinstance(x, float) and not math.isfinite(x) else x

    return json.dumps(clean(content), allow_nan=False)


def _pairs(entry: str, rest: str, words: bool) -> dict[str, float | str]:
    pairs: dict[str, float | str] = {}
    for pair in rest.split(",") if rest else ():
        key, equals, number = (part.strip() for part in pair.partition("="))
        if not (key and equals):
            raise GradstepValueError(f"cannot read {pair.strip()!r} in {entry!r}: write key=number.")
        if key in pairs:
            raise GradstepValueError(f"{key} is given twice in {entry!r}; leave one out.")
        try:
            pairs[key] = float(number)
        except ValueError:
            if words and number.isidentifier():
                pairs[key] = number
                continue
            raise GradstepValueError(f"{key} in {entry!r} must be a number, not {number!r}.") from None
    return pairs
