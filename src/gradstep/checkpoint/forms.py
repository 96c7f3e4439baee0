"""Forms of JSON: ``{"t": int, "names": [str], "memory": {str: float}}``."""

from typing import Any


def is_like(data: Any, form: Any) -> bool:
    """Return True for data of a form.

    A list of one form stands for any number of it, ``{str: form}`` for any names, a tuple for one of several forms, a
    type for exactly that type, ``object`` for anything.
    """
    if isinstance(form, tuple):
        return any(is_like(data, one) for one in form)
    if isinstance(form, list):
        return isinstance(data, list) and all(is_like(x, form[0]) for x in data)
    if isinstance(form, dict):
        if not isinstance(data, dict):
            return False
        if str in form:
            return all(is_like(x, form[str]) for x in data.values())
        return data.keys() == form.keys() and all(is_like(data[key], own) for key, own in form.items())
    return data is form if form is None else form is object or type(data) is form
