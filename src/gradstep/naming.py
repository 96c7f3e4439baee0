"""Errors for names that nobody knows, with the names that were perhaps meant."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from gradstep.errors import GradstepValueError

T = TypeVar("T")


def unknown(what: str, name: str, known: Iterable[str]) -> GradstepValueError:
    """The error ``what 'name'``, with close matches or, failing those, all known names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}."
    return GradstepValueError(f"{what} {name!r}; {hint}")


def find(what: str, name: str, known: Mapping[str, T]) -> T:
    """What ``known`` has under that name; else the error of :func:`unknown`."""
    if name not in known:
        raise unknown(what, name, known)
    return known[name]
