"""Docstrings as the site reads them: Sphinx's roles become code, as they look in a terminal."""

from typing import Any

from griffe import Extension, Object

from website.prose import plain


class Roles(Extension):
    """Rewrites the docstring of each object that is loaded."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Replace roles in its docstring."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)
