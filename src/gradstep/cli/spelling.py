"""Greek letters and symbols for a terminal or an encoding that lacks them: theta for θ, <= for ≤, x_(t-1) for xₜ₋₁."""

import codecs
import os
import unicodedata
from collections.abc import Mapping
from itertools import groupby
from typing import Any

ERRORS = "gradstep.spelt"  # the name of the codecs' error handler
_WORDS = "≤ <= ≥ >= ≠ != − - · * × x ∞ inf √ sqrt ∛ cbrt ∑ sum ‖ || ± +- ← <- → -> … ... µ u ▲ ^ ▼ v – - — - ‘ ' ’ '"
_BARS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
_LINES = "─━╸│├└┌┐┘┤┬┴┼•", "-==|+++++++++*"
SIGNS = {
    **dict(zip(_WORDS.split()[::2], _WORDS.split()[1::2], strict=True)),
    **dict(zip(*_BARS, strict=True)),
    **dict(zip(*_LINES, strict=True)),
}
_MARKS = {"\u0302": "_hat", "\u0303": "_tilde", "\u0304": "_bar"}
_RAISED = {"<sub>": "_", "<super>": "^"}


def spelt(text: str) -> str:
    """Return the text in ASCII, as one would type it; letters of other alphabets are their codes."""
    if text.isascii():
        return text
    out: list[str] = []
    for sign, run in groupby(text, _raised):
        parts = "".join(map(_letter, run))
        out.append(f"{sign}({parts})" if sign and len(parts) > 1 and not parts.isdecimal() else f"{sign}{parts}")
    return "".join(out)


def fits(encoding: str | None) -> bool:
    """Return whether an encoding has all signs that the tables use."""
    try:
        "θ≤µ─∞ₜ▁".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def prepare(stream: Any, environment: Mapping[str, str] = os.environ) -> None:
    """Let a stream spell what its encoding lacks; at a terminal of the locale C, whatever is not ASCII."""
    if not hasattr(stream, "reconfigure"):
        return
    plain = stream.isatty() and "PYTHONIOENCODING" not in environment and _locale(environment) in ("C", "POSIX")
    stream.reconfigure(errors=ERRORS, **{"encoding": "ascii"} if plain else {})


def _locale(environment: Mapping[str, str]) -> str:
    """The locale that was asked for; Python itself puts a C.UTF-8 into LC_CTYPE in place of none, and of C."""
    named = environment.get("LC_ALL") or environment.get("LC_CTYPE", "").replace("C.UTF-8", "")
    return named or environment.get("LANG", "")


def _raised(x: str) -> str:
    """``"_"`` of a character that stands lower, ``"^"`` of one that stands higher, else nothing."""
    return "" if x.isascii() or x in SIGNS else _RAISED.get(unicodedata.decomposition(x).partition(" ")[0], "")


def _letter(x: str) -> str:
    if x.isascii():
        return x
    if x in SIGNS:
        return SIGNS[x]
    name = unicodedata.name(x, "")
    for beginning, written in (("GREEK SMALL LETTER ", str.lower), ("GREEK CAPITAL LETTER ", str.capitalize)):
        if name.startswith(beginning) and " " not in (letter := name.removeprefix(beginning)):
            return written(letter.replace("LAMDA", "LAMBDA"))
    if unicodedata.combining(x):
        return _MARKS.get(x, "")
    parts = unicodedata.normalize("NFKD", x)
    return x.encode("unicode_escape").decode() if parts == x else "".join(map(_letter, parts))


def _handle(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text, behind = spelt(error.object[error.start : error.end]), error.object[error.end : error.end + 1]
    return (f"{text} " if text.endswith(("sqrt", "cbrt")) and behind.isalnum() else text), error.end


codecs.register_error(ERRORS, _handle)
