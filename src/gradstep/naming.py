"""Errors for names that nobody knows, with the names that were perhaps meant."""

import difflib
from collections.abc import Iterable

from gradstep.errors import GradstepValueError


def unknown(what: str, name: str, known: Iterable[str]) -> GradstepValueError:
    """The error ``what 'name'``, with close matches or, failing those, all known names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}."
    return GradstepValueError(f"{what} {name!r}; {hint}")
