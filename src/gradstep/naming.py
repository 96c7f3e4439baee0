"""Checks of what users hand in: names, numbers, attributes; errors with the names that were perhaps meant."""

import difflib
import math
from collections.abc import Iterable, Mapping
from html import escape
from inspect import get_annotations
from numbers import Integral, Real
from typing import Any, ClassVar, NoReturn, SupportsIndex, TypeVar

from gradstep.errors import GradstepAttributeError, GradstepTypeError, GradstepValueError

T = TypeVar("T")


def html_table(rows: Mapping[str, Any]) -> str:
    """Return names and their values as a notebook shows them."""
    cells = [(escape(key), escape(str(x))) for key, x in rows.items()]
    lines = [f'<tr><th style="text-align: left">{a}</th><td style="text-align: left">{b}</td></tr>' for a, b in cells]
    return f"<table><tbody>{''.join(lines)}</tbody></table>"


# What one thing is called, here and in other libraries.
_ALIKE = (
    ("lr", "learning_rate", "learningrate", "learn_rate", "rate", "step_size", "stepsize"),
    ("beta1", "beta_1", "b1", "betas"),
    ("beta2", "beta_2", "b2", "betas"),
    ("eps", "epsilon"),
)


def alike(name: str, known: Iterable[str]) -> list[str]:
    """Return the names in ``known`` that mean what ``name`` means in another library."""
    return [x for x in sorted(set(known)) if any(name.lower() in one and x.lower() in one for one in _ALIKE)]


def unknown(what: str, name: str, known: Iterable[str], listed: str = "") -> GradstepValueError:
    """The error ``what 'name'``, with close matches, in letters of any case, or, failing those, all known names.

    Where there are too many for a line, ``listed`` is the command that shows them: it is told in their place.
    """
    names = sorted(known)
    lowered, asked = {x.lower(): x for x in names}, name.lower()
    if asked in lowered:
        close = [lowered[asked]]
    else:
        close = alike(asked, names) or [lowered[x] for x in difflib.get_close_matches(asked, lowered, n=3)]
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names) or 'none'}."
    if listed and not close:
        near = [lowered[x] for x in difflib.get_close_matches(asked, lowered, n=3, cutoff=0.4)]
        nearest = f"the nearest {'is' if len(near) == 1 else 'are'} {', '.join(near)}; " if near else ""
        hint = f"{nearest}{listed} has them all."
    return GradstepValueError(f"{what} {name!r}; {hint}")


def find(what: str, name: str, known: Mapping[str, T], listed: str = "") -> T:
    """Return the value of that name in ``known``, or raise the error of :func:`unknown`."""
    if name not in known:
        raise unknown(what, name, known, listed)
    return known[name]


def is_whole(x: Any) -> bool:
    """Return True for an integer of Python or NumPy; a bool is none."""
    return isinstance(x, Integral) and not isinstance(x, bool)


def is_real(x: Any) -> bool:
    """Return True for a real number of Python or NumPy; a bool is none."""
    return isinstance(x, Real) and not isinstance(x, bool)


def as_float(x: Any) -> float:
    """Return a real number as a float; an integer or a fraction beyond all floats is infinite."""
    try:
        return float(x)
    except OverflowError:
        return math.inf if x > 0 else -math.inf


def whole(what: str, value: Any, least: int = 0) -> int:
    """Return an integer of at least ``least``; ``what`` is its name in errors."""
    if not is_whole(value):
        raise GradstepTypeError(f"{what} must be an integer, not {value!r}.")
    if value < least:
        raise GradstepValueError(f"{what} must be at least {least}, and is {value}.")
    return int(value)


def real(what: str, value: Any) -> float:
    """Return a real number that is not NaN; ``what`` is its name in errors."""
    if not is_real(value):
        raise GradstepTypeError(f"{what} must be a number, not {value!r}.")
    x = as_float(value)
    if math.isnan(x):
        raise GradstepValueError(f"{what} must not be NaN.")
    return x


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


class Closed:
    """An object whose public attributes are those that its class declares; setting another one is refused.

    Else ``run.lr = 0.1`` would make an attribute that nothing reads. Names that begin with an underscore are not looked
    at: subclasses may have their own.
    """

    _public: ClassVar[frozenset[str]] = frozenset()
    _once: ClassVar[Mapping[str, str]] = {}  # names that are set where the object is made alone, each with another way

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._public = cls._public | {name for name in get_annotations(cls) if name[0] != "_"}

    def __setattr__(self, name: str, value: Any) -> None:
        if name[0] != "_" and name not in self._public and not hasattr(type(self), name):
            what, instead = f"{type(self).__name__} has no attribute", self._instead(name)
            if instead is not None:
                raise GradstepAttributeError(f"{what} {name!r} to set; write {instead}.")
            raise GradstepAttributeError(str(unknown(what, name, self._public)))
        if name in self._once and name in self.__dict__:
            raise GradstepAttributeError(f"{type(self).__name__}.{name} cannot be set; {self._once[name]}.")
        super().__setattr__(name, value)

    def _instead(self, name: str) -> str | None:  # noqa: ARG002
        """Return the code that sets what an attribute of this name would be meant to set; None: it is not known."""
        return None


class Uncopied:
    """An object that is neither copied nor pickled, and says what to do instead."""

    _rather: str

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise GradstepTypeError(f"{type(self).__name__} can be neither copied nor pickled: {self._rather}")
