"""Docstrings as the site reads them: Sphinx's roles become code, as they look in a terminal."""

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":\w+:`~?([^`]+)`")


class Roles(Extension):
    """Rewrites the docstring of each object that is loaded."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Replace roles in its docstring."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)


def plain(text: str) -> str:
    """Return a text with ``:class:`x``` as ```x```."""
    return _ROLE.sub(r"`\1`", text).replace("``", "`")
