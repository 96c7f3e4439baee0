"""Docstrings as prose."""

import re

_ROLE = re.compile(r":\w+:`~?([^`]+)`")


def plain(text: str) -> str:
    """Return a text with Sphinx's roles and double backticks as single ones: all of them are code."""
    return _ROLE.sub(r"`\1`", text).replace("``", "`")
